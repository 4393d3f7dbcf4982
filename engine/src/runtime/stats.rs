//! What the engine counted, as plain values: a [`Snapshot`] while it runs, and
//! the last one in the [`Summary`](crate::Summary).
//!
//! # Conservation
//!
//! A frame that the XDP program saw was steered to a queue, passed on to the
//! kernel, or dropped because a rule says so. One that was steered to a queue is
//! *in*. From there it is
//! handed to the kernel's TX side (*out*), dropped for a [`DropReason`], or
//! still on its way. Once the engine has stopped nothing is on its way, and
//! `frames_in + frames_made == frames_out + drops`, to the last frame.

use std::time::Duration;

use crate::kernel::{InterfaceId, KernelStatistics};
use crate::memory::Audit;
use crate::steering::RuleHits;

/// Why a frame did not make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// The kernel found no chunk in the fill ring, or the frame was longer than
    /// a chunk (`rx_dropped` of `XDP_STATISTICS`).
    RxNoChunk,
    /// The kernel found the RX ring full: the worker was too slow
    /// (`rx_ring_full` of `XDP_STATISTICS`, Linux 5.9).
    RxRingFull,
    /// The XDP program redirected the frame, but the worker never got it, and it
    /// is in none of the socket's counters: the queue was not bound yet or any
    /// more, or the frame was still in the RX ring at the end. Known, and not
    /// zero, only in the [`Summary`]; it is not among the `metrics`.
    RxUndelivered,
    /// The application held so many chunks that too few were left to receive
    /// into.
    RxThrottled,
    /// The kernel's descriptor failed the ledger's checks.
    RxInvalid,
    /// The application dropped the frame.
    Application,
    /// The TX ring had no free slot when the application sent the frame.
    TxRingFull,
    /// The application sent a frame that cannot be sent: empty, to an
    /// interface on which the worker has no queue that sends, or of another
    /// UMEM.
    TxRefused,
    /// The kernel took the frame and dropped it (`EBUSY` from `sendto`: the
    /// peer is down or its queue is full, or the frame exceeds the MTU).
    TxKernel,
    /// The kernel called the TX descriptor invalid (`tx_invalid_descs`).
    TxInvalid,
    /// The frame was still with the kernel when the engine stopped.
    TxUnfinished,
}

impl DropReason {
    /// Every reason, in the order frames meet them.
    pub const ALL: [Self; 11] = [
        Self::RxNoChunk,
        Self::RxRingFull,
        Self::RxUndelivered,
        Self::RxThrottled,
        Self::RxInvalid,
        Self::Application,
        Self::TxRingFull,
        Self::TxRefused,
        Self::TxKernel,
        Self::TxInvalid,
        Self::TxUnfinished,
    ];

    /// The reason as a label for metrics and JSON, in `snake_case`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::RxNoChunk => "rx_no_chunk",
            Self::RxRingFull => "rx_ring_full",
            Self::RxUndelivered => "rx_undelivered",
            Self::RxThrottled => "rx_throttled",
            Self::RxInvalid => "rx_invalid",
            Self::Application => "application",
            Self::TxRingFull => "tx_ring_full",
            Self::TxRefused => "tx_refused",
            Self::TxKernel => "tx_kernel",
            Self::TxInvalid => "tx_invalid",
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

/// The counters of one xsk of one queue of one interface since the engine
/// started; most queues have one xsk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XskStats {
    /// The interface, in the order the builder was told of them.
    pub interface: InterfaceId,
    /// The queue's index on the interface.
    pub queue: u32,
    /// Which of the queue's xsks, from 0.
    pub xsk: u8,
    /// The worker that drives the queue.
    pub worker: usize,
    /// Frames the XDP program redirected to the xsk. It counts by queue, so where
    /// several xsks share one, the others have the frames that they took or
    /// dropped, and the first has the rest.
    pub frames_in: u64,
    /// Frames the XDP program passed on to the kernel from the queue. With
    /// `frames_in` and `frames_dropped_by_rule` it adds up to all that it saw.
    /// Where several xsks share the queue, this and the next two are with the
    /// first, and zero for the others.
    pub frames_passed: u64,
    /// Those of them that were to go to an xsk that is not there.
    pub frames_passed_no_xsk: u64,
    /// Frames the XDP program dropped, as rules or flows say.
    pub frames_dropped_by_rule: u64,
    /// Frames the worker took from the RX ring.
    pub rx_frames: u64,
    /// Bytes of those frames, without the frame check sequence.
    pub rx_bytes: u64,
    /// Frames handed to the kernel for sending, less those it dropped
    /// ([`DropReason::TxKernel`], [`DropReason::TxInvalid`]) and those whose
    /// completion is still to come.
    pub tx_frames: u64,
    /// Bytes of all frames handed to the kernel for sending.
    pub tx_bytes: u64,
    /// Frames handed to the kernel whose completion is still to come.
    pub tx_in_flight: u64,
    /// Frames that did not make it.
    pub drops: Drops,
    /// System calls made to wake the kernel's TX side.
    pub tx_wakeups: u64,
    /// The kernel's counters of the socket.
    pub kernel: KernelStatistics,
}

