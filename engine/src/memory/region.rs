//! The memory of a UMEM: chunks of one size, back to back, shared with the
//! kernel.
//!
//! A region hands out addresses, never references: who may look at a chunk's
//! bytes is decided by who owns it, which the ledger records.
#![expect(unsafe_code, reason = "pointers into memory shared with the kernel")]

use std::io;
use std::ptr::NonNull;

use super::config::Pages;
use super::geometry::{Geometry, Place};
use crate::kernel::sys::memory::{Mapping, page_size};

/// The chunks of a UMEM.
///
/// # Invariants
///
/// The mapping holds at least `geometry.len_bytes()` bytes.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: Mapping,
    geometry: Geometry,
    pages: Pages,
}

impl Region {
    /// Maps zeroed chunks on the NUMA node of the calling thread: `len` bytes,
    /// whole `pages`, which hold what `geometry` says.
    pub(crate) fn new(geometry: Geometry, pages: Pages, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        assert!(
            len as u64 >= geometry.len_bytes(),
            "a region is as long as its chunks"
        );
        let mapping = match pages {
            Pages::Base => Mapping::anonymous(len)?,
            Pages::Huge => Mapping::huge(len)?,
        };
        Ok(Self {
            mapping,
            geometry,
            pages,
        })
    }

    pub(crate) fn pages(&self) -> Pages {
        self.pages
    }

    /// The bytes mapped: whole pages.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        u64::try_from(self.mapping.len()).expect("lengths fit 64 bits")
    }

    /// Whether some chunk lies on two pages that need not be neighbours in
    /// physical memory. In zero-copy mode the kernel passes over such a chunk in
    /// the fill ring, without a word (`xp_check_unaligned` in
    /// `net/xdp/xsk_buff_pool.c`).
    pub(crate) fn scatters_chunks(&self) -> bool {
        self.pages == Pages::Base && self.geometry.straddles(page_size())
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.start()
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
        unsafe { self.mapping.start().add(geometry.distance(place)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ChunkSize;

    fn region(size: ChunkSize) -> Region {
        let geometry = Geometry::new(4, size, 0, None);
        Region::new(geometry, Pages::Base, 16 << 10).expect("16 KiB of memory")
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
