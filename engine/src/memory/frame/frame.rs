//! An owned frame: the right to a packet's bytes, given up when it drops.
//!
//! A [`Frame`] is made of a claim that the ledger makes when it records the
//! application as a chunk's owner: for an xsk that took it from the RX ring, for
//! [`Umem::allocate`], for a detached frame that comes back. It cannot be copied,
//! and it goes in four ways: it drops, it is transmitted, it is detached, or it
//! becomes the end of another frame.
//!
//! A frame that does not fit a chunk has several: the claim is for the first,
//! and the others, its parts, hang on it by links (`memory::links`).

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use thiserror::Error;

use crate::memory::geometry::{CHUNK_BITS, Place};
use crate::memory::handle::{Handle, UmemPointer};
use crate::memory::ledger::Claim;
use crate::memory::links::{Next, Part};
use crate::memory::umem::{Umem, UmemState};

/// A packet in a chunk of a UMEM, or in several, owned by the holder of this value.
///
/// It dereferences to the packet's bytes, from the Ethernet header on, without
/// the frame check sequence: to all of them if it [is
/// contiguous](Self::is_contiguous), as every frame is whose interface has an
/// MTU that fits a chunk, and else to those in its first chunk.
/// [`segments`](Self::segments) returns all of them, whatever the number of chunks.
///
/// Dropping it puts its chunks back into the pool, in a few instructions each.
/// It stays on the thread of its UMEM; [`detach`](Self::detach) makes it fit to
/// travel.
///
/// It does not leave its thread. A compiler that says so names
/// `CallDetachToSendTheFrame`:
///
/// ```compile_fail,E0277
/// fn travels<T: Send>() {}
/// travels::<wharf::Frame>();
/// ```
///
/// # Invariants
///
/// `claim` is the ledger's claim to a chunk of the UMEM of `umem`, with the
/// application as the chunk's owner for as long as the frame lives. `addr` is an
/// address in that chunk as the geometry makes it, and the number of bytes from there
/// that the lower half of `extent` says lies inside the chunk. The upper half of
/// `extent` names the first of the parts: it leads to chunks that the ledger has as
/// parts, each of them once and from this frame alone, whose links name bytes
/// inside them.
pub struct Frame {
    /// First, as the compiler names the first that keeps a frame on its thread.
    _thread: PhantomData<dyn CallDetachToSendTheFrame>,
    umem: Handle,
    addr: u64,
    extent: u64,
    claim: Claim,
}

/// Is there for its name: the first line of the compiler's error shows it where a frame is
/// sent to another thread, which [`Frame::detach`] allows (`engine/tests/threads.rs`).
trait CallDetachToSendTheFrame {}

/// A frame taken apart: what a rare path hands to a busy one, which keeps its own
/// frames in registers then. A frame from either would be put into memory, and cost
/// a stall.
pub(crate) struct Pieces {
    umem: Handle,
    addr: u64,
    extent: u64,
    claim: Claim,
}

/// There are fewer bytes than asked for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{asked} bytes asked for, and the chunk has {available} there")]
#[non_exhaustive]
pub struct NoRoom {
    /// Bytes asked for.
    pub asked: u32,
    /// Bytes there are.
    pub available: u32,
}

impl Umem {
    /// Takes a free chunk as an empty frame to build a packet in, or `None` when
    /// no chunk is free.
    #[must_use]
    #[inline]
    pub fn allocate(&self) -> Option<Frame> {
        let umem = self.shared();
        let chunk = umem.take_free()?;
        let claim = umem.ledger.allocate(chunk);
        let offset = umem.geometry.front();
        Some(Frame::in_place(umem, claim, Place { chunk, offset }, 0))
    }
}

impl Frame {
    /// The frame of the chunk that `claim` is for.
    ///
    /// # Safety
    ///
    /// The claim is of the handle's UMEM, and `addr` and `extent` are as the
    /// invariants say.
    #[inline]
    pub(in crate::memory) unsafe fn from_raw(
        umem: Handle,
        claim: Claim,
        addr: u64,
        extent: u64,
    ) -> Self {
        Self {
            _thread: PhantomData,
            umem,
            addr,
            extent,
            claim,
        }
    }

    /// The frame of `len` bytes at `place`, in the chunk that `claim` is for.
    ///
    /// # Panics
    ///
    /// When the bytes do not lie in that chunk.
    #[inline]
    pub(in crate::memory) fn in_place(
        umem: &Rc<UmemState>,
        claim: Claim,
        place: Place,
        len: u32,
    ) -> Self {
        assert!(
            place.chunk == claim.chunk() && umem.geometry.fits(place.offset, len),
            "a frame lies in its chunk"
        );
        let addr = umem.geometry.addr(place);
        // SAFETY: the claim's ledger is the UMEM's, as every caller has it from
        // there, and the bytes were just found to lie in its chunk.
        unsafe { Self::from_raw(Handle::new(umem), claim, addr, len.into()) }
    }

