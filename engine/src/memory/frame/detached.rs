//! A frame on its way between threads.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::frame::{Frame, debug};
use super::metadata::in_front_of;
use super::segments::{Segments, SegmentsMut};
use crate::memory::geometry::Place;
use crate::memory::ledger::Claim;
use crate::memory::links::{Next, Part};
use crate::memory::umem::{BackingStore, Umem};

/// A frame that may travel between threads. It reads and writes like a
/// [`Frame`]; dropping it sends its chunk backing, which never blocks.
///
/// [`Umem::attach`](crate::Umem::attach) makes it a [`Frame`] again, on the
/// thread of its UMEM. The memory lives for as long as the handle does.
///
/// # Invariants
///
/// As a [`Frame`]'s, with `Detached` as the chunk's owner.
pub struct DetachedFrame {
    backing: Arc<BackingStore>,
    claim: Claim,
    offset: u32,
    len: u32,
    parts: Next,
}

impl DetachedFrame {
    /// See [`Frame::segments`].
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(&self.backing, self.first())
    }

    /// See [`Frame::segments_mut`].
    #[must_use]
    pub fn segments_mut(&mut self) -> SegmentsMut<'_> {
        SegmentsMut::new(&self.backing, self.first())
    }

    /// See [`Frame::total_len`].
    #[must_use]
    pub fn total_len(&self) -> u32 {
        let parts = self.backing.links.parts(self.parts);
        self.len + parts.map(|part| part.len).sum::<u32>()
    }

    /// See [`Frame::is_contiguous`].
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.parts.is_none()
    }

    /// See [`Frame::metadata`].
    #[must_use]
    pub fn metadata(&self, len_bytes: u32) -> Option<&[u8]> {
        let place = in_front_of(self.place(), len_bytes)?;
        let start = self.backing.region.bytes(place, len_bytes);
        // SAFETY: as for `Frame`: the chunk is this handle's alone.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len_bytes as usize) })
    }

    fn first(&self) -> Part {
        Part {
            place: self.place(),
            len: self.len,
            next: self.parts,
        }
    }

    /// Whether the frame's UMEM is the one of `backing`.
    fn is_from(&self, backing: &Arc<BackingStore>) -> bool {
        Arc::ptr_eq(&self.backing, backing)
    }

    fn place(&self) -> Place {
        Place {
            chunk: self.claim.chunk(),
            offset: self.offset,
        }
    }
}

impl Frame {
    /// Makes the frame fit to travel to other threads. Its chunks stay out of
    /// the pool until the handle drops, there or anywhere; a frame below the copybreak is
    /// copied first, as [`hold`](Self::hold) does, and takes none of the UMEM's.
    #[must_use]
    pub fn detach(self) -> DetachedFrame {
        self.hold().detach_in_place()
    }

    fn detach_in_place(self) -> DetachedFrame {
        self.umem().detach(self.claim(), self.first_part());
        let backing = Arc::clone(self.umem().backing());
        let first = self.first();
        DetachedFrame {
            backing,
            offset: first.place.offset,
            len: first.len,
            parts: first.next,
            claim: self.into_claim(),
        }
    }
}

impl Umem {
    /// Makes a detached frame of this UMEM, or a copy of one, an ordinary one again.
    ///
    /// # Errors
    ///
    /// A frame of another UMEM, which is returned.
    pub fn attach(&self, detached: DetachedFrame) -> Result<Frame, DetachedFrame> {
        let mut memories = self.shared().memories();
        let Some(memory) = memories.find(|memory| detached.is_from(memory.backing())) else {
            return Err(detached);
        };
        let mut detached = ManuallyDrop::new(detached);
        let Part { place, len, next } = detached.first();
        // SAFETY: `detached` is never used or dropped again, so the handle is
        // dropped once.
        unsafe { std::ptr::drop_in_place(&raw mut detached.backing) };
        let claim = memory.attach(place.chunk, next);
        let mut frame = Frame::in_place(memory, claim, place, len);
        frame.set_first_part(next);
        Ok(frame)
    }
}

impl Drop for DetachedFrame {
    fn drop(&mut self) {
        // Each link is read before its chunk goes backing, where the next frame may
        // have it at once.
        for part in self.backing.links.parts(self.parts) {
            self.backing.send_back(part.place.chunk);
        }
        self.backing.send_back(self.claim.chunk());
    }
}

impl Deref for DetachedFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.backing.region.bytes(self.place(), self.len);
        // SAFETY: as for `Frame`: the chunk is this handle's alone.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for DetachedFrame {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.backing.region.bytes(self.place(), self.len);
        // SAFETY: as for `Frame`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.len as usize) }
    }
}

impl std::fmt::Debug for DetachedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        debug(f, "DetachedFrame", self.first())
    }
}
