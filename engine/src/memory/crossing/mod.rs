//! The four crossings of the kernel boundary, as the memory sees them: what a ring
//! entry names is checked against the ledger, and becomes a frame, a free chunk, or
//! another ring entry.
//!
//! ```text
//!   pool ── post ───────► fill ring          RX ring ── receive ──► frame
//!   frame ── transmit ──► TX ring    completion ring ── complete ─► pool, or frame
//! ```
//!
//! Each has a busy path, which takes a chunk if its record is the one expected of
//! all chunks of a run, and leaves every other to a slow path, one chunk at a time.

mod complete;
mod post;
mod receive;
mod transmit;

pub(crate) use complete::CompletedChunk;
pub(crate) use receive::{Receiver, Refused, receive, receive_reserved};
pub(crate) use transmit::{Outgoing, Report, Transmitter};
