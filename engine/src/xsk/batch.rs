//! A batch of received frames, taken from the RX ring as they are asked for.
//!
//! The busy path takes frames in one chunk from a row of the ring, and does nothing
//! else; all that is rare is one function away, which takes one frame in any way
//! and begins the next row: the end of the ring, frames in several chunks, unaligned
//! chunks, senseless descriptors, and frames whose checksums may be undone.
//!
//! What was taken is in the ring itself and in [`Receiving`], not in the batch: a
//! batch that is forgotten instead of dropped is ended by the next one.
#![expect(unsafe_code, reason = "frames of the handles that a batch reserves")]

use std::rc::Rc;

use super::assembly::{Assembly, Outcome, Throttled};
use super::checksums::Checksums;
use super::counters::RxCounters;
use super::queue_state::Membership;
use super::ring::{Entry, RxRing};
use crate::kernel::sys::if_xdp::Descriptor;
use crate::kernel::{InterfaceId, QueueIndex, XskIndex};
use crate::memory::crossing::{Receiver, receive_reserved};
use crate::memory::frame::{Frame, Pieces};
use crate::memory::handle::Handle;
use crate::memory::ledger::XskRecords;
use crate::memory::{LimitPolicy, UmemState};

/// Received frames of one xsk, taken from the RX ring as they are asked for.
///
/// Dropping it hands the slots of the frames taken back to the kernel; frames
/// not taken are in the next batch.
pub struct Batch<'a> {
    umem: &'a Rc<UmemState>,
    member: &'a Membership,
    receiving: &'a mut Receiving,
    receiver: Receiver<'a>,
    source: (InterfaceId, QueueIndex),
}

/// How far an xsk is with what it receives.
pub(super) struct Receiving {
    ring: RxRing,
    /// Bytes of the frames received.
    bytes: u64,
    /// Descriptors of the batch that are left to take, from the start of the row on. As
    /// many handles are reserved.
    left: u32,
    /// Descriptors behind those that are dropped, because the application holds too many
    /// chunks to get them.
    excess: u32,
    /// Descriptors behind those that are left to take, and copied as they are taken.
    copies: u32,
    /// Whether frames are copied that are not among those left to take.
    is_copying: bool,
    /// Whether a limit was reached, and not enough has been given back since.
    is_limited: bool,
    /// Whether a batch is under way.
    is_open: bool,
    /// Posted chunks that came back by the start of the row, and which the queue does
    /// not know of.
    returned: u64,
    /// Chunks taken by the start of the row that the ledger does not count as held.
    held: u32,
    /// Whether frames lack checksums, and get them: what is known at the bind.
    checksums: Checksums,
    /// The frame whose descriptors are coming, if frames have several.
    assembly: Assembly,
    /// Without the bytes.
    counters: RxCounters,
}

impl<'a> Batch<'a> {
    #[inline]
    pub(super) fn new(
        umem: &'a Rc<UmemState>,
        member: &'a Membership,
        receiving: &'a mut Receiving,
        source: (InterfaceId, QueueIndex),
        max: u32,
    ) -> Self {
        receiving.begin(umem, member, max);
        Self {
            receiver: Receiver::new(umem, member.records()),
            umem,
            member,
            receiving,
            source,
        }
    }

    /// The interface the frames came in on.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.source.0
    }

    /// The queue the frames came in on.
    #[must_use]
    pub fn queue(&self) -> QueueIndex {
        self.source.1
    }

    /// Which of the queue's xsks got the frames: the first, unless several share
    /// the queue and a rule named another.
    #[must_use]
    pub fn xsk(&self) -> XskIndex {
        self.member.index()
    }

    /// Frames left to take, at most: frames that fail a check are passed over,
    /// and one in several chunks counts as so many.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u32 {
        self.receiving.left + self.receiving.copies - self.receiving.ring.row_used()
    }

    /// Whether no frame is left.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Iterator for Batch<'_> {
    type Item = Frame;

    // Always, so that a loop has the frame in registers.
    #[inline(always)]
    fn next(&mut self) -> Option<Frame> {
        if let Some(entry) = self.receiving.ring.take() {
            let descriptor = entry.value();
            // SAFETY: a row has at most as many descriptors as handles are reserved
            // at its start, and this uses one with each that it takes.
            let frame = unsafe { self.receiver.frame(descriptor) };
            if let Some(frame) = frame {
                entry.take();
                self.receiving.bytes += descriptor.extent();
                return Some(frame);
            }
        }
        if self.is_empty() {
            return None;
        }
        let pieces = self.receiving.next_slowly(self.umem, self.member);
        pieces.map(Frame::from_pieces)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.len() as usize))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.receiving.end(self.umem, self.member);
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("interface", &self.interface())
            .field("queue", &self.queue())
            .field("xsk", &self.xsk())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Finishes the checksum of a frame that lacks it.
