//! Where the chunks of a UMEM are, and what a ring entry's address means.
//!
//! Chunk `n` begins at `n * stride`, whatever the layout. In ring entries an
//! address is that of a byte if chunks are aligned, and if not, that of a chunk
//! with an offset to it in the upper 16 bits, so that the kernel finds the chunk
//! without a search:
//!
//! ```text
//!              63          48 47                                  0
//!   aligned    │ 0           │ address of the byte                │
//!   unaligned  │ offset      │ address of the chunk               │
//! ```
//!
//! Sources: `xp_get_handle`, `xp_unaligned_add_offset_to_addr` in
//! `include/net/xsk_buff_pool.h`, `xp_unaligned_validate_desc` in
//! `net/xdp/xsk_queue.h`.
//!
//! The stride of unaligned chunks is even. In copy mode Linux 6.18 to 7.3 loses
//! bit 0 of an address on its way from the TX to the completion ring; of a chunk
//! at an odd address, that would name the chunk before.

use std::num::NonZeroU64;

use super::UmemConfig;
use crate::kernel::sys::if_xdp::XSK_UNALIGNED_BUF_OFFSET_SHIFT;
use crate::kernel::{ChunkSize, XDP_PACKET_HEADROOM};

/// The bits of an unaligned address that are the chunk's.
pub(super) const CHUNK_BITS: u64 = (1 << XSK_UNALIGNED_BUF_OFFSET_SHIFT) - 1;

const CACHE_LINE: u32 = 64;

/// The number and size of chunks, and with them what a ring entry's address
/// means. A copy of its own spares the hot path the way to the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Chunks that have a number, those of no use among them.
    chunks: u32,
    /// As many if they are aligned, so that a shift finds them; else zero.
    aligned_chunks: u32,
    /// The power of two that an aligned chunk's size is.
    chunk_shift: u32,
    /// Bytes of a chunk.
    chunk_size: u32,
    /// Bytes from one chunk to the next.
    stride: u32,
    /// Where an address has the offset: at bit 0, added to the chunk's, or at 48.
    offset_shift: u32,
    /// 2^64 / `stride`, rounded up.
    reciprocal: u64,
    /// Where a frame begins in a chunk.
    front: u32,
    /// Chunks that are of use.
    usable: u32,
    /// What no chunk of use lies across.
    border: Option<u64>,
}

/// A place in a region that a ring entry named: which chunk, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk: u32,
    pub(crate) offset: u32,
}

impl Geometry {
    /// What `config` asks for, with no chunk across a multiple of `border`.
    pub(super) fn of(config: &UmemConfig, border: Option<u64>) -> Self {
        Self::new(config.frames, config.chunk_size, config.headroom, border)
    }

    /// `usable` chunks, of which none lies across a multiple of `border`. Frames
    /// begin `headroom` bytes behind XDP's own.
    pub(crate) fn new(usable: u32, size: ChunkSize, headroom: u32, border: Option<u64>) -> Self {
        let bytes = size.get();
        let unaligned = size.is_unaligned();
        let stride = if unaligned {
            bytes.next_multiple_of(2)
        } else {
            bytes
        };
        let mut geometry = Self {
            chunks: 0,
            aligned_chunks: 0,
            chunk_shift: bytes.trailing_zeros(),
            chunk_size: bytes,
            stride,
            offset_shift: if unaligned {
                XSK_UNALIGNED_BUF_OFFSET_SHIFT
            } else {
                0
            },
            reciprocal: u64::MAX / u64::from(stride) + 1,
            front: XDP_PACKET_HEADROOM + headroom,
            usable,
            border,
        };
        geometry.chunks = geometry.with_gaps(usable);
        if !unaligned {
            geometry.aligned_chunks = geometry.chunks;
        }
        geometry
    }

    /// Chunks for copies, which no ring entry names. Frames begin at `front`. The stride
    /// is an odd number of cache lines, so that what the frames begin with does not
    /// compete for a few places in the cache.
    pub(crate) fn for_copies(chunks: u32, bytes: u32, front: u32) -> Self {
        let stride = (bytes.div_ceil(CACHE_LINE) | 1) * CACHE_LINE;
        Self {
            chunks,
            aligned_chunks: 0,
            chunk_shift: 0,
            chunk_size: bytes,
            stride,
            offset_shift: 0,
            reciprocal: 0,
            front,
            usable: chunks,
            border: None,
        }
    }

