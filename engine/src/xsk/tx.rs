//! The sending half of an xsk: hands frames to the kernel through the TX ring,
//! and takes their chunks back from the completion ring of its queue.
//!
//! The busy path sends frames in one chunk that all have the same record, as those
//! have that one xsk received or the application made, into a row of the ring. It
//! counts nothing: how many there were is read off the ring when it is published.

use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::completions::{CompletionQueue, Completions, Log, Outcome};
use super::counters::TxCounters;
use super::queue_state::Membership;
use super::ring::TxRing;
use super::send_error::{TransmitError, WakeError};
#[cfg(feature = "fault-injection")]
use crate::kernel::sys::if_xdp::Descriptor;
use crate::kernel::{CopyMode, InterfaceId, XskIndex};
use crate::memory::crossing::{CompletedChunk, Outgoing, Report, Transmitter};
use crate::memory::frame::Frame;

/// The sending half of an xsk, borrowed: see [`Xsk::tx`](super::Xsk::tx).
///
/// Exchanging two of these exchanges which xsks two variables stand for, and
/// nothing in the xsks.
pub struct XskTx<'a>(pub(super) &'a mut TxHalf);

/// The sending half of an xsk.
pub(crate) struct TxHalf {
    pub(super) ring: TxRing,
    pub(super) transmitter: Transmitter,
    /// Bytes of the frames handed to the kernel.
    pub(super) bytes: u64,
    /// The index of the TX ring up to which frames are counted.
    settled: u32,
    pub(super) member: Rc<Membership>,
    /// The member's.
    completions: Rc<Log>,
    interface: InterfaceId,
    pub(super) mode: CopyMode,
    limits: SendLimits,
    /// The most chunks in transmit: what the TX ring takes, or less.
    most_in_transmit: u32,
    /// Whether the interface is known to be down, so that no frame is taken.
    is_down: bool,
    /// Chunks handed to the kernel, of which each takes a slot of the TX and, later,
    /// of the completion ring.
    pub(super) sent: u64,
    /// Of those, the ones before the last of a frame in several.
    pub(super) sent_parts: u64,
    /// Frames taken back that the kernel never had: their chunks count as completed.
    retracted: u64,
    /// Without what follows from the fields above, and `completed`, which the
    /// xsks of the queue count for each other.
    pub(super) counters: TxCounters,
}

/// What an xsk can send.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendLimits {
    /// Whether the interface has a TX queue of this index; if not, the kernel
    /// takes frames and never sends them.
    pub(super) sends: bool,
    /// The most chunks of a frame.
    pub(super) most_chunks: u32,
}

impl<'a> XskTx<'a> {
    pub(super) fn new(half: &'a mut TxHalf) -> Self {
        Self(half)
    }

    /// Hands `frame` to the kernel for sending and returns without waiting.
    ///
    /// Its chunks belong to the kernel until their addresses come back on the
    /// completion ring. A frame in several chunks is handed over whole or not at
    /// all. Makes no system call; call [`wake`](Self::wake) once per
    /// batch, which also publishes the frames.
    ///
    /// # Errors
    ///
    /// [`TransmitError`] returns `frame`: when the TX ring has no free slot for
    /// each of its chunks, when the limit on chunks in transmit is reached, when it is of
    /// another UMEM, when it is empty, when it has too many chunks, when it is a
    /// [copy](Frame::hold) and no chunk is free to copy it into, or when the queue cannot
    /// send at all.
    // Always, so that a loop has the frame in registers.
    #[inline(always)]
    pub fn transmit(&mut self, frame: Frame) -> Result<(), TransmitError> {
        self.0.transmit(frame)
    }

    /// As [`transmit`](Self::transmit), and reports `cookie` when the kernel is done with
    /// the frame: see [`completions`](Self::completions).
    ///
    /// Every transmission that this takes is reported once, whatever becomes of the xsk.
    /// A cookie means nothing to the xsk, and may be used again while it is outstanding:
    /// it is then reported as often as it was used.
    ///
    /// # Errors
    ///
    /// As [`transmit`](Self::transmit); and [`TransmitError::CompletionsFull`] when there
    /// is [no place](crate::XskConfig::completions) for its completion. What is refused is
    /// not reported.
    #[inline]
    pub fn transmit_tagged(&mut self, frame: Frame, cookie: u64) -> Result<(), TransmitError> {
        self.0.transmit_tagged(frame, cookie)
    }

