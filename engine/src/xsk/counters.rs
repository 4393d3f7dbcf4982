//! What an xsk counts of what it receives and sends.

/// What the receiving half counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RxCounters {
    /// Frames received.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames with a descriptor that failed a check, whose chunk is quarantined
    /// if it was posted for the queue, or whose end never came.
    pub invalid: u64,
    /// Frames dropped because the application held too many chunks
    /// ([`LimitPolicy`](crate::LimitPolicy)).
    pub throttled: u64,
    /// Frames that had to wait in the RX ring because the application held too many
    /// chunks, in chunks ([`LimitPolicy::Backpressure`](crate::LimitPolicy::Backpressure)).
    pub held_back: u64,
    /// Of the frames received, those that were copied because the application held too
    /// many chunks ([`LimitPolicy::CopyOut`](crate::LimitPolicy::CopyOut)).
    pub copied_out: u64,
    /// Times that the application held too many chunks; once until it has given back
    /// enough.
    pub limited: u64,
}

/// What the sending half counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TxCounters {
    /// Frames handed to the kernel.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of those frames, the ones that the application had made, not received.
    pub made: u64,
    /// Of those frames, the [copies](crate::Frame::hold), which were copied into a chunk of the UMEM.
    pub copied_in: u64,
    /// Of those frames, the ones whose chunk came back, the last if it has
    /// several.
    pub completed: u64,
    /// Of those that came back, the ones that the kernel dropped.
    pub dropped_by_kernel: u64,
    /// Completions that failed a check.
    pub invalid: u64,
    /// System calls made to wake the kernel.
    pub wakeups: u64,
}
