//! The sending half of a queue: hands frames to the kernel through the TX ring,
//! and takes their chunks back from the completion ring.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use thiserror::Error;

use super::group::{CompletionSide, Returned};
use crate::kernel::CopyMode;
use crate::kernel::XskIndex;
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::sys::if_xdp::Descriptor;
use crate::memory;
use crate::memory::frame::Frame;
use crate::memory::geometry::Geometry;
use crate::memory::ledger::XskRecords;
use crate::xsk::ring::TxRing;

/// The sending half of a queue.
pub struct XskTx {
    pub(super) umem: Rc<memory::UmemState>,
    pub(super) seat: XskRecords,
    pub(super) ring: TxRing,
    /// Shared by the xsks of the queue.
    pub(super) completion: Rc<CompletionSide>,
    /// What came back, whichever xsk saw it.
    pub(super) returned: Rc<Returned>,
    /// `None` for a simulated queue.
    pub(super) socket: Option<Rc<OwnedFd>>,
    pub(super) interface: InterfaceId,
    pub(super) xsk: XskIndex,
    /// `Copy` for a simulated queue.
    pub(super) mode: CopyMode,
    /// Whether the interface has a TX queue of this index; if not, the kernel
    /// takes frames and never sends them.
    pub(super) sends: bool,
    /// The most chunks of a frame.
    pub(super) most_chunks: u32,
    pub(super) geometry: Geometry,
    /// Chunks given to the kernel, of which each takes a slot of the TX and, later,
    /// of the completion ring.
    pub(super) given: u64,
    /// Of those, the ones before the last of a frame in several.
    pub(super) given_parts: u64,
    /// Without `frames`, which follows from these two, and `completed`, which the
    /// xsks of the queue count for each other.
    pub(super) counters: TxCounters,
}

/// What the sending half counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxCounters {
    /// Frames given to the kernel.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of those frames, the ones that the application had made, not received.
    pub made: u64,
    /// Of those frames, the ones whose chunk came back, the last if it has
    /// several.
    pub completed: u64,
    /// Of those that came back, the ones that the kernel dropped.
    pub dropped_by_kernel: u64,
    /// Completions that failed a check.
    pub invalid: u64,
    /// System calls made to wake the kernel.
    pub wakeups: u64,
}

/// A frame was not sent. Each case gives it back.
#[derive(Debug, Error)]
pub enum TransmitError {
    /// The TX ring has no free slot, or not one for each chunk, or the completion
    /// ring could not take the chunks back.
    #[error("the TX ring is full")]
    RingFull(Frame),
    /// The frame's UMEM is not the queue's.
    #[error("the frame belongs to another UMEM")]
    ForeignUmem(Frame),
    /// The frame, or the first of its chunks, has no bytes.
    #[error("the frame is empty")]
    Empty(Frame),
    /// The frame lies in more chunks than the queue [sends at
    /// once](XskTx::most_chunks): one, unless it was bound for several.
    #[error("the frame lies in {} chunks, more than the queue sends at once", .0.chunks())]
    TooManyChunks(Frame),
    /// The first of several chunks has less than an Ethernet header, which some
    /// drivers do not survive.
    #[error("the first chunk of a frame in several has less than its Ethernet header")]
    ShortFirstChunk(Frame),
    /// The queue's index is beyond the interface's TX queues: it receives only.
    #[error("the queue receives only: the interface has fewer TX than RX queues")]
    ReceiveOnly(Frame),
    /// There is no such interface to send to.
    #[error("the worker has no such interface")]
    NoInterface(Frame),
}

impl TransmitError {
    /// The frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        match self {
            Self::RingFull(frame)
            | Self::ForeignUmem(frame)
            | Self::Empty(frame)
            | Self::TooManyChunks(frame)
            | Self::ShortFirstChunk(frame)
            | Self::ReceiveOnly(frame)
            | Self::NoInterface(frame) => frame,
        }
    }
}