    /// The frame that had `addr` and `extent` when it was sent, and whose chunks the
    /// kernel is done with: the first is what `claim` is for, and the others are parts.
    ///
    /// # Panics
    ///
    /// When the bytes do not lie in that chunk.
    pub(in crate::memory) fn resumed(
        umem: &Rc<UmemState>,
        claim: Claim,
        addr: u64,
        extent: u64,
    ) -> Self {
        let place = umem.geometry.place(addr).expect("a frame had the address");
        let len = extent & u64::from(u32::MAX);
        let len = u32::try_from(len).expect("the lower half");
        let mut frame = Self::in_place(umem, claim, place, len);
        frame.set_first_part(Next::of_extent(extent));
        frame
    }

    /// Lets the frame grow by `bytes` at the front, and returns the new bytes,
    /// zeroed: for a header to be put before the packet.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when [`headroom`](Self::headroom) is less than `bytes`.
    #[inline]
    pub fn grow_front(&mut self, bytes: u32) -> Result<&mut [u8], NoRoom> {
        let available = self.headroom();
        if bytes > available {
            return Err(NoRoom {
                asked: bytes,
                available,
            });
        }
        self.move_front(available - bytes, self.len_bytes() + bytes);
        let grown = &mut self[..bytes as usize];
        grown.fill(0);
        Ok(grown)
    }

    /// Lets the frame grow by `bytes` at the end, and returns the new bytes,
    /// zeroed. A frame in several chunks grows in its last;
    /// [`append`](Self::append) adds chunks.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when [`tailroom`](Self::tailroom) is less than `bytes`.
    #[inline]
    pub fn grow_back(&mut self, bytes: u32) -> Result<&mut [u8], NoRoom> {
        let available = self.tailroom();
        if bytes > available {
            return Err(NoRoom {
                asked: bytes,
                available,
            });
        }
        if !self.is_contiguous() {
            return Ok(self.grow_last_part(bytes));
        }
        let start = self.len_bytes();
        self.set_len(start + bytes);
        let grown = &mut self[start as usize..];
        grown.fill(0);
        Ok(grown)
    }

    /// Takes `bytes` off the front: a header that is done with. A frame in
    /// several chunks loses at most those of its first.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the first chunk has fewer.
    #[inline]
    pub fn shrink_front(&mut self, bytes: u32) -> Result<(), NoRoom> {
        check_shrink(bytes, self.len_bytes())?;
        self.move_front(self.headroom() + bytes, self.len_bytes() - bytes);
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
        self.set_len(self.len_bytes() - left);
        Ok(())
    }

    /// Swaps the destination and source MAC addresses, so that the frame goes
    /// back where it came from. A frame shorter than both stays as it is.
    #[inline]
    pub fn swap_mac_addresses(&mut self) {
        if let Some((destination, source)) = self
            .get_mut(..12)
            .map(|addresses| addresses.split_at_mut(6))
        {
            destination.swap_with_slice(source);
        }
    }

    /// Free bytes of the first chunk before the frame.
    #[must_use]
    #[inline]
    pub fn headroom(&self) -> u32 {
        self.umem.geometry.offset(self.chunk(), self.addr)
    }

    /// Free bytes of the last chunk behind the frame.
    #[must_use]
    #[inline]
    pub fn tailroom(&self) -> u32 {
        let (offset, len) = if self.is_contiguous() {
            (self.headroom(), self.len_bytes())
        } else {
            self.end_of_parts()
        };
        self.umem.geometry.chunk_size() - offset - len
    }

    /// Lets the first chunk's bytes begin at `offset`, and be `len`, which the caller
    /// has found to lie in the chunk.
    #[inline]
    fn move_front(&mut self, offset: u32, len: u32) {
        let chunk = self.chunk();
        self.addr = self.umem.geometry.addr(Place { chunk, offset });
        self.set_len(len);
    }

    /// Lets a frame in several chunks grow at the end by bytes that its last has.
    #[cold]
    fn grow_last_part(&mut self, bytes: u32) -> &mut [u8] {
        let last = self.last_part().expect("it has a last part");
        let len = last.len + bytes;
        self.umem.backing().links.set(Part { len, ..last });
        let segment = self.segments_mut().last().expect("it has a last chunk");
        let grown = &mut segment[last.len as usize..];
        grown.fill(0);
        grown
    }

    /// Where the last of the parts begins in its chunk, and its length.
    #[cold]
    fn end_of_parts(&self) -> (u32, u32) {
        let last = self.last_part().expect("it has a last part");
        (last.place.offset, last.len)
    }

    /// The first chunk, as if it were a part.
    pub(super) fn first(&self) -> Part {
        Part {
            place: self.place(),
            len: self.len_bytes(),
            next: self.first_part(),
        }
    }

    /// Which UMEM the frame belongs to, or which memory for copies.
    #[inline]
    pub(crate) fn pointer(&self) -> UmemPointer {
        self.umem.pointer()
    }