    /// The least number of chunks of which `usable` are of use.
    fn with_gaps(&self, usable: u32) -> u32 {
        if self.border.is_none() {
            return usable;
        }
        let of_use = (0..).filter(|&chunk| self.is_usable(chunk));
        let last = of_use.take(usable as usize).last();
        last.map_or(0, |chunk| chunk + 1)
    }

    /// Whether a chunk does not lie across the border.
    pub(crate) fn is_usable(&self, chunk: u32) -> bool {
        let start = u64::from(chunk) * u64::from(self.stride);
        let last = start + u64::from(self.chunk_size) - 1;
        self.border
            .is_none_or(|border| start / border == last / border)
    }

    /// Chunks that have a number: those of use, and those across the border.
    pub(crate) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Chunks of use.
    pub(crate) fn usable(&self) -> u32 {
        self.usable
    }

    #[inline]
    pub(crate) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// By how many bits an address shifts to the number of an aligned chunk.
    #[inline]
    pub(crate) fn chunk_shift(&self) -> u32 {
        self.chunk_shift
    }

    /// Bytes from one chunk to the next.
    #[inline]
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    /// Where a received frame begins in its chunk.
    #[inline]
    pub(crate) fn front(&self) -> u32 {
        self.front
    }

    /// The most bytes of a received frame that a chunk takes.
    pub(crate) fn receivable(&self) -> u32 {
        self.chunk_size - self.front
    }

    pub(crate) fn is_unaligned(&self) -> bool {
        self.offset_shift != 0
    }

    /// Whether some chunks lie across the borders of pages of `page` bytes.
    pub(crate) fn straddles(&self, page: u32) -> bool {
        !page.is_multiple_of(self.stride)
    }

    /// The bytes from the start of the first chunk to the end of the last.
    pub(crate) fn len_bytes(&self) -> u64 {
        u64::from(self.chunks) * u64::from(self.stride)
    }

    /// The UMEM address of a place, as ring entries have it.
    #[inline]
    pub(crate) fn addr(&self, place: Place) -> u64 {
        let chunk = u64::from(place.chunk) * u64::from(self.stride);
        chunk + (u64::from(place.offset) << self.offset_shift)
    }

    /// Where in `chunk` an address lies that [`addr`](Self::addr) made of a place
    /// there.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an offset in a chunk, which is a u32"
    )]
    pub(crate) fn offset(&self, chunk: u32, addr: u64) -> u32 {
        let start = u64::from(chunk) * u64::from(self.stride);
        ((addr - start) >> self.offset_shift) as u32
    }

    /// Bytes of a place behind the start of the region.
    #[inline]
    pub(crate) fn distance(&self, place: Place) -> usize {
        place.chunk as usize * self.stride as usize + place.offset as usize
    }

    /// The place that a ring entry's address names, if it lies in the region.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the chunk was compared with a u32, the offset masked by one"
    )]
    pub(crate) fn place(&self, addr: u64) -> Option<Place> {
        let chunk = addr >> self.chunk_shift;
        if chunk < u64::from(self.aligned_chunks) {
            return Some(Place {
                chunk: chunk as u32,
                offset: addr as u32 & (self.chunk_size - 1),
            });
        }
        // Apart and in one register, so that the busy path has no call's result in
        // memory to look at.
        let (chunk, offset) = self.unaligned_place(addr)?.parts();
        Some(Place { chunk, offset })
    }

    /// As [`place`](Self::place), for unaligned chunks.
    ///
    /// The lower bits need not be the very start of the chunk: Linux 6.13 and
    /// 6.14 count the headroom there, and the sum is right all the same.
    #[cold]
    #[inline(never)]
    fn unaligned_place(&self, addr: u64) -> Option<Packed> {
        if !self.is_unaligned() {
            return None;
        }
        let (base, offset) = (addr & CHUNK_BITS, addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
        // A division, and exact: `reciprocal * stride` exceeds 2^64 by at most a
        // stride, which is at most 2^16, and a base is below 2^48, so the product
        // exceeds the quotient by less than the step to the next chunk.
        let chunk = (u128::from(base) * u128::from(self.reciprocal)) >> 64;
        let chunk = u32::try_from(chunk)
            .ok()
            .filter(|&chunk| chunk < self.chunks)?;
        let within = base - u64::from(chunk) * u64::from(self.stride) + offset;
        let offset = u32::try_from(within).ok()?;
        (offset < self.chunk_size).then(|| Packed::new(chunk, offset))
    }

    /// Whether `len` bytes at `offset` stay inside a chunk.
    #[inline]
    pub(crate) fn fits(&self, offset: u32, len: u32) -> bool {
        u64::from(offset) + u64::from(len) <= u64::from(self.chunk_size)
    }
}

