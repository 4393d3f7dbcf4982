//! The memory of a UMEM: chunks of one size, back to back, shared with the
//! kernel.
//!
//! A region hands out addresses, never references: who may look at a chunk's
//! bytes is decided by who owns it, which the ledger records.
#![expect(unsafe_code, reason = "pointers into memory shared with the kernel")]

use std::io;
use std::ptr::NonNull;

use crate::config::ChunkSize;
use crate::sys::memory::Mapping;

/// The chunks of a UMEM.
///
/// # Invariants
///
/// The mapping holds at least `geometry.len_bytes()` bytes.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: Mapping,
    geometry: Geometry,
}

/// The number and size of chunks, and with them what a ring entry's address
/// means. A copy of its own spares the hot path the way to the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    chunks: u32,
    chunk_shift: u32,
}

/// A place in a region that a ring entry named: which chunk, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: u32,
    pub(crate) offset: u32,
}

impl Geometry {
    pub(crate) fn chunks(self) -> u32 {
        self.chunks
    }

    #[inline]
    pub(crate) fn chunk_size(self) -> u32 {
        1 << self.chunk_shift
    }

    pub(crate) fn len_bytes(self) -> u64 {
        u64::from(self.chunks) << self.chunk_shift
    }

    /// The UMEM address of a place, as ring entries have it.
    #[inline]
    pub(crate) fn addr(self, place: Place) -> u64 {
        (u64::from(place.chunk) << self.chunk_shift) + u64::from(place.offset)
    }

    /// The place that a ring entry's address names, if it lies in the region.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the chunk was compared with a u32, the offset masked by one"
    )]
    pub(crate) fn place(self, addr: u64) -> Option<Place> {
        let chunk = addr >> self.chunk_shift;
        (chunk < u64::from(self.chunks)).then(|| Place {
            chunk: chunk as u32,
            offset: addr as u32 & (self.chunk_size() - 1),
        })
    }

    /// Whether `len` bytes at `offset` stay inside a chunk.
    #[inline]
    pub(crate) fn fits(self, offset: u32, len: u32) -> bool {
        u64::from(offset) + u64::from(len) <= u64::from(self.chunk_size())
    }
}

impl Region {
    /// Maps `chunks` zeroed chunks on the NUMA node of the calling thread.
    pub(crate) fn new(chunks: u32, chunk_size: ChunkSize) -> io::Result<Self> {
        let geometry = Geometry {
            chunks,
            chunk_shift: chunk_size.get().trailing_zeros(),
        };
        let len = usize::try_from(geometry.len_bytes()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            mapping: Mapping::anonymous(len)?,
            geometry,
        })
    }

    #[inline]
    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
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
        let Geometry {
            chunks,
            chunk_shift,
        } = self.geometry;
        assert!(
            place.chunk < chunks && self.geometry.fits(place.offset, len),
            "frame bytes lie inside a chunk of the UMEM"
        );
        let start = ((place.chunk as usize) << chunk_shift) + place.offset as usize;
        // SAFETY: the assertion and the invariant keep `start` within the
        // mapping.
        unsafe { self.mapping.start().add(start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Geometry = Geometry {
        chunks: 4,
        chunk_shift: 11,
    };

    #[test]
    fn place_undoes_addr() {
        let place = Place {
            chunk: 3,
            offset: 300,
        };

        assert_eq!(FOUR.addr(place), 3 * 2048 + 300);
        assert_eq!(FOUR.place(FOUR.addr(place)), Some(place));
    }

    #[test]
    fn region_has_the_memory_of_its_chunks() {
        let size = ChunkSize::new(2048).expect("a chunk size");
        let region = Region::new(4, size).expect("8 KiB of memory");

        let last = Place {
            chunk: 3,
            offset: 2047,
        };
        assert_eq!(region.geometry(), FOUR);
        let start = region.start().as_ptr().addr();
        assert_eq!(region.bytes(last, 1).as_ptr().addr(), start + 4 * 2048 - 1);
    }

    #[test]
    fn place_beyond_the_region_is_none() {
        for addr in [4 * 2048, 1 << 40, u64::MAX] {
            assert_eq!(FOUR.place(addr), None, "{addr:#x}");
        }
    }

    #[test]
    fn length_that_overflows_does_not_fit() {
        assert!(FOUR.fits(256, 1792));
        assert!(!FOUR.fits(256, 1793));
        assert!(!FOUR.fits(256, u32::MAX));
    }
}