    #[inline]
    pub(super) fn umem(&self) -> &UmemState {
        &self.umem
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    #[inline]
    pub(in crate::memory) fn chunk(&self) -> u32 {
        self.claim.chunk()
    }

    /// Where the first chunk's bytes begin, as ring entries have it.
    #[inline]
    pub(crate) fn addr(&self) -> u64 {
        self.addr
    }

    /// The length of the first chunk's bytes, and above it the first part's name.
    #[inline]
    pub(in crate::memory) fn extent(&self) -> u64 {
        self.extent
    }

    /// Whether the frame has bytes, and has them in one chunk.
    #[inline]
    pub(in crate::memory) fn is_plain(&self) -> bool {
        // A chunk has fewer than 2^31 bytes. With 32 bits, an empty first chunk whose
        // next is named 1 would look like one of 2^32 bytes, less one.
        self.extent.wrapping_sub(1) >> 31 == 0
    }

    #[inline]
    pub(crate) fn place(&self) -> Place {
        Place {
            chunk: self.chunk(),
            offset: self.headroom(),
        }
    }

    /// The length of the first chunk's bytes; the slice's, without making one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(crate) fn len_bytes(&self) -> u32 {
        self.extent as u32
    }

    /// The caller has found that so many bytes lie in the chunk.
    #[inline]
    fn set_len(&mut self, len: u32) {
        self.extent = self.extent & !u64::from(u32::MAX) | u64::from(len);
    }

    #[inline]
    pub(super) fn first_part(&self) -> Next {
        Next::of_extent(self.extent)
    }

    #[inline]
    pub(super) fn set_first_part(&mut self, part: Next) {
        self.extent = u64::from(part.word()) << 32 | u64::from(self.len_bytes());
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self) -> bool {
        self.umem.ledger.is_made(&self.claim)
    }

    /// Ends the frame without recycling its chunk, whose claim is the caller's
    /// from here on, as are its parts.
    pub(crate) fn into_claim(self) -> Claim {
        // SAFETY: `self` is forgotten before anything else can use or drop it,
        // so the handle is dropped once.
        let umem = unsafe { std::ptr::read(&raw const self.umem) };
        // SAFETY: as above: there is one claim before and after.
        let claim = unsafe { std::ptr::read(&raw const self.claim) };
        std::mem::forget(self);
        drop(umem);
        claim
    }

    /// Ends the frame, whose chunk has another owner already. Its handle stays in
    /// the UMEM's count, for [`Handle::release`] to take it off with others.
    #[inline]
    pub(in crate::memory) fn leave_counted(self) {
        std::mem::forget(self);
    }

    /// Takes the frame apart, for [`from_pieces`](Self::from_pieces) to make it
    /// whole again.
    #[inline]
    pub(crate) fn into_pieces(self) -> Pieces {
        // SAFETY: as in `into_claim`.
        let umem = unsafe { std::ptr::read(&raw const self.umem) };
        // SAFETY: as in `into_claim`.
        let claim = unsafe { std::ptr::read(&raw const self.claim) };
        let (addr, extent) = (self.addr, self.extent);
        std::mem::forget(self);
        Pieces {
            umem,
            addr,
            extent,
            claim,
        }
    }

    #[inline]
    pub(crate) fn from_pieces(pieces: Pieces) -> Self {
        let Pieces {
            umem,
            addr,
            extent,
            claim,
        } = pieces;
        Self {
            _thread: PhantomData,
            umem,
            addr,
            extent,
            claim,
        }
    }

    /// Puts the chunks back into the pool without counting a drop by the
    /// application: whoever calls has counted the reason.
    pub(crate) fn recycle(self) {
        self.umem.recycle_parts(self.first_part());
        self.umem.recycle(&self.claim);
        // The chunk is not this frame's any more, so it must not drop; the handle
        // does.
        self.into_claim();
    }

    /// The address of the first byte, in this process.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a distance inside memory that is mapped"
    )]
    fn start(&self) -> *mut u8 {
        // The sum is the byte's distance from the start in either layout: aligned
        // chunks have nothing in the upper bits.
        let distance = (self.addr & CHUNK_BITS) + (self.addr >> CHUNK_BITS.count_ones());
        let start = self.umem.start.as_ptr();
        // SAFETY: by the invariant the byte lies inside a chunk of the UMEM, whose
        // memory begins there.
        unsafe { start.add(distance as usize) }
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
        if !(self.is_contiguous() && self.umem.discard_run(&self.claim)) {
            self.drop_slowly();
        }
    }
}

impl Frame {
    /// Puts the chunks back into the pool, any number of any kind.
    #[cold]
    #[inline(never)]
    fn drop_slowly(&mut self) {
        self.umem.recycle_parts(self.first_part());
        self.umem.discard(&self.claim);
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: by the invariant there are so many mapped bytes, of a chunk that
        // this frame alone owns: the kernel does not write them, and other Rust code
        // reaches them through `self` only.
        unsafe { std::slice::from_raw_parts(self.start(), self.len_bytes() as usize) }
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len_bytes() as usize) }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        debug(f, "Frame", self.first())
    }
}

pub(super) fn debug(f: &mut std::fmt::Formatter<'_>, name: &str, first: Part) -> std::fmt::Result {
    f.debug_struct(name)
        .field("chunk", &first.place.chunk)
        .field("offset", &first.place.offset)
        .field("len", &first.len)
        .field("is_contiguous", &first.next.is_none())
        .finish_non_exhaustive()
}
