//! The way to a running forwarder: a Unix socket on which it takes requests.
//!
//! ```text
//!  wharf steer ──► client ──► socket ──► server ──► clerk ──► Engine
//!                    └───── message, line ─────┘
//! ```
//!
//! One JSON object per line and direction, as `cli/README.md` documents it. The
//! kernel keeps strangers out: directory and socket are for their owner alone.
//! Each client has a thread of its own in the forwarder, and none of them is
//! near a worker's, so a client that hangs holds up nobody.

mod clerk;
mod client;
mod line;
mod listing;
mod message;
mod place;
mod server;
mod steered;

use std::time::Duration;

pub use clerk::Clerk;
pub use client::{Client, ClientError};
pub use listing::{Facts, FinalRules};
pub use message::{Command, Edited, FlowCount, FlowPage, FlowsChanged, Listing};
#[cfg(test)]
pub use message::{DefaultEntry, FlowsEntry, HitCount, OtherEntry, RuleEntry};
#[cfg(test)]
pub use place::tests::Scratch;
pub use place::{Socket, directory, running, socket_of};
pub use server::Server;
pub use steered::Hits;
#[cfg(test)]
pub use steered::tests::Fake;

/// The protocol's version. A peer of another one is told so.
pub const VERSION: u64 = 1;

/// The longest line either side reads, the line break included.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The most text of all rules together: a listing of them fits a line, with
/// whatever JSON and the hits add.
pub const RULES_BYTES_MAX: usize = LINE_BYTES_MAX / 4;

/// The most flows in one request or reply.
pub const FLOWS_PER_MESSAGE: usize = 1024;

/// How long a client waits for a reply. A new program has to pass the kernel's
/// verifier, on a machine that may be busy.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
