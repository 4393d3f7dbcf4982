//! The receiving half of an xsk: posts chunks to the fill ring of its queue, and
//! takes frames from its RX ring.
//!
//! # Flow control
//!
//! A queue, with all its xsks, has a limit on the chunks charged to it: posted,
//! received, held by the application and in transmit. Posting stops at the limit.
//! What the application of an xsk holds may be limited as well. Where it holds so many
//! that fewer than the floor would be left with the kernel, or more than it may, a
//! [`LimitPolicy`](crate::LimitPolicy) says what becomes of the frames that arrive; each
//! keeps the floor with the kernel, as on some drivers a NIC whose fill ring ran dry never
//! starts again. Frames that the application leaves in a batch stay in the RX ring; what
//! the kernel then drops, it counts.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::batch::{Batch, Receiving};
use super::checksums::Checksums;
use super::counters::RxCounters;
use super::limits::{XskLimits, XskUsage};
use super::queue_state::Membership;
use super::ring::RxRing;
use super::tx::TxHalf;
use crate::kernel::sys::if_xdp::Statistics;
use crate::kernel::sys::socket;
use crate::kernel::{CopyMode, InterfaceId, KernelStatistics, QueueIndex, XskIndex};
use crate::memory::{Limits, LimitsError, UmemState};

/// The receiving half of an xsk, borrowed: see [`Xsk::rx`](super::Xsk::rx).
///
/// Exchanging two of these exchanges which xsks two variables stand for, and
/// nothing in the xsks.
pub struct XskRx<'a>(pub(super) &'a mut RxHalf);

/// The receiving half of an xsk.
pub(crate) struct RxHalf {
    umem: Rc<UmemState>,
    member: Rc<Membership>,
    interface: InterfaceId,
    queue: QueueIndex,
    mode: CopyMode,
    pub(super) receiving: Receiving,
}

impl<'a> XskRx<'a> {
    pub(super) fn new(half: &'a mut RxHalf) -> Self {
        Self(half)
    }

    /// Returns up to `max` received frames, which the iterator takes from
    /// the RX ring one by one. Frames not taken stay there, except those that the
    /// application holds too many chunks to get, which are dropped and counted.
    /// A frame in several chunks counts as so many. No system call.
    #[inline]
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        self.0.receive(max)
    }

    /// Posts as many chunks to the fill ring as it, the limit and the pool
    /// allow. No system call unless the driver asks to be woken, in zero-copy
    /// mode. It does so for all xsks of the queue, which share the fill ring.
    #[inline]
    pub fn top_up(&mut self) {
        self.0.top_up();
    }

    /// Whether frames wait in the RX ring.
    pub fn has_frames(&mut self) -> bool {
        self.0.has_frames()
    }

    /// Chunks charged to the queue, whichever of its xsks got them: posted, held by
    /// the application, in transmit.
    #[must_use]
    pub fn charged(&self) -> u32 {
        self.0.charged()
    }

    /// Chunks that the application holds of those that the xsk received, detached ones
    /// included. A frame in several chunks counts as so many.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.0.held()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> RxCounters {
        self.0.counters()
    }

    /// Received frames that the application dropped, instead of sending them.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.0.discarded()
    }

    /// Received frames that were copied out of the UMEM: see [`Frame::hold`](crate::Frame::hold).
    #[must_use]
    pub fn copied_out(&self) -> u64 {
        self.0.copied_out().0
    }

    /// Received frames that were to be copied out, and stayed where they were because
    /// [no more](crate::UmemConfig::copies) can be.
    #[must_use]
    pub fn not_copied(&self) -> u64 {
        self.0.copied_out().1
    }

    /// The interface, by the caller's name for it.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.0.interface
    }

    /// The queue's index.
    #[must_use]
    pub fn queue(&self) -> QueueIndex {
        self.0.queue
    }

    /// Which of the queue's xsks it is.
    #[must_use]
    pub fn xsk(&self) -> XskIndex {
        self.0.xsk()
    }

    /// The kernel's counters of the socket; zero for a simulated xsk. One
    /// system call.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn kernel_statistics(&self) -> io::Result<KernelStatistics> {
        self.0.kernel_statistics()
    }
}

impl RxHalf {
    pub(super) fn new(
        member: &Rc<Membership>,
        ring: RxRing,
        (interface, queue): (InterfaceId, QueueIndex),
        mode: CopyMode,
        checksums: Checksums,
    ) -> Self {
        Self {
            umem: Rc::clone(member.queue().umem()),
            member: Rc::clone(member),
            interface,
            queue,
            mode,
            receiving: Receiving::new(ring, checksums),
        }
    }

