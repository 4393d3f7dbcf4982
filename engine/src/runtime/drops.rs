//! Frames that did not make it, by reason.

/// Why a frame did not make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
#[non_exhaustive]
pub enum DropReason {
    /// The kernel found no chunk in the fill ring (`rx_dropped` of
    /// `XDP_STATISTICS`). In zero copy, where frames may lie in several chunks, and
    /// where a queue has several xsks, the kernel does not tell frames apart that
    /// were too long, and they are here.
    RxNoChunk,
    /// The frame was longer than a chunk, as after the MTU was
    /// [raised](crate::EventKind::MtuChanged) (`rx_dropped` beyond
    /// `rx_fill_ring_empty_descs` of `XDP_STATISTICS`, Linux 5.9).
    RxTooLong,
    /// The kernel found the RX ring full: the worker was too slow
    /// (`rx_ring_full` of `XDP_STATISTICS`, Linux 5.9).
    RxRingFull,
    /// The XDP program redirected the frame, but the worker never got it, and it
    /// is in none of the socket's counters: the queue was not bound yet or any
    /// more, or the frame was still in the RX ring at the end. Known, and not
    /// zero, only in the [`Summary`](crate::Summary); it is not among the `metrics`.
    RxUndelivered,
    /// The application held more chunks than a [limit](crate::Limits) allows, or so many
    /// that too few were left to receive into.
    RxThrottled,
    /// The kernel's descriptor failed the ledger's checks.
    RxInvalid,
    /// The application dropped the frame.
    Application,
    /// The application lost the frame on purpose ([`Discard::Loss`](crate::Discard)): an
    /// [impairment](crate::impairment) said so.
    ImpairedLoss,
    /// The application delays as many frames as it may
    /// ([`Discard::Limit`](crate::Discard)).
    ImpairedLimit,
    /// The TX ring had no free slot when the application sent the frame.
    TxRingFull,
    /// As many chunks were in transmit as the xsk's
    /// [limit](crate::Limits::in_transmit) allows.
    TxLimit,
    /// The application sent a [copy](crate::Frame::hold), and the UMEM had no free chunk to
    /// copy it into.
    TxNoChunk,
    /// The application sent a frame that cannot be sent: empty, to an
    /// interface on which the worker has no queue that sends, or of another
    /// UMEM.
    TxRefused,
    /// The interface was down ([`OnLinkDown::Wait`](crate::OnLinkDown::Wait)).
    TxLinkDown,
    /// The frame's completion was to be reported, and as many are outstanding or unread
    /// as there are [places](crate::XskConfig::completions) for.
    TxCompletionsFull,
    /// The kernel took the frame and dropped it (`EBUSY` from `sendto`: the
    /// peer is down or its queue is full, or the frame exceeds the MTU).
    TxKernel,
    /// The kernel called the TX descriptor invalid (`tx_invalid_descs`).
    TxInvalid,
    /// The TX ring of the way to the stack had no free slot when the application
    /// [passed](crate::Outbox::pass) the frame.
    PassRingFull,
    /// The application passed a frame that cannot be passed: the engine was not
    /// [asked for it](crate::EngineBuilder::passing), there is no such interface, or the
    /// frame cannot be sent at all.
    PassRefused,
    /// The interface whose stack the frame was passed to was down.
    PassLinkDown,
    /// The kernel took the frame that was passed and dropped it on its way: its backlog
    /// was full (`net.core.netdev_max_backlog`), which it says since Linux 6.6, or the
    /// helper interface was set down.
    PassKernel,
    /// The frame was still with the kernel when the engine stopped.
    TxUnfinished,
}

impl DropReason {
    /// Every reason, in the order frames meet them.
    pub const ALL: [Self; 22] = [
        Self::RxNoChunk,
        Self::RxTooLong,
        Self::RxRingFull,
        Self::RxUndelivered,
        Self::RxThrottled,
        Self::RxInvalid,
        Self::Application,
        Self::ImpairedLoss,
        Self::ImpairedLimit,
        Self::TxRingFull,
        Self::TxLimit,
        Self::TxNoChunk,
        Self::TxRefused,
        Self::TxLinkDown,
        Self::TxCompletionsFull,
        Self::TxKernel,
        Self::TxInvalid,
        Self::PassRingFull,
        Self::PassRefused,
        Self::PassLinkDown,
        Self::PassKernel,
        Self::TxUnfinished,
    ];

    /// Whether such a frame was lost where it came in, or on its way to the stack there,
    /// rather than where it was to go out.
    #[must_use]
    pub fn is_on_the_way_in(self) -> bool {
        match self {
            Self::RxNoChunk
            | Self::RxTooLong
            | Self::RxRingFull
            | Self::RxUndelivered
            | Self::RxThrottled
            | Self::RxInvalid
            | Self::Application
            | Self::PassRingFull
            | Self::PassRefused
            | Self::PassLinkDown
            | Self::PassKernel => true,
            Self::ImpairedLoss
            | Self::ImpairedLimit
            | Self::TxRingFull
            | Self::TxLimit
            | Self::TxNoChunk
            | Self::TxRefused
            | Self::TxLinkDown
            | Self::TxCompletionsFull
            | Self::TxKernel
            | Self::TxInvalid
            | Self::TxUnfinished => false,
        }
    }

    /// The reason as a label for metrics and JSON, in `snake_case`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::RxNoChunk => "rx_no_chunk",
            Self::RxTooLong => "rx_too_long",
            Self::RxRingFull => "rx_ring_full",
            Self::RxUndelivered => "rx_undelivered",
            Self::RxThrottled => "rx_throttled",
            Self::RxInvalid => "rx_invalid",
            Self::Application => "application",
            Self::ImpairedLoss => "impaired_loss",
            Self::ImpairedLimit => "impaired_limit",
            Self::TxRingFull => "tx_ring_full",
            Self::TxLimit => "tx_limit",
            Self::TxNoChunk => "tx_no_chunk",
            Self::TxRefused => "tx_refused",
            Self::TxLinkDown => "tx_link_down",
            Self::TxCompletionsFull => "tx_completions_full",
            Self::TxKernel => "tx_kernel",
            Self::TxInvalid => "tx_invalid",
            Self::PassRingFull => "pass_ring_full",
            Self::PassRefused => "pass_refused",
            Self::PassLinkDown => "pass_link_down",
            Self::PassKernel => "pass_kernel",
            Self::TxUnfinished => "tx_unfinished",
        }
    }
}

/// Frames dropped, by reason.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Frames dropped for `reason`.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Sets the count of `reason`.
    pub(crate) fn set(&mut self, reason: DropReason, frames: u64) {
        self.0[reason as usize] = frames;
    }

    /// Adds to the count of `reason`.
    pub(crate) fn add(&mut self, reason: DropReason, frames: u64) {
        self.0[reason as usize] += frames;
    }

    /// Frames dropped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each reason with its count, zero counts included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.0)
    }

    /// What came on top of `earlier`, reason by reason.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|i| {
            self.0[i].saturating_sub(earlier.0[i])
        }))
    }
}

impl std::ops::AddAssign for Drops {
    fn add_assign(&mut self, other: Self) {
        for (sum, frames) in self.0.iter_mut().zip(other.0) {
            *sum += frames;
        }
    }
}
