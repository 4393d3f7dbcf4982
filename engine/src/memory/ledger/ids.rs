//! The queues and xsks that share a UMEM, by number.

/// An xsk among those that share a UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XskId(pub(super) u8);

impl XskId {
    /// Xsks that can share a UMEM.
    pub(crate) const MAX: u8 = u8::MAX;
    /// Stands for no xsk.
    pub(super) const NONE: Self = Self(u8::MAX);

    pub(crate) fn new(number: u8) -> Option<Self> {
        (number < Self::MAX).then_some(Self(number))
    }

    /// Its position in an array with an entry for each xsk.
    #[inline]
    pub(in crate::memory) fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// A NIC queue among those that share a UMEM, with all its xsks. It has the number
/// of its first xsk, which is never used again, so it may outlive that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueId(pub(super) u8);

impl QueueId {
    /// Stands for no queue.
    pub(super) const NONE: Self = Self(XskId::NONE.0);

    /// The queue that `first` was the first to be bound to.
    pub(crate) fn of_first(XskId(first): XskId) -> Self {
        Self(first)
    }

    /// Its position in an array with an entry for each queue.
    #[inline]
    pub(super) fn position(self) -> usize {
        usize::from(self.0)
    }
}
