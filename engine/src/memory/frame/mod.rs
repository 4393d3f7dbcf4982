//! An owned frame: the right to a packet's bytes, given up when it drops.
//!
//! A [`Frame`] is made of a claim that the ledger gives when it records the
//! application as a chunk's owner: for a queue that took it from the RX ring, for
//! [`Umem::allocate`](crate::Umem::allocate), for a detached frame that comes
//! back. It cannot be copied, and it goes in four ways: it drops, it is
//! transmitted, it is detached, or it becomes the end of another frame.
//!
//! A frame that does not fit a chunk has several: the claim is for the first,
//! and the others, its parts, hang on it by links (`umem::links`).
#![expect(unsafe_code, reason = "slices over the chunks that a frame owns")]

mod chunks;
mod detached;
mod metadata;
mod segments;

use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;

pub use chunks::AppendError;
pub use detached::DetachedFrame;
pub use segments::{Segments, SegmentsMut};

use crate::memory::UmemState;
use crate::memory::geometry::Place;
use crate::memory::ledger::Claim;
use crate::memory::links::{Next, Part};

/// A packet in a chunk of a UMEM, or in several, owned by whoever has this value.
///
/// It dereferences to the packet's bytes, from the Ethernet header on, without
/// the frame check sequence: to all of them if it [is
/// contiguous](Self::is_contiguous), as every frame is whose interface has an
/// MTU that fits a chunk, and else to those in its first chunk.
/// [`segments`](Self::segments) gives all of them, whatever the number of chunks.
///
/// Dropping it puts its chunks back into the pool, in a few instructions each.
/// It stays on the thread of its UMEM; [`detach`](Self::detach) makes it fit to
/// travel.
///
/// It does not leave its thread:
///
/// ```compile_fail,E0277
/// fn travels<T: Send>() {}
/// travels::<wharf::Frame>();
/// ```
///
/// # Invariants
///
/// `claim` is the ledger's claim to a chunk of `umem`, with the application as
/// the chunk's owner for as long as the frame lives. `offset + len` is at most
/// the chunk size. `parts` leads to chunks that the ledger has as parts, each of
/// them once and from this frame alone, whose links tell of bytes inside them.
pub struct Frame {
    umem: Rc<UmemState>,
    claim: Claim,
    offset: u32,
    len: u32,
    parts: Next,
}

/// A frame taken apart: what a rare path gives to a busy one, which keeps its own
/// frames in registers then. A frame from either would be put into memory, and cost
/// a stall.
pub(crate) struct Pieces {
    umem: Rc<UmemState>,
    claim: Claim,
    offset: u32,
    len: u32,
    parts: Next,
}

/// There are fewer bytes than asked for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{asked} bytes asked for, and the chunk has {available} there")]
pub struct NoRoom {
    /// Bytes asked for.
    pub asked: u32,
    /// Bytes there are.
    pub available: u32,
}

impl Frame {
    /// The frame of `len` bytes at `offset` of the chunk that `claim` is for.
    /// The claim is of `umem`, and the bytes lie inside the chunk.
    #[inline]
    pub(crate) fn new(umem: Rc<UmemState>, claim: Claim, offset: u32, len: u32) -> Self {
        Self {
            umem,
            claim,
            offset,
            len,
            parts: Next::NONE,
        }
    }

    /// Lets the frame grow by `bytes` at the front, and gives the new bytes,
    /// zeroed: for a header to be put before the packet.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when [`headroom`](Self::headroom) is less than `bytes`.
    pub fn grow_front(&mut self, bytes: u32) -> Result<&mut [u8], NoRoom> {
        let available = self.headroom();
        if bytes > available {
            return Err(NoRoom {
                asked: bytes,
                available,
            });
        }
        self.offset -= bytes;
        self.len += bytes;
        let grown = &mut self[..bytes as usize];
        grown.fill(0);
        Ok(grown)
    }

    /// Lets the frame grow by `bytes` at the end, and gives the new bytes,
    /// zeroed. A frame in several chunks grows in its last;
    /// [`append`](Self::append) adds chunks.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when [`tailroom`](Self::tailroom) is less than `bytes`.
    pub fn grow_back(&mut self, bytes: u32) -> Result<&mut [u8], NoRoom> {
        let available = self.tailroom();
        if bytes > available {
            return Err(NoRoom {
                asked: bytes,
                available,
            });
        }
        let grown = match self.last_part() {
            None => {
                let start = self.len;
                self.len += bytes;
                &mut self[start as usize..]
            }
            Some(last) => {
                let len = last.len + bytes;
                self.umem.backing().links.set(Part { len, ..last });
                let segment = self.segments_mut().last().expect("it has a last chunk");
                &mut segment[last.len as usize..]
            }
        };
        grown.fill(0);
        Ok(grown)
    }

    /// Takes `bytes` off the front: a header that is done with. A frame in
    /// several chunks has at most those of its first to give.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the first chunk has fewer.
    pub fn shrink_front(&mut self, bytes: u32) -> Result<(), NoRoom> {
        check_shrink(bytes, self.len)?;
        self.offset += bytes;
        self.len -= bytes;
        Ok(())
    }

