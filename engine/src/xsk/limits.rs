//! The limits in force, and what is used of them.

use crate::memory::LimitPolicy;

/// The [limits](crate::Limits) of an xsk and its queue that are in force, in chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XskLimits {
    /// Chunks that may be charged to the queue: what was asked for, or its share of the
    /// UMEM if that is less.
    pub chunks: u32,
    /// Chunks that stay with the kernel to receive into.
    pub floor: u32,
    /// Chunks that the application may hold, of those that the xsk received.
    pub held: u32,
    /// Chunks that the xsk may have in transmit.
    pub in_transmit: u32,
    /// What becomes of frames that arrive while the application holds too many.
    pub policy: LimitPolicy,
}

/// What is used of the limits, in chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XskUsage {
    /// Chunks charged to the queue, whichever of its xsks got them.
    pub charged: u32,
    /// Chunks of received frames that the application holds.
    pub held: u32,
    /// Chunks in transmit.
    pub in_transmit: u32,
    /// Whether the application holds too many, or did, and has not given back an eighth
    /// of what it may hold.
    pub is_limited: bool,
}
