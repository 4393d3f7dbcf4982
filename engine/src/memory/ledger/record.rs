//! What the ledger knows of a chunk: who has it, for which queue and which xsk.

use super::ids::{QueueId, XskId};

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
    /// As `Transmit`, and a cookie is reported when the kernel is done with it.
    Tagged,
    /// The kernel, to send from: any chunk of a frame that the application has again
    /// when the kernel is done with all of them.
    Returning,
    /// Nobody: the kernel returned it with a descriptor that makes no sense.
    Quarantined,
    /// The kernel still had it when its xsk closed.
    Stranded,
    /// Nobody, ever: it lies across two pieces of memory.
    Gap,
}

impl Owner {
    const ALL: [Self; 12] = [
        Self::Pool,
        Self::Fill,
        Self::Application,
        Self::Detached,
        Self::Part,
        Self::Transmit,
        Self::TransmitPart,
        Self::Tagged,
        Self::Returning,
        Self::Quarantined,
        Self::Stranded,
        Self::Gap,
    ];
}

/// What the ledger knows of a chunk, in one word, so that a crossing is a
/// comparison and a store.
///
/// ```text
///   bits  0..8    8..16           16..24          24..32
///         owner   queue (ring)    queue (charge)  xsk
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record(u32);

impl Record {
    /// The record of a free chunk.
    pub(crate) const POOL: Self = Self::bare(Owner::Pool);

    /// A record that no chunk ever has.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// `ring` is the queue whose rings the chunk is in, for `Fill` and
    /// `Transmit`; `charged` is the queue that the chunk counts against; `xsk` is
    /// the one that received it, for `Application` and `Detached`, or sends it, for
    /// `Transmit`.
    #[inline]
    pub(super) const fn new(owner: Owner, ring: QueueId, charged: QueueId, xsk: XskId) -> Self {
        Self(Self::with(owner, ring) | (charged.0 as u32) << 16 | (xsk.0 as u32) << 24)
    }

    /// The record of a chunk that is with `owner` and concerns no queue.
    #[inline]
    pub(super) const fn bare(owner: Owner) -> Self {
        Self::new(owner, QueueId::NONE, QueueId::NONE, XskId::NONE)
    }

    /// The record of a chunk that is posted to the fill ring of `queue`.
    #[inline]
    pub(super) fn posted(queue: QueueId) -> Self {
        Self::new(Owner::Fill, queue, queue, XskId::NONE)
    }

    #[inline]
    const fn with(owner: Owner, ring: QueueId) -> u32 {
        owner as u32 | (ring.0 as u32) << 8
    }

    #[inline]
    pub(super) fn is_with(self, owner: Owner, ring: QueueId) -> bool {
        self.0 & 0xffff == Self::with(owner, ring)
    }

    #[inline]
    pub(super) fn is_owned_by(self, owner: Owner) -> bool {
        self.0.to_le_bytes()[0] == owner as u8
    }

    pub(super) fn is_sent_by(self, xsk: XskId) -> bool {
        let sent = matches!(
            self.owner(),
            Owner::Transmit | Owner::TransmitPart | Owner::Tagged | Owner::Returning
        );
        sent && self.xsk() == xsk
    }

    /// The record of a chunk in transmit, with its completion to be reported.
    #[inline]
    pub(crate) fn tagged(self) -> Self {
        Self(self.0 ^ (Owner::Transmit as u32 ^ Owner::Tagged as u32))
    }

    /// The record with another owner, and all else as it is.
    pub(super) fn handed_to(self, owner: Owner) -> Self {
        Self::new(owner, self.ring(), self.charged(), self.xsk())
    }

    #[inline]
    pub(super) fn ring(self) -> QueueId {
        QueueId(self.0.to_le_bytes()[1])
    }

    #[inline]
    pub(crate) fn charged(self) -> QueueId {
        QueueId(self.0.to_le_bytes()[2])
    }

    #[inline]
    pub(crate) fn xsk(self) -> XskId {
        XskId(self.0.to_le_bytes()[3])
    }

    /// Whether the chunk is a frame that the application made, if it is its own.
    #[inline]
    pub(crate) fn is_made(self) -> bool {
        self.charged() == QueueId::NONE
    }

    /// The record of a chunk in transmit, which comes back to the application.
    #[inline]
    pub(crate) fn returning(self) -> Self {
        Self(self.0 ^ (Owner::Transmit as u32 ^ Owner::Returning as u32))
    }

    pub(super) fn owner(self) -> Owner {
        let owner = |&owner: &Owner| self.is_owned_by(owner);
        Owner::ALL
            .into_iter()
            .find(owner)
            .expect("records are made of owners")
    }
}

/// An xsk and its queue, with the records of the chunks that it receives and sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XskRecords {
    pub(crate) queue: QueueId,
    pub(crate) xsk: XskId,
    pub(crate) posted: Record,
    pub(crate) received: Record,
    /// Charged to queue 0, which has no bits.
    transmitted: Record,
}

impl XskRecords {
    pub(crate) fn new(queue: QueueId, xsk: XskId) -> Self {
        Self {
            queue,
            xsk,
            posted: Record::posted(queue),
            received: Record::new(Owner::Application, QueueId::NONE, queue, xsk),
            transmitted: Record::new(Owner::Transmit, queue, QueueId(0), xsk),
        }
    }

    /// The record of a chunk that the xsk sends and `charged` is charged for.
    #[inline]
    pub(super) fn transmitted(&self, charged: QueueId) -> Record {
        Record(self.transmitted.0 | u32::from(charged.0) << 16)
    }

    /// What the record of a frame in one chunk, now `from`, becomes as the xsk sends
    /// it. Frames that the application made are charged to the xsk's queue.
    pub(crate) fn sent(&self, from: Record) -> Record {
        if from.is_made() {
            self.transmitted(self.queue)
        } else {
            self.transmitted(from.charged())
        }
    }
}