fn finish(frame: Pieces) -> Pieces {
    let mut frame = Frame::from_pieces(frame);
    frame.finish_checksum();
    frame.into_pieces()
}

impl Receiving {
    pub(super) fn new(ring: RxRing, checksums: Checksums) -> Self {
        Self {
            ring,
            checksums,
            bytes: 0,
            left: 0,
            excess: 0,
            copies: 0,
            is_copying: false,
            is_limited: false,
            is_open: false,
            returned: 0,
            held: 0,
            assembly: Assembly::Idle,
            counters: RxCounters::default(),
        }
    }

    /// Begins a batch of up to `max` descriptors.
    #[inline]
    fn begin(&mut self, umem: &Rc<UmemState>, member: &Membership, max: u32) {
        if self.is_open {
            // It was forgotten.
            self.end(umem, member);
        }
        let ready = self.ring.available().min(max);
        if ready > 0 {
            self.open(umem, member, ready);
        }
    }

    fn open(&mut self, umem: &Rc<UmemState>, member: &Membership, ready: u32) {
        self.is_open = true;
        self.left = member.deliverable(ready);
        if self.left < ready || self.is_limited {
            self.open_limited(umem, member, ready);
        } else {
            Handle::reserve(umem, ready);
            self.begin_row();
        }
    }

    /// Opens a batch of which the application may not have all, or has not lately.
    #[cold]
    #[inline(never)]
    fn open_limited(&mut self, umem: &Rc<UmemState>, member: &Membership, ready: u32) {
        self.limit(member, ready);
        Handle::reserve(umem, self.left);
        self.begin_row();
    }

    /// Decides what becomes of those of the `ready` descriptors that the application may
    /// not have.
    fn limit(&mut self, member: &Membership, ready: u32) {
        let was_limited = self.is_limited;
        let mut beyond = ready - self.left;
        if beyond > 0 && !self.is_limited {
            self.is_limited = true;
            self.counters.limited += 1;
        } else if beyond == 0 && member.is_relieved() {
            self.is_limited = false;
        }
        match member.policy() {
            LimitPolicy::DropNewest => {
                member.hold_back(0);
                self.excess = beyond;
            }
            LimitPolicy::CopyOut => {
                member.hold_back(0);
                if was_limited && self.is_limited {
                    // Whole batches, until enough has been given back.
                    self.left = 0;
                }
                self.is_copying = self.is_limited;
                if self.is_copying {
                    self.copies = ready - self.left;
                }
            }
            LimitPolicy::Backpressure => {
                if !self.assembly.is_idle() {
                    // The end of a frame that is under way waits for nothing.
                    self.left = self.left.max(1);
                    beyond = ready - self.left;
                }
                // What waited already has been counted, but for what is received now.
                let before = member.held_back().saturating_sub(self.left);
                let waiting = if beyond > 0 {
                    self.ring.available() - self.left
                } else {
                    0
                };
                self.counters.held_back += u64::from(waiting.saturating_sub(before));
                self.excess = member.hold_back(waiting).min(beyond);
            }
        }
    }

    /// Makes what lies in a row in the ring the row of the busy path: nothing while a
    /// frame in several chunks is under way, or where frames are looked at one by one.
    #[inline]
    fn begin_row(&mut self) {
        let left = if self.assembly.is_idle() && self.checksums != Checksums::Finish {
            self.left
        } else {
            0
        };
        self.ring.begin_row(left);
    }