impl XskTx {
    /// Hands `frame` to the kernel for sending and returns without waiting.
    ///
    /// Its chunks belong to the kernel until their addresses come back on the
    /// completion ring. A frame in several chunks is handed over whole or not at
    /// all. Makes no system call; call [`wake`](Self::wake) once per
    /// batch, which also publishes the frames.
    ///
    /// # Errors
    ///
    /// [`TransmitError`] gives `frame` back: when the TX ring has no free slot for
    /// each of its chunks, when it is of another UMEM, when it is empty, when it
    /// has too many chunks, or when the queue cannot send at all.
    #[inline]
    pub fn transmit(&mut self, frame: Frame) -> Result<(), TransmitError> {
        if !Rc::ptr_eq(frame.umem(), &self.umem) {
            return Err(TransmitError::ForeignUmem(frame));
        }
        let len = frame.len_bytes();
        if len == 0 {
            return Err(TransmitError::Empty(frame));
        }
        if !self.sends {
            return Err(TransmitError::ReceiveOnly(frame));
        }
        if !frame.is_contiguous() {
            return self.transmit_chunks(frame);
        }
        if self.chunks_in_flight() == self.ring.capacity() {
            return Err(TransmitError::RingFull(frame));
        }
        let descriptor = Descriptor {
            addr: self.geometry.addr(frame.place()),
            len,
            options: 0,
        };
        if self.ring.give(descriptor).is_err() {
            return Err(TransmitError::RingFull(frame));
        }
        let made = (self.umem.ledger).transmit(&frame.into_claim(), &self.seat);
        self.given += 1;
        self.counters.bytes += u64::from(len);
        self.counters.made += u64::from(made);
        Ok(())
    }

    /// Takes back the chunks of all frames that the kernel is done with, and
    /// gives their number. It does so for all xsks of the queue, which share the
    /// completion ring, and each counts its own. No system call.
    pub fn complete(&mut self) -> u32 {
        let completed = self.completion.take_all();
        self.counters.invalid += u64::from(completed.invalid);
        completed.frames
    }

    /// Publishes the transmitted frames, and leaves it to others to wake the
    /// kernel: for a loop that calls `poll(2)` on the [socket](crate::XskRx::socket)
    /// for frames to receive anyway. In copy mode `poll` sends up to as many frames
    /// as the TX budget, in zero-copy mode it wakes the driver; neither says how
    /// it went, so that a frame which the kernel drops there is in no
    /// counter. No system call.
    pub fn publish(&mut self) {
        self.ring.publish();
    }

    /// Frames that [`transmit`](Self::transmit) takes now, even if each has the
    /// [most chunks](Self::most_chunks) that a frame may have here. Ask again
    /// when so many have been sent: there is more room then if they had fewer.
    pub fn room(&mut self) -> u32 {
        let capacity = self.ring.capacity();
        let chunks = self.ring.free(capacity);
        chunks.min(capacity - self.chunks_in_flight()) / self.most_chunks
    }

    /// The most chunks that a frame may lie in to be sent here: 1 unless the
    /// queue was bound for frames in several
    /// ([`BindReport::multi_buffer`](crate::BindReport::multi_buffer)).
    #[must_use]
    pub fn most_chunks(&self) -> u32 {
        self.most_chunks
    }

    /// Descriptors published that the kernel has not taken from the TX ring.
    pub fn pending(&mut self) -> u32 {
        self.ring.pending()
    }

    /// Frames given to the kernel that have not come back.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        let TxCounters {
            frames, completed, ..
        } = self.counters();
        u32::try_from(frames - completed).expect("at most the capacity of the ring")
    }

    /// Chunks given to the kernel that have not come back.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most the capacity of the ring, a u32: `transmit` sees to it"
    )]
    pub(super) fn chunks_in_flight(&self) -> u32 {
        (self.given - self.returned.chunks.get()) as u32
    }

    /// The interface, by the name that the caller gave it.
    #[must_use]
    pub fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// Whether the interface has a TX queue of this index.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.sends
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> TxCounters {
        TxCounters {
            frames: self.given - self.given_parts,
            completed: self.returned.chunks.get() - self.returned.parts.get(),
            ..self.counters
        }
    }

    /// Takes back what was transmitted and not published: the kernel never had it,
    /// and its chunks are as good as completed.
    fn retract(&mut self) {
        while let Some(descriptor) = self.ring.retract() {
            // It fails for none that `transmit` gave.
            let _ = self.umem.complete(descriptor.addr, self.seat.group);
        }
    }

    pub(super) fn faults(&self) -> u64 {
        self.ring.faults() + self.completion.faults(self.xsk)
    }
}

impl Drop for XskTx {
    /// Chunks that the kernel has given back or never had come home, those that it
    /// still has are written off.
    fn drop(&mut self) {
        self.complete();
        self.retract();
        self.umem.strand_transmitted(self.seat.member);
        self.completion.leave(self.xsk);
    }
}

impl std::fmt::Debug for XskTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XskTx")
            .field("interface", &self.interface)
            .field("in_flight", &self.in_flight())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