    /// As [`transmit_tagged`](Self::transmit_tagged), and the completion has the frame,
    /// of any number of chunks, with the bytes that were sent: to send it once more, or
    /// to use its memory again. It counts as one that the application made.
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn transmit_returning(&mut self, frame: Frame, cookie: u64) -> Result<(), TransmitError> {
        self.0.transmit_returning(frame, cookie)
    }

    /// What was [to be reported](Self::transmit_tagged) and has ended, as far as
    /// [`complete`](Self::complete) has found it. No system call.
    #[must_use]
    #[inline]
    pub fn completions(&self) -> Completions<'_> {
        Completions::new(self.0.completions())
    }

    /// As [`completions`](Self::completions), to be read even when the xsk is gone. As it
    /// drops, what is in transmit ends as [`Outcome::Aborted`](crate::Outcome::Aborted).
    #[must_use]
    pub fn completion_queue(&self) -> CompletionQueue {
        self.0.completion_queue()
    }

    /// Transmissions to be reported that have not ended.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.0.outstanding()
    }

    /// Takes back the chunks of all frames that the kernel is done with, and
    /// returns their number. It does so for all xsks of the queue, which share the
    /// completion ring, and each counts its own. No system call.
    #[inline]
    pub fn complete(&mut self) -> u32 {
        self.0.complete()
    }

    /// Publishes the transmitted frames, and leaves it to others to wake the
    /// kernel: for a loop that calls `poll(2)` on the [socket](crate::Xsk::socket)
    /// for frames to receive anyway. In copy mode `poll` sends up to as many frames
    /// as the TX budget, in zero-copy mode it wakes the driver; neither says how
    /// it went, so that a frame which the kernel drops there is in no
    /// counter. No system call.
    pub fn publish(&mut self) {
        self.0.publish();
    }

    /// Publishes the transmitted frames and wakes the kernel if it asks for
    /// that. In copy mode it always asks, and sends inside the call: this goes on
    /// until it has taken them all or takes no more, which is one system call for
    /// up to as many frames as the TX budget. None if nothing is pending.
    ///
    /// # Errors
    ///
    /// [`WakeError`](crate::WakeError) when the interface is down or gone.
    #[inline]
    pub fn wake(&mut self) -> Result<(), WakeError> {
        self.0.wake()
    }

    /// Frames that [`transmit`](Self::transmit) takes now, even if each has the
    /// [most chunks](Self::most_chunks) that a frame may have here. Ask again
    /// when so many have been sent: there is more room then if they had fewer.
    pub fn room(&mut self) -> u32 {
        self.0.room()
    }

    /// The most chunks that a frame may lie in to be sent here: 1 unless the
    /// xsk was bound for frames in several
    /// ([`BindReport::multi_buffer`](crate::BindReport::multi_buffer)), and no more than
    /// may be in [transmit](crate::Limits::in_transmit).
    #[must_use]
    pub fn most_chunks(&self) -> u32 {
        self.0.most_chunks()
    }

    /// Descriptors published that the kernel has not taken from the TX ring.
    pub fn pending(&mut self) -> u32 {
        self.0.pending()
    }

    /// Frames handed to the kernel that have not come back.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight()
    }

    /// The interface, by the caller's name for it.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.0.interface
    }

    /// Whether the interface has a TX queue of this index.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.0.limits.sends
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> TxCounters {
        self.0.counters()
    }
}

impl TxHalf {
    pub(super) fn new(
        member: &Rc<Membership>,
        ring: TxRing,
        interface: InterfaceId,
        mode: CopyMode,
        limits: SendLimits,
    ) -> Self {
        Self {
            settled: ring.next(),
            most_in_transmit: ring.capacity(),
            ring,
            transmitter: Transmitter::new(member.queue().umem(), *member.records()),
            bytes: 0,
            member: Rc::clone(member),
            completions: Rc::clone(member.completions()),
            interface,
            mode,
            limits,
            is_down: false,
            sent: 0,
            sent_parts: 0,
            retracted: 0,
            counters: TxCounters::default(),
        }
    }

    /// See [`XskTx::transmit`].
    #[inline(always)]
    pub(crate) fn transmit(&mut self, frame: Frame) -> Result<(), TransmitError> {
        let Some(slot) = self.ring.give() else {
            return self.transmit_slowly(frame);
        };
        match self.transmitter.run(frame) {
            Ok(descriptor) => {
                slot.put(descriptor);
                self.bytes += u64::from(descriptor.len());
                Ok(())
            }
            Err(frame) => self.transmit_slowly(frame),
        }
    }

