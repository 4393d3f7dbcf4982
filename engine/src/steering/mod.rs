//! What decides which frames reach an xsk: the XDP program, its maps, and its
//! attachment to an interface.
//!
//! A [`Steering`] owns all three. The program is attached by a bpf_link, which
//! is a file descriptor: when the `Steering` is dropped, or its process is
//! killed, the kernel detaches the program and all frames go to its own stack.
//!
//! Attach before zero-copy sockets are bound: attaching resets the queues of
//! many NICs. A socket may be inserted before it is bound; until then frames for
//! its queue are dropped (`xsk_rcv_check`, `net/xdp/xsk.c`), so insert it last.
//!
//! With an XDP program of your own you need none of this: see
//! [`Xsk`](crate::Xsk#an-xdp-program-of-your-own).

mod attach;
mod config;
mod error;
mod flows;
mod handle;
mod hits;
mod instance;
mod loader;
mod occupant;
mod passage;
mod program;
mod refusal;
mod replace;
pub(crate) mod rules;
#[cfg(test)]
mod rules_tests;
mod shared;
mod slots;
#[cfg(test)]
mod tests;
mod verdict;

pub use wharf_ebpf::QueueCounts;

pub use attach::{Attach, AttachReport};
pub use config::{NoXsk, SteeringConfig};
pub use error::{SteeringError, SteeringErrorKind};
pub use handle::Steering;
pub use hits::RuleHits;
pub(crate) use passage::{Passage, PassageError};
pub(crate) use replace::Prepared;
pub(crate) use slots::Slot;
pub use verdict::Verdict;
