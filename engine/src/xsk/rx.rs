//! The receiving half of a queue: lends chunks to the kernel through the fill
//! ring, and takes frames from the RX ring.
//!
//! # Flow control
//!
//! A queue, with all its xsks, has a limit on the chunks charged to it: lent,
//! received, held by the application and in transmit. Lending stops at the limit.
//! When the
//! application holds so many that fewer than the floor would be left with the
//! kernel, the newest frames are dropped, counted, and their chunks lent again: on
//! some drivers a NIC whose fill ring ran dry never starts again. Frames that the
//! application leaves in a batch stay in the RX ring; what the kernel then drops,
//! it counts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::assembly::Assembly;
use super::group::FillSide;
use crate::kernel::CopyMode;
use crate::kernel::KernelStatistics;
use crate::kernel::QueueIndex;
use crate::kernel::XskIndex;
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::sys::if_xdp::{Descriptor, Statistics};
use crate::kernel::sys::socket;
use crate::memory;
use crate::memory::frame::{Frame, Pieces};
use crate::memory::geometry::{Geometry, Place};
use crate::memory::ledger::XskRecords;
use crate::xsk::ring::RxRing;

/// The receiving half of a queue.
pub struct XskRx {
    pub(super) umem: Rc<memory::UmemState>,
    pub(super) seat: XskRecords,
    /// Shared by the xsks of the queue.
    pub(super) fill: Rc<FillSide>,
    pub(super) ring: RxRing,
    /// `None` for a simulated queue.
    pub(super) socket: Option<Rc<OwnedFd>>,
    pub(super) interface: InterfaceId,
    pub(super) queue: QueueIndex,
    pub(super) xsk: XskIndex,
    pub(super) geometry: Geometry,
    /// Lent chunks that came back here, as far as the fill side has been told.
    pub(super) returned: u64,
    /// Lent chunks that came back and are in no counter of frames: with senseless
    /// descriptors, or in frames that have several.
    pub(super) uncounted: u64,
    /// The frame whose descriptors are coming, if frames have several.
    pub(super) assembly: Assembly,
    /// `Copy` for a simulated queue.
    pub(super) mode: CopyMode,
    pub(super) counters: RxCounters,
}

/// What the receiving half counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxCounters {
    /// Frames received.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames with a descriptor that failed a check, whose chunk is quarantined
    /// if the queue had lent it, or whose end never came.
    pub invalid: u64,
    /// Frames dropped because the application held too many chunks.
    pub throttled: u64,
}

impl XskRx {
    /// Gives up to `max` received frames, which the returned iterator takes from
    /// the RX ring one by one. Frames not taken stay there, except those that the
    /// application holds too many chunks to get, which are dropped and counted.
    /// A frame in several chunks counts as so many. No system call.
    pub fn receive(&mut self, max: u32) -> Batch<'_> {
        self.tell_returned();
        let available = self.ring.available();
        let ready = available.min(max);
        let spare = self.fill.room().min(self.umem.free_chunks());
        let reach = self.fill.with_kernel() + u64::from(spare);
        let deliverable = reach.saturating_sub(u64::from(self.fill.floor));
        let left = ready.min(u32::try_from(deliverable).unwrap_or(u32::MAX));
        Batch {
            left,
            excess: ready - left,
            rx: self,
        }
    }

    /// Lends the kernel as many chunks as the fill ring, the limit and the pool
    /// allow. No system call unless the driver asks to be woken, in zero-copy
    /// mode. It does so for all xsks of the queue, which share the fill ring.
    pub fn top_up(&mut self) {
        self.umem.collect_returns();
        let lent = self.fill.lend();
        // In copy mode the kernel never asks, and looking costs a fence.
        if lent > 0
            && self.mode == CopyMode::ZeroCopy
            && self.fill.wants_wakeup()
            && let Some(socket) = &self.socket
        {
            // It fails on a socket that has died, which shows elsewhere.
            let _ = socket::kick_rx(socket.as_fd());
        }
    }

    /// Chunks charged to the queue, whichever of its xsks got them: lent, held by
    /// the application, in transmit.
    #[must_use]
    pub fn charged(&self) -> u32 {
        self.fill.charged()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> RxCounters {
        self.counters
    }

    /// Received frames that the application dropped, instead of sending them.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.umem.ledger.discarded(self.seat.member)
    }

    /// The interface, by the name that the caller gave it.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// The queue's index.
    #[must_use]
    pub fn queue(&self) -> QueueIndex {
        self.queue
    }

    /// Which of the queue's xsks it is.
    #[must_use]
    pub fn xsk(&self) -> XskIndex {
        self.xsk
    }

    /// The kernel's counters of the socket; zero for a simulated queue. One
    /// system call.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn kernel_statistics(&self) -> io::Result<KernelStatistics> {
        let statistics = match &self.socket {
            Some(socket) => socket::statistics(socket.as_fd())?,
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

    /// The socket, to wait for frames on. `None` for a simulated queue.
    ///
    /// Waiting on it with `poll(2)` in copy mode also sends what is in the TX
    /// ring, and swallows errors that tell of lost frames: wake the sending half
    /// until nothing is pending before.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether frames wait in the RX ring.
    pub fn has_frames(&mut self) -> bool {
        self.ring.available() > 0
    }

    pub(super) fn faults(&self) -> u64 {
        self.fill.faults(self.xsk) + self.ring.faults()
    }

    /// Checks what the kernel says of a received frame, and makes it the
    /// application's.
    #[inline]
    fn accept(&mut self, descriptor: Descriptor) -> Option<Frame> {
        let geometry = &self.geometry;
        if let Some(place) = geometry.place(descriptor.addr) {
            let fits = geometry.fits(place.offset, descriptor.len);
            if fits && descriptor.options == 0 && self.assembly.is_idle() {
                if let Ok(claim) = self.umem.ledger.receive(place.chunk, &self.seat) {
                    self.counters.frames += 1;
                    self.counters.bytes += u64::from(descriptor.len);
                    let umem = Rc::clone(&self.umem);
                    return Some(Frame::new(umem, claim, place.offset, descriptor.len));
                }
                self.counters.invalid += 1;
                return None;
            }
        }
        self.assemble(descriptor);
        None
    }

    #[cold]
    pub(super) fn quarantine(&mut self, place: Place) {
        let group = self.seat.group;
        if self.umem.ledger.quarantine(place.chunk, group).is_ok() {
            self.uncounted += 1;
        }
    }

    /// Drops what came of a frame whose end is still to come, and counts it as
    /// invalid: nothing more is received.
    pub(crate) fn abandon(&mut self) {
        self.give_up();
        self.tell_returned();
    }

    /// Tells the fill side of the lent chunks that came back since last time.
    #[inline]
    fn tell_returned(&mut self) {
        let counted = self.counters.frames + self.counters.throttled + self.uncounted;
        let returned = counted + u64::from(self.assembly.chunks());
        self.fill.note_returned(returned - self.returned);
        self.returned = returned;
    }

    /// Takes the next of the available descriptors and drops its frame.
    #[cold]
    fn drop_newest(&mut self) {
        if let Some(descriptor) = self.ring.take() {
            self.throttle(descriptor);
        }
    }
}