    /// See [`XskRx::receive`].
    #[inline]
    pub(crate) fn receive(&mut self, max: u32) -> Batch<'_> {
        Batch::new(
            &self.umem,
            &self.member,
            &mut self.receiving,
            (self.interface, self.queue),
            max,
        )
    }

    /// See [`XskRx::top_up`].
    #[inline]
    pub(crate) fn top_up(&mut self) {
        self.umem.collect_returns();
        if self.member.queue().may_post() {
            self.post();
        }
    }

    #[inline(never)]
    fn post(&self) {
        let posted = self.member.queue().post();
        // In copy mode the kernel never asks, and looking costs a fence.
        if posted > 0 && self.mode == CopyMode::ZeroCopy {
            self.wake_if_wanted();
        }
    }

    #[cold]
    fn wake_if_wanted(&self) {
        if self.member.queue().fill_wants_wakeup()
            && let Some(socket) = self.member.socket()
        {
            // It fails on a socket that has died, which shows elsewhere.
            let _ = socket::kick_rx(socket);
        }
    }

    /// See [`XskRx::has_frames`].
    #[inline]
    pub(crate) fn has_frames(&mut self) -> bool {
        self.receiving.has_frames(&self.umem, &self.member)
    }

    /// Drops what came of a frame whose end is still to come, and counts it as
    /// invalid: nothing more is received.
    pub(crate) fn abandon(&mut self) {
        self.receiving.abandon(&self.umem, &self.member);
    }

    /// Notes whether the interface has an RX queue of this index.
    pub(crate) fn set_receives(&self, receives: bool) {
        self.member.queue().set_receives(receives);
    }

    /// Whether the queue and the xsk could have such limits.
    pub(crate) fn check_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        let limits = self.member.queue().in_chunks(limits)?;
        self.member.check_limits(&limits)
    }

    /// Limits the queue and the xsk, of which `tx` is the sending half.
    pub(crate) fn set_limits(
        &mut self,
        limits: &Limits,
        tx: &mut TxHalf,
    ) -> Result<(), LimitsError> {
        let limits = self.member.queue().in_chunks(limits)?;
        self.member.set_limits(&limits)?;
        tx.limit_in_transmit(limits.in_transmit);
        Ok(())
    }

    /// The limits of the queue and of the xsk, of which `tx` is the sending half.
    pub(crate) fn limits(&self, tx: &TxHalf) -> XskLimits {
        let queue = self.member.queue();
        XskLimits {
            chunks: queue.limit(),
            floor: queue.floor(),
            held: self.member.most_held(),
            in_transmit: tx.most_in_transmit(),
            policy: self.member.policy(),
        }
    }

    /// What the queue and the xsk use, of which `tx` is the sending half.
    pub(crate) fn usage(&self, tx: &TxHalf) -> XskUsage {
        XskUsage {
            charged: self.charged(),
            held: self.held(),
            in_transmit: tx.chunks_in_flight(),
            is_limited: self.receiving.is_limited() && !self.member.is_relieved(),
        }
    }

    /// Chunks that the application holds of those that the xsk received.
    pub(crate) fn held(&self) -> u32 {
        self.member.held().wrapping_add(self.receiving.taken())
    }

    pub(crate) fn charged(&self) -> u32 {
        self.member.queue().charged()
    }

    pub(crate) fn counters(&self) -> RxCounters {
        self.receiving.counters()
    }

    pub(crate) fn discarded(&self) -> u64 {
        self.umem.discarded(self.member.records().xsk)
    }

    /// Frames that were copied out, and those that were to be and were not.
    pub(crate) fn copied_out(&self) -> (u64, u64) {
        self.umem.copied_out(self.member.records().xsk)
    }

    pub(crate) fn interface(&self) -> InterfaceId {
        self.interface
    }

    pub(crate) fn queue(&self) -> QueueIndex {
        self.queue
    }

    pub(crate) fn xsk(&self) -> XskIndex {
        self.member.index()
    }

    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.member.socket()
    }

    pub(crate) fn kernel_statistics(&self) -> io::Result<KernelStatistics> {
        let statistics = match self.member.socket() {
            Some(socket) => socket::statistics(socket)?,
            None => Statistics::default(),
        };
        Ok(KernelStatistics {
            rx_dropped: statistics.rx_dropped,
            rx_invalid_descs: statistics.rx_invalid_descs,
            tx_invalid_descs: statistics.tx_invalid_descs,
            rx_ring_full: statistics.rx_ring_full,
            rx_fill_ring_empty_descs: statistics.rx_fill_ring_empty_descs,
            tx_ring_empty_descs: statistics.tx_ring_empty_descs,
        })
    }

    /// Frames that were longer than a chunk, of those in `rx_dropped`; zero where they
    /// cannot be told apart.
    ///
    /// In copy mode the kernel drops a frame because it is too long, or because the
    /// fill ring is empty, and counts that as well, for the queue
    /// (`xsk_rcv_check`, `__xsk_rcv`, `__xp_alloc`, Linux 5.9 to 7.3). So with one
    /// xsk on the queue the rest was too long. With frames in several chunks a fill
    /// ring may have some chunks and too few; in zero copy the driver takes them.
    pub(crate) fn too_long(&self, statistics: &KernelStatistics) -> u64 {
        let is_told = self.mode == CopyMode::Copy
            && !self.umem.takes_multi_buffer()
            && self.member.is_alone();
        if is_told {
            let KernelStatistics {
                rx_dropped,
                rx_fill_ring_empty_descs,
                ..
            } = statistics;
            rx_dropped.saturating_sub(*rx_fill_ring_empty_descs)
        } else {
            0
        }
    }

    /// Ring indices and entries from the kernel that failed a check. Those of the
    /// two shared rings are the first xsk's.
    pub(crate) fn violations(&self) -> u64 {
        let counters = self.counters();
        self.member.shared_faults() + self.receiving.faults() + counters.invalid
    }
}

impl Drop for RxHalf {
    /// Frames in the RX ring are ours, and no other xsk gets them. What arrives
    /// from now on keeps its chunk until the last xsk of the queue goes.
    fn drop(&mut self) {
        self.receiving.close(&self.umem, &self.member);
    }
}

impl std::fmt::Debug for RxHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XskRx")
            .field("interface", &self.interface)
            .field("queue", &self.queue)
            .field("xsk", &self.xsk())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for XskRx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
