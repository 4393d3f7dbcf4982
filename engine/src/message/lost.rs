//! The report of a message that never became whole.

use std::ops::Range;

/// A message that was given up: which one, and what is missing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost<P> {
    /// Who sent it.
    pub peer: P,
    /// Its number.
    pub number: u64,
    /// Bytes that it should have had.
    pub len: u32,
    /// Bytes that never came, in order.
    pub missing: Vec<Range<u32>>,
    /// Why it was given up.
    pub reason: LostReason,
}

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostReason {
    /// It was not complete in time.
    TimedOut,
    /// Newer messages took its room.
    Evicted,
    /// The reassembler ended.
    Abandoned,
}