impl Drop for XskRx {
    /// Frames in the RX ring are ours, and no other xsk gets them. What arrives
    /// from now on keeps its chunk until the last xsk of the queue goes.
    fn drop(&mut self) {
        self.abandon();
        self.ring.available();
        while let Some(descriptor) = self.ring.take() {
            if self
                .umem
                .drop_received(descriptor.addr, self.seat.group)
                .is_ok()
            {
                self.fill.note_returned(1);
            }
        }
        self.ring.release();
        self.fill.leave(self.xsk);
    }
}

impl std::fmt::Debug for XskRx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XskRx")
            .field("interface", &self.interface)
            .field("queue", &self.queue)
            .field("xsk", &self.xsk)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// Received frames of one queue, taken from the RX ring as they are asked for.
///
/// Dropping it hands the slots of the frames taken back to the kernel; frames
/// not taken are in the next batch.
#[derive(Debug)]
pub struct Batch<'a> {
    rx: &'a mut XskRx,
    /// Descriptors left to take.
    left: u32,
    /// Descriptors behind those, which the application holds too many chunks to
    /// get.
    excess: u32,
}

impl Batch<'_> {
    /// The interface the frames came in on.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.rx.interface
    }

    /// The queue the frames came in on.
    #[must_use]
    pub fn queue(&self) -> QueueIndex {
        self.rx.queue
    }

    /// Which of the queue's xsks got the frames: the first, unless several share
    /// the queue and a rule named another.
    #[must_use]
    pub fn xsk(&self) -> XskIndex {
        self.rx.xsk
    }

    /// Frames left to take, at most: frames that fail a check are passed over,
    /// and one in several chunks counts as so many.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.left
    }

    /// Whether no frame is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl Batch<'_> {
    /// Takes the rest of a frame of which the first descriptor has been taken,
    /// beyond what was asked for if need be. `None` if it is broken, or has not
    /// come yet. In [`Pieces`] for the sake of `next`.
    #[cold]
    #[inline(never)]
    fn finish(&mut self) -> Option<Pieces> {
        loop {
            if let Some(frame) = self.rx.assembled() {
                return Some(frame.into_pieces());
            }
            if self.rx.assembly.is_idle() {
                return None;
            }
            let descriptor = self.rx.ring.take()?;
            match self.left {
                0 => self.excess = self.excess.saturating_sub(1),
                _ => self.left -= 1,
            }
            self.rx.assemble(descriptor);
        }
    }
}

impl Iterator for Batch<'_> {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        while self.left > 0 {
            self.left -= 1;
            let descriptor = self.rx.ring.take()?;
            if let Some(frame) = self.rx.accept(descriptor) {
                return Some(frame);
            }
            if !self.rx.assembly.is_idle()
                && let Some(pieces) = self.finish()
            {
                return Some(Frame::from_pieces(pieces));
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.left == 0 {
            for _ in 0..self.excess {
                self.rx.drop_newest();
            }
        }
        self.rx.ring.release();
        self.rx.tell_returned();
    }
}