/// A place in one word. The lower half is the offset plus one, and so not zero.
struct Packed(NonZeroU64);

impl Packed {
    fn new(chunk: u32, offset: u32) -> Self {
        let word = u64::from(chunk) << 32 | u64::from(offset + 1);
        Self(NonZeroU64::new(word).expect("the lower half is not zero"))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    fn parts(self) -> (u32, u32) {
        let word = self.0.get();
        ((word >> 32) as u32, word as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: u32 = XSK_UNALIGNED_BUF_OFFSET_SHIFT;

    fn aligned(chunks: u32) -> Geometry {
        Geometry::new(chunks, ChunkSize::new(2048).expect("a chunk size"), 0, None)
    }

    fn unaligned(chunks: u32, bytes: u32) -> Geometry {
        let size = ChunkSize::unaligned(bytes).expect("a chunk size");
        Geometry::new(chunks, size, 0, None)
    }

    #[test]
    fn place_undoes_addr() {
        let place = Place {
            chunk: 3,
            offset: 300,
        };

        let four = aligned(4);
        assert_eq!(four.addr(place), 3 * 2048 + 300);
        assert_eq!(four.place(four.addr(place)), Some(place));
    }

    #[test]
    fn unaligned_address_has_its_offset_in_the_upper_bits() {
        let geometry = unaligned(4, 3000);
        let place = Place {
            chunk: 3,
            offset: 300,
        };

        let addr = geometry.addr(place);

        assert_eq!(addr, 9000 | 300 << OFFSET);
        assert_eq!(geometry.place(addr), Some(place));
        assert_eq!(geometry.distance(place), 9300);
    }

    #[test]
    fn place_undoes_addr_at_both_ends_of_chunks_of_every_size() {
        for bytes in 2048..=4096 {
            // The last lies just below 64 GiB, as far as a UMEM goes.
            let chunks = u32::try_from((64_u64 << 30) / u64::from(bytes + 1)).expect("few");
            let geometry = unaligned(chunks, bytes);
            for chunk in [0, 1, 2, chunks / 3, chunks - 2, chunks - 1] {
                for offset in [0, 1, 256, bytes - 1] {
                    let place = Place { chunk, offset };
                    assert_eq!(geometry.place(geometry.addr(place)), Some(place), "{bytes}");
                }
            }
        }
    }

    /// The place that an address names, found by division.
    fn place_by_division(geometry: &Geometry, addr: u64) -> Option<Place> {
        let (base, offset) = (addr & CHUNK_BITS, addr >> OFFSET);
        let stride = u64::from(geometry.stride);
        let (chunk, offset) = (base / stride, base % stride + offset);
        let is_inside = chunk < u64::from(geometry.chunks) && offset < geometry.chunk_size.into();
        is_inside.then(|| Place {
            chunk: u32::try_from(chunk).expect("fewer chunks than that"),
            offset: u32::try_from(offset).expect("less than a chunk"),
        })
    }

    #[test]
    fn place_is_found_as_by_division_at_every_border() {
        for bytes in (2048..=4096).chain([65_535, 65_536]) {
            // As many chunks as 48 bits, or a u32, have room for.
            let mut geometry = unaligned(1, bytes.min(4096));
            geometry.chunk_size = bytes;
            geometry.stride = bytes.next_multiple_of(2);
            geometry.reciprocal = u64::MAX / u64::from(geometry.stride) + 1;
            geometry.chunks = u32::MAX;
            let stride = u64::from(geometry.stride);
            let far = (CHUNK_BITS / stride).min(u32::MAX.into());
            for chunk in [1, 2, 3, far / 7, far / 2, far - 1, far] {
                for near in [0, 1, 2, 3] {
                    let base = (chunk * stride + near - 2).min(CHUNK_BITS);
                    for offset in [0, 1, u64::from(bytes) - 1, u64::from(bytes), 0xffff] {
                        let addr = base | (offset & 0xffff) << OFFSET;
                        let expected = place_by_division(&geometry, addr);
                        assert_eq!(geometry.place(addr), expected, "{bytes}: {addr:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn place_beyond_the_region_is_none() {
        for addr in [4 * 2048, 1 << 40, u64::MAX] {
            assert_eq!(aligned(4).place(addr), None, "{addr:#x}");
        }
        for bytes in [2048, 3000, 4001, 4096] {
            let geometry = unaligned(4, bytes);
            let end = geometry.len_bytes();
            for addr in [end, end | 256 << OFFSET, CHUNK_BITS, 1 << 40, u64::MAX] {
                assert_eq!(geometry.place(addr), None, "{bytes}: {addr:#x}");
            }
        }
    }

    #[test]
    fn offset_that_leaves_its_chunk_is_none() {
        let geometry = unaligned(4, 3000);

        assert!(geometry.place(3000 | 2999 << OFFSET).is_some());
        for addr in [
            3000 | 3000 << OFFSET,
            // Together beyond the chunk that the lower bits are in.
            5999 | 1 << OFFSET,
            3000 | 0xffff << OFFSET,
            9000 | 0xffff << OFFSET,
        ] {
            assert_eq!(geometry.place(addr), None, "{addr:#x}");
        }
    }

    #[test]
    fn byte_between_chunks_of_an_odd_size_belongs_to_none() {
        let geometry = unaligned(4, 4001);

        assert_eq!(
            geometry.addr(Place {
                chunk: 1,
                offset: 0
            }),
            4002
        );
        assert!(geometry.place(4000).is_some());
        assert_eq!(geometry.place(4001), None);
    }

    #[test]
    fn address_that_lost_bit_zero_is_still_in_its_chunk() {
        for bytes in [2049, 3000, 3001, 4001] {
            let geometry = unaligned(100, bytes);
            for chunk in 0..100 {
                for offset in [0, 1, 256, 257, bytes - 1] {
                    let place = Place { chunk, offset };
                    assert_eq!(geometry.place(geometry.addr(place) & !1), Some(place));
                }
            }
        }
    }

    #[test]
    fn headroom_in_the_lower_bits_counts_as_an_offset() {
        let geometry = unaligned(4, 3000);

        let place = geometry.place((3000 + 64) | (256 << OFFSET));

        assert_eq!(
            place,
            Some(Place {
                chunk: 1,
                offset: 320
            })
        );
    }

    #[test]
    fn length_that_overflows_does_not_fit() {
        let four = aligned(4);
        assert!(four.fits(256, 1792));
        assert!(!four.fits(256, 1793));
        assert!(!four.fits(256, u32::MAX));
    }

    #[test]
    fn no_chunk_of_use_lies_across_the_border() {
        let border = 2 << 20;
        for bytes in [2048, 3000, 3001, 4001, 4096] {
            let size = ChunkSize::unaligned(bytes).expect("a chunk size");
            let geometry = Geometry::new(2000, size, 0, Some(border));

            let of_use = (0..geometry.chunks()).filter(|&chunk| geometry.is_usable(chunk));
            let starts = of_use.map(|chunk| geometry.addr(Place { chunk, offset: 0 }));
            let starts: Vec<_> = starts.collect();

            assert_eq!(starts.len(), 2000, "{bytes}");
            let across = |start: u64| start / border != (start + u64::from(bytes) - 1) / border;
            assert!(!starts.iter().any(|&start| across(start)), "{bytes}");
            let gaps = geometry.chunks() - 2000;
            assert_eq!(gaps > 0, !bytes.is_power_of_two(), "{bytes}");
        }
    }

    #[test]
    fn chunks_straddle_pages_unless_a_page_is_a_number_of_them() {
        let page = 4096;
        for (bytes, straddles) in [(2048, false), (4096, false), (3000, true), (4001, true)] {
            assert_eq!(unaligned(4, bytes).straddles(page), straddles, "{bytes}");
        }
    }
}