impl XskStats {
    /// Frames that reached the xsk, or were dropped on the way and counted for it.
    pub(crate) fn received_or_dropped(&self) -> u64 {
        let dropped = [
            DropReason::RxNoChunk,
            DropReason::RxRingFull,
            DropReason::RxThrottled,
            DropReason::RxInvalid,
        ];
        let dropped = dropped.into_iter().map(|reason| self.drops.get(reason));
        self.rx_frames + dropped.sum::<u64>()
    }
}

/// The counters of one worker since the engine started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// The worker, from 0.
    pub worker: usize,
    /// The CPU the worker is pinned to.
    pub cpu: Option<usize>,
    /// CPU time the worker's thread used (user and system).
    pub cpu_time: Duration,
    /// Rounds of the loop.
    pub rounds: u64,
    /// Times the worker went to sleep in `poll(2)`.
    pub sleeps: u64,
    /// Frames the application made itself and sent
    /// ([`Outbox::allocate`](crate::Outbox::allocate)).
    pub frames_made: u64,
    /// Ring entries from the kernel that failed a check. Not zero is a bug in
    /// the kernel, a driver or Wharf.
    pub violations: u64,
}

/// All counters at one moment.
///
/// Workers publish theirs once a round, so the counters of different workers,
/// and of the kernel, are from slightly different moments while traffic runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Time since the engine started.
    pub elapsed: Duration,
    /// One entry per xsk, ordered by interface, then queue, then xsk.
    pub queues: Vec<XskStats>,
    /// One entry per worker.
    pub workers: Vec<WorkerStats>,
}

/// Sums over queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// See [`XskStats::frames_in`].
    pub frames_in: u64,
    /// Frames the application made itself; only in [`Snapshot::totals`].
    pub frames_made: u64,
    /// See [`XskStats::rx_frames`].
    pub rx_frames: u64,
    /// See [`XskStats::rx_bytes`].
    pub rx_bytes: u64,
    /// See [`XskStats::tx_frames`].
    pub tx_frames: u64,
    /// See [`XskStats::tx_bytes`].
    pub tx_bytes: u64,
    /// See [`XskStats::tx_in_flight`].
    pub tx_in_flight: u64,
    /// See [`XskStats::tx_wakeups`].
    pub tx_wakeups: u64,
    /// See [`XskStats::drops`].
    pub drops: Drops,
}

impl Totals {
    fn add(&mut self, queue: &XskStats) {
        self.frames_in += queue.frames_in;
        self.rx_frames += queue.rx_frames;
        self.rx_bytes += queue.rx_bytes;
        self.tx_frames += queue.tx_frames;
        self.tx_bytes += queue.tx_bytes;
        self.tx_in_flight += queue.tx_in_flight;
        self.tx_wakeups += queue.tx_wakeups;
        self.drops += queue.drops;
    }

    /// Frames in and made that are neither out nor dropped: on their way while
    /// the engine runs (a snapshot is not one instant, so it may even be
    /// negative then), and zero after it has stopped.
    #[must_use]
    pub fn unaccounted(&self) -> i128 {
        i128::from(self.frames_in) + i128::from(self.frames_made)
            - i128::from(self.tx_frames)
            - i128::from(self.drops.total())
    }
}

impl Snapshot {
    /// The sums over all queues and workers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.queues.iter().for_each(|queue| totals.add(queue));
        totals.frames_made = self.workers.iter().map(|worker| worker.frames_made).sum();
        totals
    }

    /// The sums over the queues of one interface.
    #[must_use]
    pub fn interface_totals(&self, interface: InterfaceId) -> Totals {
        let mut totals = Totals::default();
        self.queues
            .iter()
            .filter(|queue| queue.interface == interface)
            .for_each(|queue| totals.add(queue));
        totals
    }
}

/// What a stopped engine leaves: its last counters and where every chunk was.
#[derive(Debug)]
pub struct Summary {
    /// The last counters, exact.
    pub stats: Snapshot,
    /// Frames by what decided about them, for each interface in the builder's
    /// order; the last counts, too. Empty when the kernel did not tell.
    pub rule_hits: Vec<RuleHits>,
    /// One audit per worker's UMEM, taken before its queues were closed.
    pub audits: Vec<Audit>,
    /// Workers that the engine had.
    pub workers: usize,
    /// Why the engine stopped: `Ok` when it was asked to, else the first error.
    pub outcome: Result<(), crate::Error>,
}

impl Summary {
    /// Whether every worker has an audit that balances, and every frame is
    /// accounted for: sent, dropped for a reason, or still held by the
    /// application.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let held: u64 = self.audits.iter().map(Audit::held).sum();
        self.audits.len() == self.workers
            && self.audits.iter().all(Audit::is_balanced)
            && self.stats.totals().unaccounted() == i128::from(held)
    }
}
