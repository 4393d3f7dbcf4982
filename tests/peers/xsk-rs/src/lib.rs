//! The two ends of a link that the tests join: [`Peer`], which is xsk-rs and
//! libxdp, and [`Station`], which is Wharf.
//!
//! ```text
//!   client                                server
//!   Peer: xsk-rs, libxdp's XDP program    Station: Xsk, Steering, Umem
//!   eth0 ───────────────────────────────── eth0
//! ```
//!
//! Neither end waits for the other inside the kernel, and a veth drops what its
//! ring of 256 slots (`VETH_RING_SIZE` in `drivers/net/veth.c`) cannot hold, so
//! senders keep a [`WINDOW`] of frames on their way. What is lost is then lost
//! by one of the ends.

mod patience;
mod peer;
mod station;

pub use patience::Patience;
pub use peer::{Peer, Program};
pub use station::Station;

/// Frames that may be on their way at a time.
pub const WINDOW: u64 = 128;
