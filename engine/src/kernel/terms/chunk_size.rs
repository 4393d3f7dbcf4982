//! The size of a chunk, and what fits one.

use std::num::NonZeroU32;

use super::out_of_range::{CHUNK_SIZE_MIN, OutOfRange};
use crate::kernel::sys::memory;

/// The size of a chunk in bytes, from 2048 to the page size: a power of two, or,
/// for [unaligned](Self::unaligned) chunks, any number.
///
/// These are the kernel's bounds (`xdp_umem_reg` in `net/xdp/xdp_umem.c`,
/// unchanged from 5.4 to 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    bytes: NonZeroU32,
    is_unaligned: bool,
}

impl ChunkSize {
    /// The smallest chunk the kernel takes, in bytes.
    pub const MIN: u32 = CHUNK_SIZE_MIN;

    /// Aligned chunks: each begins at a multiple of its size, which is a power of
    /// two.
    ///
    /// # Errors
    ///
    /// [`OutOfRange::ChunkSize`] when the kernel would refuse `bytes`.
    pub fn new(bytes: u32) -> Result<Self, OutOfRange> {
        let max = Self::max();
        let bytes_of = Self::in_range(bytes).filter(|bytes| bytes.is_power_of_two());
        bytes_of
            .map(|bytes| Self {
                bytes,
                is_unaligned: false,
            })
            .ok_or(OutOfRange::ChunkSize { bytes, max })
    }

    /// Unaligned chunks (`XDP_UMEM_UNALIGNED_CHUNK_FLAG`, Linux 5.4): of any size,
    /// so that no memory is lost on frames of an odd length. They lie back to
    /// back, and so across the borders of pages; each begins at an even address,
    /// so a chunk of an odd size is followed by a byte that nobody uses.
    ///
    /// With zero copy the two pages of such a chunk must be neighbours for the
    /// NIC as well, which takes [`Pages::Huge`](crate::Pages::Huge). In copy mode
    /// any memory will do.
    ///
    /// # Errors
    ///
    /// [`OutOfRange::UnalignedChunkSize`] when the kernel would refuse `bytes`.
    pub fn unaligned(bytes: u32) -> Result<Self, OutOfRange> {
        let max = Self::max().min(OFFSET_MAX);
        Self::in_range(bytes)
            .filter(|bytes| bytes.get() <= max)
            .map(|bytes| Self {
                bytes,
                is_unaligned: true,
            })
            .ok_or(OutOfRange::UnalignedChunkSize { bytes, max })
    }

    fn in_range(bytes: u32) -> Option<NonZeroU32> {
        let in_range = (Self::MIN..=Self::max()).contains(&bytes);
        NonZeroU32::new(bytes).filter(|_| in_range)
    }

    /// The largest chunk the kernel takes on this machine: one page.
    #[must_use]
    pub fn max() -> u32 {
        memory::page_size()
    }

    /// The size in bytes.
    #[must_use]
    pub fn get(self) -> u32 {
        self.bytes.get()
    }

    /// Whether the chunks are registered as unaligned.
    #[must_use]
    pub fn is_unaligned(self) -> bool {
        self.is_unaligned
    }

    /// The longest frame the kernel receives into a chunk, in bytes: the chunk
    /// without the 256 bytes that XDP keeps in front of the data
    /// (`XDP_PACKET_HEADROOM`, `include/uapi/linux/bpf.h`), and without further
    /// [headroom](crate::UmemConfig::headroom).
    #[must_use]
    pub fn receivable(self) -> u32 {
        self.get() - XDP_PACKET_HEADROOM
    }

    /// How many chunks the longest frame of an interface with this MTU takes, where
    /// no further headroom is asked for.
    #[must_use]
    pub fn chunks_for_mtu(self, mtu: u32) -> u32 {
        let frame = mtu.saturating_add(FRAME_OVERHEAD);
        frame.div_ceil(self.receivable())
    }

    /// The largest MTU whose frames all fit one chunk.
    #[must_use]
    pub fn largest_mtu(self) -> u32 {
        self.receivable() - FRAME_OVERHEAD
    }
}

/// The largest unaligned chunk, on machines with pages that are larger: an offset
/// in it has 16 bits in ring entries.
const OFFSET_MAX: u32 = 1 << 16;

/// Bytes of a frame beyond the MTU: an Ethernet header and one VLAN tag, which
/// is what the kernel forwards (`is_skb_forwardable`, `net/core/dev.c`).
pub(crate) const FRAME_OVERHEAD: u32 = 14 + 4;

/// Bytes that XDP keeps free in front of received data.
/// Source: `XDP_PACKET_HEADROOM` in `include/uapi/linux/bpf.h`.
pub(crate) const XDP_PACKET_HEADROOM: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_size_takes_what_the_kernel_takes() {
        for bad in [0, 1024, 2047, 2049, 3000, 4097, 1 << 20] {
            assert!(ChunkSize::new(bad).is_err(), "{bad}");
        }
        assert_eq!(ChunkSize::new(2048).map(ChunkSize::receivable), Ok(1792));
    }

    #[test]
    fn mtu_takes_one_chunk_up_to_the_largest_that_does() {
        let chunk = ChunkSize::new(4096).expect("the smallest page");

        assert_eq!(chunk.largest_mtu(), 3822);
        for (mtu, chunks) in [(1500, 1), (3822, 1), (3823, 2), (9000, 3), (65_535, 18)] {
            assert_eq!(chunk.chunks_for_mtu(mtu), chunks, "{mtu}");
        }
    }

    #[test]
    fn unaligned_chunk_size_may_be_any_up_to_a_page() {
        for bad in [0, 2047, ChunkSize::max() + 1, u32::MAX] {
            assert!(ChunkSize::unaligned(bad).is_err(), "{bad}");
        }
        for good in [2048, 2049, 3000, 4001, ChunkSize::max()] {
            let size = ChunkSize::unaligned(good).expect("in range");
            assert_eq!((size.get(), size.is_unaligned()), (good, true));
        }
    }

    #[test]
    fn size_that_only_unaligned_chunks_can_have_is_refused_with_a_hint() {
        let hint = |bytes| {
            let error = ChunkSize::new(bytes).expect_err("not a power of two");
            error.to_string().contains("--unaligned-chunks")
        };

        assert!(hint(3000) && !hint(1000));
    }
}
