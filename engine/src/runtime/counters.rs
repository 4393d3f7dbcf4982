//! What is counted of frames, in one shape for an xsk, an interface, a worker and a
//! whole run.
//!
//! # Conservation
//!
//! A frame that the XDP program saw was steered to a queue, passed on to the
//! kernel, or dropped because a rule says so. One that was steered to a queue is
//! *in*. From there it is
//! transmitted (*out*), passed to the kernel's stack by the application, dropped for a [`DropReason`], or still on its way. Once the
//! engine has stopped nothing is on its way, and
//! `frames_in + frames_made == tx_frames + frames_passed_by_application + drops`, to the last frame.

use std::iter::Sum;
use std::ops::AddAssign;

use crate::kernel::KernelStatistics;
use crate::runtime::drops::{DropReason, Drops};

/// Counts since the engine started: of one xsk in [`XskStats`](crate::XskStats), and
/// [summed](crate::Snapshot::totals) over several.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames the XDP program redirected to the xsk. It counts by queue, so where
    /// several xsks share one, the others have the frames that they took or
    /// dropped, and the first has the rest.
    pub frames_in: u64,
    /// Frames the XDP program passed on to the kernel. With `frames_in` and the two
    /// below that were dropped it adds up to all that it saw. These four are known
    /// by [queue](crate::QueueStats), whether an xsk is bound to it or not, and so are
    /// zero for an xsk and in [worker totals](crate::Snapshot::worker_totals).
    pub frames_passed: u64,
    /// Those of them that were to go to an xsk that is not there.
    pub frames_passed_no_xsk: u64,
    /// Frames the XDP program dropped, as rules, flows or the default say.
    pub frames_dropped_by_rule: u64,
    /// Frames the XDP program dropped because they were to go to an xsk that is not
    /// there ([`NoXsk::Drop`](crate::NoXsk::Drop)).
    pub frames_dropped_no_xsk: u64,
    /// Frames the application made itself and sent, or tried to send, on the xsk
    /// ([`Outbox::allocate`](crate::Outbox::allocate)).
    pub frames_made: u64,
    /// Frames the worker took from the RX ring.
    pub rx_frames: u64,
    /// Bytes of those frames, without the frame check sequence.
    pub rx_bytes: u64,
    /// Frames that had to wait in the RX ring because the application held as many as a
    /// limit allows ([`LimitPolicy::Backpressure`](crate::LimitPolicy::Backpressure)), in
    /// chunks.
    pub rx_held_back: u64,
    /// Of `rx_frames`, those that were copied because the application held as many as a
    /// limit allows ([`LimitPolicy::CopyOut`](crate::LimitPolicy::CopyOut)).
    pub rx_copied_out: u64,
    /// Times that the application held as many as a [limit](crate::Limits) allows; once
    /// until it has given back an eighth.
    pub limit_reached: u64,
    /// Frames posted to the TX ring, less those the kernel dropped
    /// ([`DropReason::TxKernel`], [`DropReason::TxInvalid`]) and those whose
    /// completion is still to come.
    pub tx_frames: u64,
    /// Bytes of all frames posted to the TX ring.
    pub tx_bytes: u64,
    /// Frames posted to the TX ring whose completion is still to come.
    pub tx_in_flight: u64,
    /// Frames that the application [passed](crate::Outbox::pass) to the interface's stack,
    /// less those that the kernel dropped on the way ([`DropReason::PassKernel`]) and those whose
    /// completion is still to come. Where a worker has several xsks on the interface,
    /// they are with the first.
    pub frames_passed_by_application: u64,
    /// Frames the xsk received that were [copied out](crate::Frame::hold) of the UMEM. They are in
    /// no other count for that.
    pub frames_copied_out: u64,
    /// Frames the xsk received that were to be copied out, and stayed in their chunks, as
    /// there were [as many copies](crate::UmemConfig::copies) as there may be.
    pub frames_not_copied: u64,
    /// Copies the xsk sent, which were copied into a chunk of the UMEM.
    pub frames_copied_in: u64,
    /// System calls made to wake the kernel's TX side.
    pub tx_wakeups: u64,
    /// Frames that did not make it.
    pub drops: Drops,
    /// The kernel's counters of the socket.
    pub kernel: KernelStatistics,
}

impl Counters {
    /// Frames in and made that are neither out nor dropped: on their way while
    /// the engine runs (a snapshot is not one instant, so it may even be
    /// negative then), and zero over all interfaces after it has stopped.
    #[must_use]
    pub fn unaccounted(&self) -> i128 {
        i128::from(self.frames_in) + i128::from(self.frames_made)
            - i128::from(self.tx_frames)
            - i128::from(self.frames_passed_by_application)
            - i128::from(self.drops.total())
    }

    /// Frames that reached the xsk, or were dropped on the way and counted for it.
    pub(crate) fn received_or_dropped(&self) -> u64 {
        let dropped = [
            DropReason::RxNoChunk,
            DropReason::RxTooLong,
            DropReason::RxRingFull,
            DropReason::RxThrottled,
            DropReason::RxInvalid,
        ];
        let dropped = dropped.into_iter().map(|reason| self.drops.get(reason));
        self.rx_frames + dropped.sum::<u64>()
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        // Whole, so that a count that is added later is not forgotten here.
        let Self {
            frames_in,
            frames_passed,
            frames_passed_no_xsk,
            frames_dropped_by_rule,
            frames_dropped_no_xsk,
            frames_made,
            rx_frames,
            rx_bytes,
            rx_held_back,
            rx_copied_out,
            limit_reached,
            tx_frames,
            tx_bytes,
            tx_in_flight,
            frames_passed_by_application,
            frames_copied_out,
            frames_not_copied,
            frames_copied_in,
            tx_wakeups,
            drops,
            kernel,
        } = other;
        self.frames_in += frames_in;
        self.frames_passed += frames_passed;
        self.frames_passed_no_xsk += frames_passed_no_xsk;
        self.frames_dropped_by_rule += frames_dropped_by_rule;
        self.frames_dropped_no_xsk += frames_dropped_no_xsk;
        self.frames_made += frames_made;
        self.rx_frames += rx_frames;
        self.rx_bytes += rx_bytes;
        self.rx_held_back += rx_held_back;
        self.rx_copied_out += rx_copied_out;
        self.limit_reached += limit_reached;
        self.tx_frames += tx_frames;
        self.tx_bytes += tx_bytes;
        self.tx_in_flight += tx_in_flight;
        self.frames_passed_by_application += frames_passed_by_application;
        self.frames_copied_out += frames_copied_out;
        self.frames_not_copied += frames_not_copied;
        self.frames_copied_in += frames_copied_in;
        self.tx_wakeups += tx_wakeups;
        self.drops += drops;
        self.kernel += kernel;
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |mut sum, each| {
            sum += each;
            sum
        })
    }
}

impl<'a> Sum<&'a Counters> for Counters {
    fn sum<I: Iterator<Item = &'a Self>>(counters: I) -> Self {
        counters.copied().sum()
    }
}
