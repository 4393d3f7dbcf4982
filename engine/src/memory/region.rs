//! The memory of a UMEM: chunks of one size, back to back, shared with the
//! kernel.
//!
//! A region hands out addresses, never references: who may look at a chunk's
//! bytes is decided by who owns it, which the ledger records.
#![expect(unsafe_code, reason = "pointers into memory shared with the kernel")]

use std::ptr::NonNull;

use super::MemoryReport;
use super::geometry::{Geometry, Place};
use crate::kernel::sys::memory::page_size;

/// What a region is made of.
///
/// # Safety
///
/// From the value's first use by a [`Region`] until it drops, wherever it is moved, and
/// on whatever thread: the `len` bytes at `start` are mapped, readable and writable, and
/// whoever may look at them in this process asks the region.
pub(super) unsafe trait Memory: std::fmt::Debug + Send + Sync {
    /// The first byte, at the border of a page.
    fn start(&self) -> NonNull<u8>;
    /// The number of bytes.
    fn len(&self) -> usize;
}

/// The chunks of a UMEM.
///
/// # Invariants
///
/// `start` is the address of `report.bytes` mapped bytes, at least
/// `geometry.len_bytes()` of them, which stay mapped for as long as `_memory` is kept.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    geometry: Geometry,
    report: MemoryReport,
    _memory: Box<dyn Memory>,
}

// SAFETY: a region hands out addresses, and its memory is the process's.
unsafe impl Send for Region {}
// SAFETY: as above, and nothing of a region changes.
unsafe impl Sync for Region {}

impl Region {
    /// The chunks that `geometry` says, in `memory`.
    pub(super) fn new(
        geometry: Geometry,
        memory: impl Memory + 'static,
        report: MemoryReport,
    ) -> Self {
        assert!(
            report.bytes >= geometry.len_bytes() && memory.len() as u64 >= report.bytes,
            "a region is as long as its chunks"
        );
        Self {
            start: memory.start(),
            geometry,
            report,
            _memory: Box::new(memory),
        }
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What the memory is.
    pub(crate) fn report(&self) -> &MemoryReport {
        &self.report
    }

    /// Whether some chunk lies on two pages that need not be neighbours in
    /// physical memory. In zero-copy mode the kernel passes over such a chunk in
    /// the fill ring, without a word (`xp_check_unaligned` in
    /// `net/xdp/xsk_buff_pool.c`).
    pub(crate) fn scatters_chunks(&self) -> bool {
        !self.report.has_huge_pages() && self.geometry.straddles(page_size())
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The address of `len` bytes at `place`, in this process.
    ///
    /// # Panics
    ///
    /// When the bytes would not lie inside one chunk: a broken invariant of the
    /// caller, never something the kernel said.
    #[inline]
    pub(crate) fn bytes(&self, place: Place, len: u32) -> NonNull<u8> {
        let geometry = &self.geometry;
        assert!(
            place.chunk < geometry.chunks() && geometry.fits(place.offset, len),
            "frame bytes lie inside a chunk of the UMEM"
        );
        // SAFETY: the assertion and the invariant keep the distance within the
        // mapping.
        unsafe { self.start.add(geometry.distance(place)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ChunkSize;
    use crate::memory::own::{OwnMemory, Size};

    fn region(size: ChunkSize) -> Region {
        let geometry = Geometry::new(4, size, 0, None);
        let memory = OwnMemory::new(16 << 10, Size::Base(4096)).expect("16 KiB of memory");
        let report = memory.report(16 << 10, 4096, None);
        Region::new(geometry, memory, report)
    }

    #[test]
    fn region_has_the_memory_of_its_chunks() {
        for size in [ChunkSize::new(2048), ChunkSize::unaligned(3001)] {
            let size = size.expect("a chunk size");
            let region = region(size);

            let last = Place {
                chunk: 3,
                offset: size.get() - 1,
            };
            let start = region.start().as_ptr().addr();
            let stride = size.get().next_multiple_of(2) as usize;
            let end = start + 3 * stride + size.get() as usize;
            assert_eq!(region.bytes(last, 1).as_ptr().addr(), end - 1);
        }
    }

    #[test]
    fn chunks_are_scattered_where_they_lie_across_pages_that_need_not_be_neighbours() {
        let scatters =
            |size: Result<ChunkSize, _>| region(size.expect("a chunk size")).scatters_chunks();

        assert!(scatters(ChunkSize::unaligned(3000)));
        assert!(!scatters(ChunkSize::unaligned(2048)));
        assert!(!scatters(ChunkSize::new(2048)));
    }

    #[test]
    #[should_panic(expected = "lie inside a chunk")]
    fn bytes_across_the_end_of_a_chunk_are_not_given() {
        let region = region(ChunkSize::unaligned(3001).expect("a chunk size"));

        let last = Place {
            chunk: 0,
            offset: 3000,
        };
        region.bytes(last, 2);
    }
}
