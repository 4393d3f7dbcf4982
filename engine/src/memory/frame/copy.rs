//! Copies of frames: out of the UMEM where they stay for long, and into it again to be
//! sent.
//!
//! A copy lies in the memory beside the UMEM (`memory::copies`), in as many chunks as
//! the frame that it was, each at the same place of its chunk if there is room, with
//! what an XDP program put in front of it. The frame's record goes along, so whoever
//! received it counts it still.

use std::rc::Rc;

use super::frame::{Frame, NoRoom};
use crate::memory::geometry::{Geometry, Place};
use crate::memory::links::{Next, Part};
use crate::memory::umem::UmemState;

/// Bytes that an XDP program may have put in front of a frame, and a few more.
const METADATA_BYTES: u32 = 256;

impl Frame {
    /// Says that the application keeps the frame beyond this call: a small one is
    /// copied, and its chunk is free at once.
    ///
    /// Frames that wait take chunks from those that arrive, and of a chunk a small frame
    /// uses little. So a frame with fewer bytes than the
    /// [copybreak](crate::UmemConfig::copybreak) goes into ordinary memory beside the UMEM. It is a
    /// frame like any other there: it has as much [headroom](Self::headroom), belongs to the
    /// xsk that received it, and is sent by any xsk of its UMEM, which copies it into a chunk then.
    /// Its [tailroom](Self::tailroom) may be less: see [`ensure_tailroom`](Self::ensure_tailroom). Every other frame is returned as it is, and so is
    /// a small one if [no more](crate::UmemConfig::copies) can be copied.
    ///
    /// [`detach`](Self::detach) does so by itself.
    ///
    /// ```
    /// use wharf::{Copybreak, Umem, UmemConfig};
    ///
    /// let umem = Umem::new(&UmemConfig {
    ///     copybreak: Copybreak::Below(256),
    ///     ..UmemConfig::new(8)
    /// })?;
    /// let mut frame = umem.allocate().expect("a free chunk");
    /// frame.grow_back(60)?.fill(1);
    ///
    /// let kept = frame.hold();
    ///
    /// assert_eq!(*kept, [1; 60]);
    /// assert_eq!(umem.audit().pool, 8, "no chunk is taken");
    /// assert_eq!(umem.audit().copies.application, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn hold(self) -> Self {
        // Of an empty frame, and of one in several chunks, that is a large number.
        if self.extent().wrapping_sub(1) >= self.umem().copybreak {
            return self;
        }
        self.copy_out().unwrap_or_else(|frame| frame)
    }

    /// Sees to it that a frame can [grow at the end](Self::grow_back) by `bytes`, as far as a chunk
    /// of its UMEM would let it: a [copy](Self::hold) in a small chunk moves to a larger one
    /// if need be.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the [tailroom](Self::tailroom) is less than `bytes` and stays so.
    pub fn ensure_tailroom(&mut self, bytes: u32) -> Result<(), NoRoom> {
        if bytes > self.tailroom() {
            self.move_to_large_chunk();
        }
        let available = self.tailroom();
        if bytes > available {
            return Err(NoRoom {
                asked: bytes,
                available,
            });
        }
        Ok(())
    }

    /// Copies the frame out of the UMEM, whatever its size, and frees its chunks. A copy
    /// stays one.
    ///
    /// # Errors
    ///
    /// The frame as it is, when no more can be copied. Counted.
    #[inline(never)]
    pub(crate) fn copy_out(self) -> Result<Self, Self> {
        let umem = self.umem();
        if umem.is_for_copies() {
            return Ok(self);
        }
        let xsk = umem.ledger.record(self.chunk()).xsk();
        let mut memories = umem.copies().iter();
        match memories.find_map(|memory| self.copy_to(memory)) {
            Some(copy) => {
                umem.beside.note_copied(xsk);
                self.recycle();
                Ok(copy)
            }
            None => {
                umem.beside.note_refused(xsk);
                Err(self)
            }
        }
    }

    /// Copies a copy back into chunks of `umem`, which it [belongs
    /// to](Self::belongs_to).
    ///
    /// # Errors
    ///
    /// The frame as it is, when not enough chunks are free.
    pub(crate) fn copy_in(self, umem: &Rc<UmemState>) -> Result<Self, Self> {
        self.move_to(umem)
    }

    /// Whether the frame is one of `umem`, or a copy of such.
    pub(crate) fn belongs_to(&self, umem: &Rc<UmemState>) -> bool {
        self.umem().belongs_to(umem)
    }

    pub(super) fn is_of_one_umem_with(&self, other: &Self) -> bool {
        self.umem().is_of_one_umem_with(other.umem())
    }

    /// Moves a copy in a small chunk into one of the UMEM's size, if it is one and there
    /// is room. Returns whether it did.
    fn move_to_large_chunk(&mut self) -> bool {
        let Some(umem) = self.umem().beside.umem_of_copies() else {
            return false;
        };
        let size = |umem: &UmemState| umem.geometry.chunk_size();
        let larger = umem.copies().last();
        let larger = larger.filter(|memory| size(memory) > size(self.umem()));
        let Some(moved) = larger.and_then(|memory| self.copy_to(memory)) else {
            return false;
        };
        std::mem::replace(self, moved).recycle();
        true
    }

    /// Moves one of two frames of a UMEM, of which one is a copy or both are, into the
    /// memory of the other, so that they can become one.
    pub(super) fn move_together(&mut self, end: Self) -> Result<Self, Self> {
        let Some(umem) = self.umem().beside.umem_of_copies() else {
            // The front is no copy.
            return match end.umem().beside.umem_of_copies() {
                Some(umem) => end.move_to(&umem),
                None => Err(end),
            };
        };
        let Some(large) = umem.copies().last() else {
            return Err(end);
        };
        let is_large = |frame: &Self| std::ptr::eq(frame.umem(), Rc::as_ptr(large));
        if !is_large(self) {
            match self.copy_to(large) {
                Some(moved) => std::mem::replace(self, moved).recycle(),
                None => return Err(end),
            }
        }
        if is_large(&end) {
            Ok(end)
        } else {
            end.move_to(large)
        }
    }

    fn move_to(self, memory: &Rc<UmemState>) -> Result<Self, Self> {
        match self.copy_to(memory) {
            Some(copy) => {
                self.recycle();
                Ok(copy)
            }
            None => Err(self),
        }
    }

    /// A copy of the frame in chunks of `memory`, with its record, if there are enough.
    /// One of the two has to be recycled, or the account has a frame too many.
    fn copy_to(&self, memory: &Rc<UmemState>) -> Option<Self> {
        let fits = |part: &Part| place_in(&memory.geometry, part).is_some();
        if self.is_contiguous() {
            if !fits(&self.first()) {
                return None;
            }
        } else if !self.parts().chain([self.first()]).all(|part| fits(&part))
            || !memory.has_free(self.chunks())
        {
            return None;
        }
        let ledger = &self.umem().ledger;
        let first = self.first();
        let (chunk, offset) = (memory.take_free()?, place_in(&memory.geometry, &first)?);
        let claim = memory.ledger.copy(chunk, ledger.record(self.chunk()));
        let place = Place { chunk, offset };
        self.copy_bytes(&first, memory, place);
        let mut copy = Self::in_place(memory, claim, place, first.len);
        let mut last = Next::NONE;
        for part in self.parts() {
            let (chunk, offset) = (memory.take_free()?, place_in(&memory.geometry, &part)?);
            memory
                .ledger
                .copy_part(chunk, ledger.record(part.place.chunk));
            let place = Place { chunk, offset };
            self.copy_bytes(&part, memory, place);
            let copied = Part {
                place,
                len: part.len,
                next: Next::NONE,
            };
            copy.push_part(last, copied);
            last = copied.name();
        }
        Some(copy)
    }

    /// Copies the bytes of a part of the frame, and those in front of it, to a chunk of
    /// `memory` that was taken from its pool for them.
    fn copy_bytes(&self, part: &Part, memory: &UmemState, to: Place) {
        let front = part.place.offset.min(to.offset).min(METADATA_BYTES);
        let before = |place: Place| Place {
            offset: place.offset - front,
            ..place
        };
        let len = front + part.len;
        let from = self.umem().region().bytes(before(part.place), len);
        let to = memory.region().bytes(before(to), len);
        // SAFETY: `bytes` returns the addresses of `len` mapped bytes: here of a chunk that
        // this frame alone owns, there of one that was just taken from its pool. So nobody
        // else reads or writes either, and they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), len as usize) };
    }
}

impl UmemState {
    /// Whether so many chunks are free, those that came back included.
    fn has_free(&self, chunks: u32) -> bool {
        if self.pool.len() < chunks {
            self.collect_returns();
        }
        self.pool.len() >= chunks
    }
}

/// Where in a chunk of another memory the bytes of a part begin: as far from its start if
/// they fit there, or else where frames begin.
fn place_in(geometry: &Geometry, part: &Part) -> Option<u32> {
    let places = [part.place.offset, geometry.front()];
    places
        .into_iter()
        .find(|&offset| geometry.fits(offset, part.len))
}
