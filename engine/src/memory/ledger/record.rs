//! What the ledger knows of a chunk: who has it, for which queue and which xsk.

/// An xsk among those that share a UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XskId(pub(super) u8);

impl XskId {
    /// Xsks that can share a UMEM.
    pub(crate) const MAX: u8 = u8::MAX;
    /// Stands for no xsk.
    pub(crate) const NONE: Self = Self(u8::MAX);

    pub(crate) fn new(number: u8) -> Option<Self> {
        (number < Self::MAX).then_some(Self(number))
    }

    /// Its place in arrays of [`Charges`]' length.
    #[inline]
    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// A queue among those that share a UMEM, with all its xsks. It goes by the name
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

    /// Its place in arrays of [`Charges`]' length.
    #[inline]
    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Who has a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Owner {
    /// The pool: free.
    Pool,
    /// The kernel, to receive into.
    Fill,
    /// The application, as a `Frame`.
    Application,
    /// The application, as a `DetachedFrame`, on any thread.
    Detached,
    /// The application, on any thread, behind the first chunk of a frame.
    Part,
    /// The kernel, to send from.
    Transmit,
    /// The kernel, to send from, before the last chunk of a frame.
    TransmitPart,
    /// Nobody: the kernel gave it back with a descriptor that makes no sense.
    Quarantined,
    /// The kernel still had it when its xsk closed.
    Stranded,
    /// Nobody, ever: it lies across two pieces of memory.
    Gap,
}

impl Owner {
    const ALL: [Self; 10] = [
        Self::Pool,
        Self::Fill,
        Self::Application,
        Self::Detached,
        Self::Part,
        Self::Transmit,
        Self::TransmitPart,
        Self::Quarantined,
        Self::Stranded,
        Self::Gap,
    ];
}

/// What the ledger knows of a chunk, in one word, so that a crossing is a
/// comparison and a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record(u32);

impl Record {
    /// `holder` is the queue whose rings the chunk is in, for `Fill` and
    /// `Transmit`; `charged` is the queue that the chunk counts against; `member`
    /// is the xsk that received it, for `Application` and `Detached`, or sends
    /// it, for `Transmit`.
    #[inline]
    pub(super) fn new(owner: Owner, holder: QueueId, charged: QueueId, member: XskId) -> Self {
        Self(Self::with(owner, holder) | u32::from(charged.0) << 16 | u32::from(member.0) << 24)
    }

    /// The record of a chunk that is with `owner` and concerns no queue.
    #[inline]
    pub(super) fn bare(owner: Owner) -> Self {
        Self::new(owner, QueueId::NONE, QueueId::NONE, XskId::NONE)
    }

    #[inline]
    pub(super) fn lent(group: QueueId) -> Self {
        Self::new(Owner::Fill, group, group, XskId::NONE)
    }

    #[inline]
    pub(super) fn with(owner: Owner, holder: QueueId) -> u32 {
        u32::from(owner as u8) | u32::from(holder.0) << 8
    }

    #[inline]
    pub(super) fn is_with(self, owner: Owner, holder: QueueId) -> bool {
        self.0 & 0xffff == Self::with(owner, holder)
    }

    #[inline]
    pub(super) fn is_owned_by(self, owner: Owner) -> bool {
        self.0.to_le_bytes()[0] == owner as u8
    }

    #[inline]
    pub(super) fn is_sent_by(self, member: XskId) -> bool {
        let sent = self.is_owned_by(Owner::Transmit) || self.is_owned_by(Owner::TransmitPart);
        sent && self.member() == member
    }

    /// The record with another owner, and all else as it is.
    pub(super) fn handed_to(self, owner: Owner) -> Self {
        Self::new(owner, self.holder(), self.charged(), self.member())
    }

    #[inline]
    pub(super) fn holder(self) -> QueueId {
        QueueId(self.0.to_le_bytes()[1])
    }

    #[inline]
    pub(super) fn charged(self) -> QueueId {
        QueueId(self.0.to_le_bytes()[2])
    }

    #[inline]
    pub(super) fn member(self) -> XskId {
        XskId(self.0.to_le_bytes()[3])
    }

    pub(super) fn owner(self) -> Owner {
        let owner = |&owner: &Owner| self.is_owned_by(owner);
        Owner::ALL
            .into_iter()
            .find(owner)
            .expect("records are made of owners")
    }
}

/// An xsk of a queue, with the records of the chunks it receives and sends made
/// beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XskRecords {
    pub(crate) group: QueueId,
    pub(crate) member: XskId,
    pub(super) lent: Record,
    pub(super) received: Record,
    /// Charged to queue 0, which has no bits.
    transmitted: Record,
}

impl XskRecords {
    pub(crate) fn new(group: QueueId, member: XskId) -> Self {
        Self {
            group,
            member,
            lent: Record::lent(group),
            received: Record::new(Owner::Application, QueueId::NONE, group, member),
            transmitted: Record::new(Owner::Transmit, group, QueueId(0), member),
        }
    }

    /// The record of a chunk that the xsk sends and `charged` is charged for.
    #[inline]
    pub(super) fn transmitted(&self, charged: QueueId) -> Record {
        Record(self.transmitted.0 | u32::from(charged.0) << 16)
    }
}
