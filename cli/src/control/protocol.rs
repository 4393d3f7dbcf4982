//! The protocol's numbers: its version, and how much either side may send.

/// The protocol's version. A request of any other version is refused.
pub const VERSION: u64 = 1;

/// The longest line either side reads, the line break included.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The most text of all rules together: a listing of them fits a line, with
/// whatever JSON and the hits add.
pub const RULES_BYTES_MAX: usize = LINE_BYTES_MAX / 4;

/// The most flows in one request or reply.
pub const FLOWS_PER_MESSAGE: usize = 1024;