    /// Takes `bytes` off the end. Chunks that are left without any go back into
    /// the pool, but for the first.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the frame is shorter.
    pub fn shrink_back(&mut self, bytes: u32) -> Result<(), NoRoom> {
        check_shrink(bytes, self.total_len())?;
        let mut left = bytes;
        while let Some(last) = self.last_part() {
            if left < last.len {
                let len = last.len - left;
                self.umem.backing().links.set(Part { len, ..last });
                return Ok(());
            }
            left -= last.len;
            self.cut_before(last);
        }
        self.len -= left;
        Ok(())
    }

    /// Swaps the destination and source MAC addresses, so that the frame goes
    /// back where it came from. A frame shorter than both stays as it is.
    pub fn swap_mac_addresses(&mut self) {
        if let Some((destination, source)) = self
            .get_mut(..12)
            .map(|addresses| addresses.split_at_mut(6))
        {
            destination.swap_with_slice(source);
        }
    }

    /// Makes the frame fit to travel to other threads. Its chunks stay out of
    /// the pool until the handle drops, there or anywhere.
    #[must_use]
    pub fn detach(self) -> DetachedFrame {
        self.umem.detach(&self.claim, self.parts);
        let backing = Arc::clone(self.umem.backing());
        let first = self.first();
        DetachedFrame::new(backing, self.into_claim(), first)
    }

    /// Free bytes of the first chunk before the frame.
    #[must_use]
    pub fn headroom(&self) -> u32 {
        self.offset
    }

    /// Free bytes of the last chunk behind the frame.
    #[must_use]
    pub fn tailroom(&self) -> u32 {
        let (offset, len) = match self.last_part() {
            None => (self.offset, self.len),
            Some(last) => (last.place.offset, last.len),
        };
        self.umem.geometry.chunk_size() - offset - len
    }

    /// The first chunk, as if it were a part.
    fn first(&self) -> Part {
        Part {
            place: self.place(),
            len: self.len,
            next: self.parts,
        }
    }

    #[inline]
    pub(crate) fn umem(&self) -> &Rc<UmemState> {
        &self.umem
    }

    #[inline]
    pub(crate) fn place(&self) -> Place {
        Place {
            chunk: self.claim.chunk(),
            offset: self.offset,
        }
    }

    /// The length of the first chunk's bytes; the slice's, without making one.
    #[inline]
    pub(crate) fn len_bytes(&self) -> u32 {
        self.len
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self) -> bool {
        self.umem.ledger.is_made(&self.claim)
    }

    /// Ends the frame without recycling its chunk, whose claim is the caller's
    /// from here on, as are its parts.
    #[inline]
    pub(crate) fn into_claim(self) -> Claim {
        // Reading the fields keeps the frame in registers; moving the whole into
        // a `ManuallyDrop` stores it and loads it back in other pieces, which
        // costs a stall per frame.
        // SAFETY: `self` is forgotten before anything else can use or drop it,
        // so the handle is dropped once.
        let umem = unsafe { std::ptr::read(&raw const self.umem) };
        // SAFETY: as above: there is one claim before and after.
        let claim = unsafe { std::ptr::read(&raw const self.claim) };
        std::mem::forget(self);
        drop(umem);
        claim
    }

    /// Takes the frame apart, for [`from_pieces`](Self::from_pieces) to make it
    /// whole again.
    #[inline]
    pub(crate) fn into_pieces(self) -> Pieces {
        // SAFETY: as in `into_claim`.
        let umem = unsafe { std::ptr::read(&raw const self.umem) };
        // SAFETY: as in `into_claim`.
        let claim = unsafe { std::ptr::read(&raw const self.claim) };
        let (offset, len, parts) = (self.offset, self.len, self.parts);
        std::mem::forget(self);
        Pieces {
            umem,
            claim,
            offset,
            len,
            parts,
        }
    }

    pub(crate) fn from_pieces(pieces: Pieces) -> Self {
        let Pieces {
            umem,
            claim,
            offset,
            len,
            parts,
        } = pieces;
        Self {
            umem,
            claim,
            offset,
            len,
            parts,
        }
    }

    /// Puts the chunks back into the pool without counting a drop by the
    /// application: whoever calls has counted the reason.
    pub(crate) fn recycle(self) {
        let umem = Rc::clone(&self.umem);
        umem.recycle_parts(self.parts);
        umem.recycle(&self.into_claim());
    }
}

fn check_shrink(asked: u32, available: u32) -> Result<(), NoRoom> {
    if asked > available {
        return Err(NoRoom { asked, available });
    }
    Ok(())
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        if !self.parts.is_none() {
            self.umem.recycle_parts(self.parts);
        }
        self.umem.discard(&self.claim);
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let start = self.umem.region().bytes(self.place(), self.len);
        // SAFETY: `bytes` gives the address of `len` mapped bytes of the chunk
        // that this frame alone owns, by the invariant: the kernel does not
        // write them, and other Rust code reaches them through `self` only.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.umem.region().bytes(self.place(), self.len);
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.len as usize) }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        debug(f, "Frame", self.first())
    }
}

fn debug(f: &mut std::fmt::Formatter<'_>, name: &str, first: Part) -> std::fmt::Result {
    f.debug_struct(name)
        .field("chunk", &first.place.chunk)
        .field("offset", &first.place.offset)
        .field("len", &first.len)
        .field("is_contiguous", &first.next.is_none())
        .finish_non_exhaustive()
}