    /// Counts what the busy path took of the row, and leaves no row.
    #[inline]
    fn end_row(&mut self) {
        let taken = self.ring.end_row();
        self.left -= taken;
        self.held += taken;
        self.returned += u64::from(taken);
        self.counters.frames += u64::from(taken);
    }

    /// Takes the next frame of the row, if it lies in one chunk.
    #[inline]
    fn next_unaligned(&mut self, umem: &Rc<UmemState>, records: &XskRecords) -> Option<Pieces> {
        let entry = self.ring.take()?;
        let descriptor = entry.value();
        // SAFETY: as in `Batch::next`.
        let frame = unsafe { receive_reserved(umem, records, descriptor) }?;
        entry.take();
        self.bytes += descriptor.extent();
        Some(frame.into_pieces())
    }

    /// Takes the next frame if it lies in one chunk, in a row of its own, and finishes
    /// its checksum.
    fn next_finished(&mut self, umem: &Rc<UmemState>, records: &XskRecords) -> Option<Pieces> {
        if self.left == 0 || !self.assembly.is_idle() {
            return None;
        }
        self.ring.begin_row(1);
        let next = self.next_unaligned(umem, records);
        self.end_row();
        next.map(finish)
    }

    /// Takes the next frame in whatever way, and begins a row behind it. A frame of
    /// which the first descriptor has been taken is taken whole, beyond what was asked
    /// for if need be. `None` if there is none left.
    #[cold]
    #[inline(never)]
    fn next_slowly(&mut self, umem: &Rc<UmemState>, member: &Membership) -> Option<Pieces> {
        if self.checksums == Checksums::Finish {
            let next = self.next_finished(umem, member.records());
            if next.is_some() {
                return next;
            }
        } else if umem.geometry.is_unaligned() {
            let next = self.next_unaligned(umem, member.records());
            if next.is_some() {
                return next;
            }
        }
        self.next_of_any_kind(umem, member)
    }

    /// As [`next_slowly`](Self::next_slowly), for what is not a frame in one chunk, or is
    /// one beyond a limit. Not inlined, so that the others need fewer registers.
    #[cold]
    #[inline(never)]
    fn next_of_any_kind(&mut self, umem: &Rc<UmemState>, member: &Membership) -> Option<Pieces> {
        self.end_row();
        let mut found = None;
        let mut goes_on = false;
        while found.is_none()
            && (self.left + self.copies > 0 || (goes_on && !self.assembly.is_idle()))
        {
            let Some(descriptor) = self.take_one() else {
                break;
            };
            goes_on = true;
            let copies = self.left == 0 && self.is_copying;
            match (self.left, self.copies) {
                (0, 0) => self.excess = self.excess.saturating_sub(1),
                (0, _) => self.copies -= 1,
                _ => {
                    self.left -= 1;
                    // What it becomes, if anything, has a handle of its own.
                    Handle::release(umem, 1);
                }
            }
            let (returned, outcome) = self.assembly.take(umem, member.records(), descriptor);
            self.returned += u64::from(returned);
            match outcome {
                Outcome::Frame(frame) => {
                    let frame = if copies {
                        self.copy(frame)
                    } else {
                        Some(frame)
                    };
                    if let Some(frame) = frame {
                        self.counters.frames += 1;
                        self.bytes += u64::from(frame.total_len());
                        found = Some(frame.into_pieces());
                    }
                }
                Outcome::Invalid => self.counters.invalid += 1,
                Outcome::Nothing => {}
            }
        }
        self.begin_row();
        match self.checksums {
            Checksums::Finish => found.map(finish),
            Checksums::Auto | Checksums::Leave => found,
        }
    }

    /// Copies a received frame out of the UMEM. One that cannot be copied is dropped.
    fn copy(&mut self, frame: Frame) -> Option<Frame> {
        match frame.copy_out() {
            Ok(copy) => {
                self.counters.copied_out += 1;
                Some(copy)
            }
            Err(frame) => {
                frame.recycle();
                self.counters.throttled += 1;
                None
            }
        }
    }

