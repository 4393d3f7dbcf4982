//! An owned frame: the right to one chunk's bytes, given up when it drops.
//!
//! A [`Frame`] is made of a claim that the ledger gives when it records the
//! application as a chunk's owner: for a queue that took it from the RX ring, for
//! [`Umem::allocate`](crate::Umem::allocate), for a detached frame that comes
//! back. It cannot be copied, and it goes in three ways: it drops, it is
//! transmitted, or it is detached.
#![expect(unsafe_code, reason = "slices over the chunk that a frame owns")]

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;

use crate::umem::ledger::Claim;
use crate::umem::region::Place;
use crate::umem::{Home, Shared};

/// A packet in a chunk of a UMEM, owned by whoever has this value.
///
/// It dereferences to the packet's bytes, from the Ethernet header on, without
/// the frame check sequence. Dropping it puts its chunk back into the pool, in a
/// few instructions. It stays on the thread of its UMEM;
/// [`detach`](Self::detach) makes it fit to travel.
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
/// the chunk size.
pub struct Frame {
    umem: Rc<Shared>,
    claim: Claim,
    offset: u32,
    len: u32,
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
    pub(crate) fn new(umem: Rc<Shared>, claim: Claim, offset: u32, len: u32) -> Self {
        Self {
            umem,
            claim,
            offset,
            len,
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
    /// zeroed.
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
        let start = self.len as usize;
        self.len += bytes;
        let grown = &mut self[start..];
        grown.fill(0);
        Ok(grown)
    }

    /// Takes `bytes` off the front: a header that is done with.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the frame is shorter.
    pub fn shrink_front(&mut self, bytes: u32) -> Result<(), NoRoom> {
        self.check_shrink(bytes)?;
        self.offset += bytes;
        self.len -= bytes;
        Ok(())
    }

    /// Takes `bytes` off the end.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the frame is shorter.
    pub fn shrink_back(&mut self, bytes: u32) -> Result<(), NoRoom> {
        self.check_shrink(bytes)?;
        self.len -= bytes;
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

    /// Makes the frame fit to travel to other threads. Its chunk stays out of
    /// the pool until the handle drops, there or anywhere.
    #[must_use]
    pub fn detach(self) -> DetachedFrame {
        self.umem.detach(&self.claim);
        let home = Arc::clone(self.umem.home());
        let (offset, len) = (self.offset, self.len);
        DetachedFrame {
            home,
            claim: self.into_claim(),
            offset,
            len,
        }
    }

    /// Free bytes of the chunk before the frame.
    #[must_use]
    pub fn headroom(&self) -> u32 {
        self.offset
    }

    /// Free bytes of the chunk behind the frame.
    #[must_use]
    pub fn tailroom(&self) -> u32 {
        self.umem.geometry.chunk_size() - self.offset - self.len
    }

    #[inline]
    pub(crate) fn umem(&self) -> &Rc<Shared> {
        &self.umem
    }

    #[inline]
    pub(crate) fn place(&self) -> Place {
        Place {
            chunk: self.claim.chunk(),
            offset: self.offset,
        }
    }

    /// The length in bytes; the slice's, without making one.
    #[inline]
    pub(crate) fn len_bytes(&self) -> u32 {
        self.len
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self) -> bool {
        self.umem.ledger.is_made(&self.claim)
    }

    /// Ends the frame without recycling its chunk, whose claim is the caller's
    /// from here on.
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

    /// Puts the chunk back into the pool without counting a drop by the
    /// application: whoever calls has counted the reason.
    pub(crate) fn recycle(self) {
        let umem = Rc::clone(&self.umem);
        umem.recycle(&self.into_claim());
    }

    fn check_shrink(&self, bytes: u32) -> Result<(), NoRoom> {
        if bytes > self.len {
            return Err(NoRoom {
                asked: bytes,
                available: self.len,
            });
        }
        Ok(())
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
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
        debug(f, "Frame", self.place(), self.len)
    }
}

/// A frame that may travel between threads. It reads and writes like a
/// [`Frame`]; dropping it sends its chunk home, which never blocks.
///
/// [`Umem::attach`](crate::Umem::attach) makes it a [`Frame`] again, on the
/// thread of its UMEM. The memory lives for as long as the handle does.
///
/// # Invariants
///
/// As a [`Frame`]'s, with `Detached` as the chunk's owner.
pub struct DetachedFrame {
    home: Arc<Home>,
    claim: Claim,
    offset: u32,
    len: u32,
}

impl DetachedFrame {
    /// Whether the frame's UMEM is the one of `home`.
    fn is_from(&self, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(&self.home, home)
    }

    fn place(&self) -> Place {
        Place {
            chunk: self.claim.chunk(),
            offset: self.offset,
        }
    }
}

impl crate::Umem {
    /// Makes a detached frame of this UMEM an ordinary one again.
    ///
    /// # Errors
    ///
    /// A frame of another UMEM is given back.
    pub fn attach(&self, detached: DetachedFrame) -> Result<Frame, DetachedFrame> {
        if !detached.is_from(self.shared().home()) {
            return Err(detached);
        }
        let mut detached = ManuallyDrop::new(detached);
        let (Place { chunk, offset }, len) = (detached.place(), detached.len);
        // SAFETY: `detached` is never used or dropped again, so the handle is
        // dropped once.
        unsafe { std::ptr::drop_in_place(&raw mut detached.home) };
        let claim = self.shared().attach(chunk);
        Ok(Frame::new(Rc::clone(self.shared()), claim, offset, len))
    }
}

impl Drop for DetachedFrame {
    fn drop(&mut self) {
        self.home.send_back(self.claim.chunk());
    }
}

impl Deref for DetachedFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.home.region.bytes(self.place(), self.len);
        // SAFETY: as for `Frame`: the chunk is this handle's alone.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for DetachedFrame {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.home.region.bytes(self.place(), self.len);
        // SAFETY: as for `Frame`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.len as usize) }
    }
}

impl std::fmt::Debug for DetachedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        debug(f, "DetachedFrame", self.place(), self.len)
    }
}

fn debug(f: &mut std::fmt::Formatter<'_>, name: &str, place: Place, len: u32) -> std::fmt::Result {
    f.debug_struct(name)
        .field("chunk", &place.chunk)
        .field("offset", &place.offset)
        .field("len", &len)
        .finish_non_exhaustive()
}