    /// See [`XskTx::transmit_tagged`].
    #[inline]
    pub(crate) fn transmit_tagged(
        &mut self,
        frame: Frame,
        cookie: u64,
    ) -> Result<(), TransmitError> {
        if !self.completions.has_room() {
            return self.transmit_reported(frame, cookie, Report::Cookie);
        }
        let Some(slot) = self.ring.give() else {
            return self.transmit_reported(frame, cookie, Report::Cookie);
        };
        match self.transmitter.run_tagged(frame, cookie) {
            Ok(descriptor) => {
                slot.put(descriptor);
                self.bytes += u64::from(descriptor.len());
                self.completions.reserve();
                Ok(())
            }
            Err(frame) => self.transmit_reported(frame, cookie, Report::Cookie),
        }
    }

    /// See [`XskTx::transmit_returning`].
    pub(crate) fn transmit_returning(
        &mut self,
        frame: Frame,
        cookie: u64,
    ) -> Result<(), TransmitError> {
        if !self.completions.has_room() {
            return self.transmit_reported(frame, cookie, Report::Frame);
        }
        let Some(slot) = self.ring.give() else {
            return self.transmit_reported(frame, cookie, Report::Frame);
        };
        match self.transmitter.run_returning(frame, cookie) {
            Ok(descriptor) => {
                slot.put(descriptor);
                self.bytes += u64::from(descriptor.len());
                self.completions.reserve();
                Ok(())
            }
            Err(frame) => self.transmit_reported(frame, cookie, Report::Frame),
        }
    }

    /// Sends a frame of any kind, whose end is reported.
    #[cold]
    #[inline(never)]
    fn transmit_reported(
        &mut self,
        frame: Frame,
        cookie: u64,
        report: Report,
    ) -> Result<(), TransmitError> {
        if !self.completions.make_room() {
            return Err(TransmitError::CompletionsFull(frame));
        }
        let frame = if self.transmitter.owns(&frame) {
            frame
        } else {
            // It is sent from another chunk than it lies in.
            self.settle();
            self.bring_in(frame)?
        };
        let sent = Outgoing::of(&frame);
        self.transmit_slowly(frame)?;
        self.transmitter.report(sent, cookie, report);
        self.completions.reserve();
        Ok(())
    }

    /// Sends a frame of any kind, and prepares for more like it.
    #[cold]
    #[inline(never)]
    fn transmit_slowly(&mut self, frame: Frame) -> Result<(), TransmitError> {
        self.settle();
        let result = self.transmit_any(frame);
        let next = self.ring.next();
        self.sent += u64::from(next.wrapping_sub(self.settled));
        self.settled = next;
        let row = if self.takes_frames() {
            self.ring.free(1).min(self.unused_completions())
        } else {
            0
        };
        self.ring.begin_row(row);
        result
    }

    fn transmit_any(&mut self, frame: Frame) -> Result<(), TransmitError> {
        let frame = self.bring_in(frame)?;
        if !frame.is_contiguous() {
            self.transmit_chunks(frame);
            return Ok(());
        }
        self.bytes += u64::from(frame.len_bytes());
        let (descriptor, is_made) = self.transmitter.first(frame);
        self.counters.made += u64::from(is_made);
        self.ring.begin_row(1);
        self.ring.give().expect("a slot is free").put(descriptor);
        Ok(())
    }

    /// A frame that can be sent, as it is, or copied into the UMEM if it was copied out.
    fn bring_in(&mut self, frame: Frame) -> Result<Frame, TransmitError> {
        if let Err(why) = self.check(&frame) {
            return Err(why(frame));
        }
        if self.transmitter.owns(&frame) {
            return Ok(frame);
        }
        let copied = frame.copy_in(self.transmitter.umem());
        self.counters.copied_in += u64::from(copied.is_ok());
        copied.map_err(TransmitError::NoChunk)
    }

    /// Why a frame cannot be sent now, if it cannot.
    fn check(&mut self, frame: &Frame) -> Result<(), fn(Frame) -> TransmitError> {
        if !frame.belongs_to(self.transmitter.umem()) {
            return Err(TransmitError::ForeignUmem);
        }
        if frame.len_bytes() == 0 {
            return Err(TransmitError::Empty);
        }
        if !self.limits.sends {
            return Err(TransmitError::ReceiveOnly);
        }
        if self.is_down {
            return Err(TransmitError::LinkDown);
        }
        if !frame.is_contiguous() {
            return self.check_chunks(frame);
        }
        if self.unused_completions() == 0 || self.ring.free(1) == 0 {
            return Err(self.full(frame));
        }
        Ok(())
    }

