//! The Unix socket on which a running forwarder takes requests.
//!
//! ```text
//!  wharf steer ──► client ──► socket ──► server ──► editor ──► Engine
//!                    └───── message, line ─────┘
//! ```
//!
//! One JSON object per line and direction, as `cli/README.md` documents it. The
//! kernel keeps strangers out: directory and socket are for their owner alone.
//! Each client has a thread of its own in the forwarder, and none of them runs on
//! a worker, so a client that hangs delays no other.

mod client;
mod directory;
mod editor;
mod impairing;
mod line;
mod listing;
mod message;
mod protocol;
mod server;
mod socket;
mod steerable;

pub use client::{Client, ClientError};
pub use directory::{directory, listen_in, running, socket_of};
pub use editor::Editor;
pub use impairing::{Impairing, entries};
pub use listing::{FinalRules, ForwarderInfo, undecided_text};
pub use message::{
    Command, Edited, FlowCount, FlowPage, FlowsChanged, HitCount, ImpairmentEntry,
    ImpairmentListing, Listing,
};
#[cfg(test)]
pub use message::{DefaultEntry, FlowsEntry, OtherEntry, RuleEntry};
pub use protocol::{FLOWS_PER_MESSAGE, RULES_BYTES_MAX};
pub use server::Server;
pub use socket::Socket;
#[cfg(test)]
pub use socket::tests::Scratch;
pub use steerable::Hits;
#[cfg(test)]
pub use steerable::tests::Fake;