    /// Takes the next descriptor, whatever it is.
    fn take_one(&mut self) -> Option<Descriptor> {
        self.ring.begin_row(1);
        let descriptor = self.ring.take().map(Entry::take);
        // The busy path has taken nothing of a row.
        self.ring.end_row();
        descriptor
    }

    /// Ends the batch that is under way, if one is.
    #[inline]
    fn end(&mut self, umem: &Rc<UmemState>, member: &Membership) {
        if self.is_open {
            self.close_batch(umem, member);
        }
    }

    #[inline(never)]
    fn close_batch(&mut self, umem: &Rc<UmemState>, member: &Membership) {
        self.end_row();
        let held = std::mem::take(&mut self.held);
        umem.ledger.hold(member.records().xsk, held);
        if self.is_limited {
            self.end_limited(umem, member);
        }
        self.is_open = false;
        self.ring.release();
        self.count_returned(member);
        Handle::release(umem, std::mem::take(&mut self.left));
    }

    /// Drops the newest frames, which the application holds too many chunks to get, if it
    /// has taken the others; and forgets what was to become of frames beyond a limit.
    #[cold]
    #[inline(never)]
    fn end_limited(&mut self, umem: &Rc<UmemState>, member: &Membership) {
        let excess = std::mem::take(&mut self.excess);
        self.copies = 0;
        self.is_copying = false;
        let excess = if self.left == 0 { excess } else { 0 };
        for _ in 0..excess {
            let Some(descriptor) = self.take_one() else {
                break;
            };
            let queue = member.records().queue;
            let (returned, outcome) = self.assembly.throttle(umem, queue, descriptor);
            self.returned += u64::from(returned);
            match outcome {
                Throttled::Frame => self.counters.throttled += 1,
                Throttled::Invalid => self.counters.invalid += 1,
                Throttled::Nothing => {}
            }
        }
    }

    /// Counts the posted chunks that came back since last time as the queue's.
    #[inline]
    fn count_returned(&mut self, member: &Membership) {
        member
            .queue()
            .note_returned(std::mem::take(&mut self.returned));
    }

    /// Whether frames wait. A batch that was forgotten ends, as the slots of its frames
    /// may be all that the ring has.
    #[inline]
    pub(super) fn has_frames(&mut self, umem: &Rc<UmemState>, member: &Membership) -> bool {
        self.end(umem, member);
        self.ring.available() > 0
    }

    /// See [`RxHalf::abandon`](super::rx::RxHalf::abandon).
    pub(super) fn abandon(&mut self, umem: &Rc<UmemState>, member: &Membership) {
        self.end(umem, member);
        if self.assembly.abandon() {
            self.counters.invalid += 1;
        }
    }

    /// Takes what is in the ring back.
    pub(super) fn close(&mut self, umem: &Rc<UmemState>, member: &Membership) {
        self.abandon(umem, member);
        self.ring.available();
        while let Some(descriptor) = self.take_one() {
            let queue = member.records().queue;
            let taken = umem.drop_received(descriptor.addr, queue);
            self.returned += u64::from(taken.is_ok());
        }
        self.ring.release();
        self.count_returned(member);
    }

    pub(super) fn counters(&self) -> RxCounters {
        RxCounters {
            frames: self.counters.frames + u64::from(self.ring.row_used()),
            bytes: self.bytes,
            ..self.counters
        }
    }

    pub(super) fn faults(&self) -> u64 {
        self.ring.faults()
    }

    /// Whether a limit was reached, and not enough has been given back since.
    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Frames that were taken of a batch that was forgotten, and are not counted.
    pub(super) fn taken(&self) -> u32 {
        self.held + self.ring.row_used()
    }

    #[cfg(feature = "fault-injection")]
    pub(super) fn ring(&self) -> &RxRing {
        &self.ring
    }

    /// As if so many frames had been received before.
    #[cfg(test)]
    pub(super) fn count_as_received(&mut self, frames: u64) {
        self.counters.frames += frames;
    }
}