    /// Counts what the busy path sent.
    #[inline]
    pub(super) fn settle(&mut self) {
        let next = self.ring.next();
        let frames = next.wrapping_sub(self.settled);
        if frames > 0 {
            self.settled = next;
            self.sent += u64::from(frames);
            self.transmitter.settle(frames);
            if self.transmitter.run_is_made() {
                self.counters.made += u64::from(frames);
            }
        }
    }

    /// See [`XskTx::complete`].
    #[inline]
    pub(crate) fn complete(&mut self) -> u32 {
        let completed = self.member.queue().complete();
        self.counters.invalid += u64::from(completed.invalid);
        completed.frames
    }

    /// As [`complete`](Self::complete), and posts the chunks that may be posted at once.
    #[inline]
    pub(super) fn complete_and_post(&mut self) {
        let completed = self.member.queue().complete_and_post();
        self.counters.invalid += u64::from(completed.invalid);
    }

    /// See [`XskTx::publish`].
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.settle();
        self.ring.publish();
    }

    /// See [`XskTx::room`].
    pub(crate) fn room(&mut self) -> u32 {
        if !self.takes_frames() {
            return 0;
        }
        let chunks = self.ring.free(self.ring.capacity());
        chunks.min(self.unused_completions()) / self.most_chunks()
    }

    /// Has no more than `chunks` in transmit from now on; those beyond stay there.
    pub(crate) fn limit_in_transmit(&mut self, chunks: Option<u32>) {
        self.settle();
        let capacity = self.ring.capacity();
        self.most_in_transmit = chunks.map_or(capacity, |chunks| chunks.min(capacity));
        // So that the next frame does not take the busy path.
        self.ring.begin_row(0);
    }

    /// The most chunks in transmit.
    pub(crate) fn most_in_transmit(&self) -> u32 {
        self.most_in_transmit
    }

    /// Why there is no room for `frame` now.
    pub(super) fn full(&self, frame: &Frame) -> fn(Frame) -> TransmitError {
        let is_limited = self.most_in_transmit < self.ring.capacity();
        if is_limited && self.unused_completions() < frame.chunks() {
            TransmitError::InTransmit
        } else {
            TransmitError::RingFull
        }
    }

    /// Takes no more frames while the interface is down, and takes them again once it
    /// is up. Those in the TX ring stay there.
    pub(crate) fn set_down(&mut self, is_down: bool) {
        self.settle();
        self.is_down = is_down;
        // So that the next frame does not take the busy path.
        self.ring.begin_row(0);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Whether a frame can be sent, as far as the interface is concerned.
    pub(crate) fn takes_frames(&self) -> bool {
        self.limits.sends && !self.is_down
    }

    /// See [`XskTx::pending`].
    pub(crate) fn pending(&mut self) -> u32 {
        self.ring.pending()
    }

    /// See [`XskTx::in_flight`].
    pub(crate) fn in_flight(&self) -> u32 {
        let TxCounters {
            frames, completed, ..
        } = self.counters();
        u32::try_from(frames - completed).expect("at most the capacity of the ring")
    }

    /// Whether there is something to be read of what was to be reported.
    #[inline]
    pub(crate) fn has_completions(&self) -> bool {
        self.completions.unread() > 0
    }

    /// See [`XskTx::completion_queue`].
    pub(crate) fn completion_queue(&self) -> CompletionQueue {
        CompletionQueue::new(&self.completions)
    }

    /// See [`XskTx::completions`].
    #[inline]
    pub(crate) fn completions(&self) -> &Rc<Log> {
        &self.completions
    }

    /// See [`XskTx::outstanding`].
    pub(crate) fn outstanding(&self) -> u32 {
        self.completions.outstanding()
    }

    /// The most chunks of a frame: with fewer in transmit, one of more never goes.
    pub(crate) fn most_chunks(&self) -> u32 {
        self.limits.most_chunks.min(self.most_in_transmit)
    }

    pub(crate) fn sends(&self) -> bool {
        self.limits.sends
    }

    /// Takes frames from now on, or none any more, because the interface has a TX queue
    /// of this index now, or has none. Those in the TX ring stay there.
    pub(crate) fn set_sends(&mut self, sends: bool) {
        self.settle();
        self.limits.sends = sends;
        // So that the next frame does not take the busy path.
        self.ring.begin_row(0);
    }

    pub(super) fn xsk(&self) -> XskIndex {
        self.member.index()
    }

    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.member.socket()
    }

    /// Chunks that the completion ring can take back beyond those in flight: it has as
    /// many entries for each xsk as its TX ring. Fewer, if the limit is lower.
    pub(super) fn unused_completions(&self) -> u32 {
        self.most_in_transmit
            .saturating_sub(self.chunks_in_flight())
    }

    /// Chunks handed to the kernel that have not come back.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most the capacity of the ring, a u32: `transmit` sees to it"
    )]
    pub(crate) fn chunks_in_flight(&self) -> u32 {
        (self.sent_so_far() - self.completed_chunks()) as u32
    }

    #[inline]
    fn completed_chunks(&self) -> u64 {
        let xsk = self.member.records().xsk;
        self.transmitter.umem().ledger.completed(xsk)
    }

    /// Chunks handed to the kernel, settled or not.
    #[inline]
    fn sent_so_far(&self) -> u64 {
        self.sent + u64::from(self.unsettled())
    }

    fn unsettled(&self) -> u32 {
        self.ring.next().wrapping_sub(self.settled)
    }

    pub(crate) fn counters(&self) -> TxCounters {
        let ledger = &self.transmitter.umem().ledger;
        let made = if self.transmitter.run_is_made() {
            self.unsettled()
        } else {
            0
        };
        TxCounters {
            frames: self.sent_so_far() - self.sent_parts,
            bytes: self.bytes,
            made: self.counters.made + u64::from(made),
            completed: self.completed_chunks()
                - ledger.completed_parts(self.member.records().xsk)
                - self.retracted,
            ..self.counters
        }
    }

    /// Takes back what was transmitted and not published: the kernel never had it,
    /// and its chunks are as good as completed.
    fn retract(&mut self) {
        let (umem, records) = (self.transmitter.umem(), self.member.records());
        while let Some(descriptor) = self.ring.retract() {
            // Another xsk has the chunk, or nobody, only if the kernel completed a frame
            // that it never had.
            if !umem.is_transmitted(descriptor.addr, records.xsk) {
                continue;
            }
            let completed = umem.complete(descriptor.addr, records.queue);
            self.retracted += u64::from(!matches!(completed, CompletedChunk::Part));
            match completed {
                CompletedChunk::Tagged(_, cookie) => {
                    self.completions.push(cookie, Outcome::Aborted);
                }
                CompletedChunk::Returned(_, cookie, frame) => {
                    self.completions.push_frame(cookie, Outcome::Aborted, frame);
                }
                _ => {}
            }
        }
        // They were counted as sent, and now as completed.
        self.settled = self.ring.next();
        self.ring.begin_row(0);
    }

    /// Ends what was to be reported, as [`abort`](Self::abort) does, and takes no frame
    /// any more.
    pub(crate) fn end(&mut self) {
        self.set_sends(false);
        if self.outstanding() > 0 {
            self.abort();
        }
    }

    /// Ends what is in transmit: chunks that the kernel has returned or never had are
    /// free, those that it still has are written off. What was to be reported is.
    pub(crate) fn abort(&mut self) {
        self.settle();
        self.complete();
        self.retract();
        let umem = self.transmitter.umem();
        let report = |cookie| self.completions.push(cookie, Outcome::Aborted);
        umem.strand_transmitted(self.member.records().xsk, report);
    }

    /// Sends a descriptor that is in no account, and returns whether there was a slot.
    #[cfg(feature = "fault-injection")]
    pub(super) fn send_uncounted(&mut self, descriptor: Descriptor) -> bool {
        self.settle();
        self.ring.free(1);
        self.ring.begin_row(1);
        let sent = self.ring.give().map(|slot| slot.put(descriptor)).is_some();
        self.ring.begin_row(0);
        self.settled = self.ring.next();
        sent
    }

    /// Ring indices and entries from the kernel that failed a check, but for those of
    /// the shared rings' indices.
    pub(crate) fn violations(&self) -> u64 {
        self.ring.faults() + self.counters.invalid
    }
}

impl Drop for TxHalf {
    fn drop(&mut self) {
        self.abort();
    }
}

impl std::fmt::Debug for TxHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XskTx")
            .field("interface", &self.interface)
            .field("xsk", &self.xsk())
            .field("in_flight", &self.in_flight())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for XskTx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
