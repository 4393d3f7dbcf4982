//! The kernel's terms: sizes, indices, modes and counters, checked once where
//! they are built. After that the types make bad values impossible.

use std::num::NonZeroU32;

use thiserror::Error;

/// What to do where the kernel is known to panic under a correct program: in
/// Linux 6.16.y and 6.17.y, on copy-mode frames that reach a stack on the same
/// machine, as through a veth (`xsk_destruct_skb`, `net/xdp/xsk.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownPanics {
    /// Refuse to bind the queue.
    #[default]
    Refuse,
    /// Bind it nevertheless.
    Risk,
}

impl KnownPanics {
    /// Whether they affect the kernel `release`, as `uname -r` prints it.
    ///
    /// No stable 6.16 or 6.17 is known to be free of it.
    #[must_use]
    pub fn affect(release: &str) -> bool {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let version = (numbers.next(), numbers.next());
        matches!(version, (Some("6"), Some("16" | "17")))
    }
}

/// The number of entries of a ring: a power of two from 64 to 2^20.
///
/// The kernel takes any power of two; below 64 some drivers misbehave with
/// small TX rings (fixed in 6.12.114, see `tx_descs` in
/// `net/xdp/xsk_buff_pool.c`), and 2^20 entries already are 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingCapacity(NonZeroU32);

impl RingCapacity {
    /// The smallest capacity.
    pub const MIN: u32 = 64;
    /// The largest capacity.
    pub const MAX: u32 = 1 << 20;

    /// # Errors
    ///
    /// [`OutOfRange::RingCapacity`] unless `entries` is a power of two from
    /// [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn new(entries: u32) -> Result<Self, OutOfRange> {
        NonZeroU32::new(entries)
            .filter(|entries| entries.is_power_of_two())
            .filter(|entries| (Self::MIN..=Self::MAX).contains(&entries.get()))
            .map(Self)
            .ok_or(OutOfRange::RingCapacity(entries))
    }

    /// The number of entries.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

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

/// The largest unaligned chunk, on machines with pages that are larger: an offset
/// in it has 16 bits in ring entries.
const OFFSET_MAX: u32 = 1 << 16;

impl ChunkSize {
    /// The smallest chunk the kernel takes, in bytes.
    pub const MIN: u32 = 2048;

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
        crate::kernel::sys::memory::page_size()
    }

    /// The size in bytes.
    #[must_use]
    pub fn get(self) -> u32 {
        self.bytes.get()
    }

    /// Whether the kernel is told that the chunks are unaligned.
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

/// Bytes of a frame beyond the MTU: an Ethernet header and one VLAN tag, which
/// is what the kernel forwards (`is_skb_forwardable`, `net/core/dev.c`).
pub(crate) const FRAME_OVERHEAD: u32 = 14 + 4;

/// Bytes that XDP keeps free in front of received data.
/// Source: `XDP_PACKET_HEADROOM` in `include/uapi/linux/bpf.h`.
pub(crate) const XDP_PACKET_HEADROOM: u32 = 256;

/// The index of an RX and TX queue pair of an interface, below 65536.
///
/// The kernel truncates a bind's `queue_id` to 16 bits without a word
/// (`xsk_bind` in `net/xdp/xsk.c`), so that 65537 would bind queue 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueIndex(u16);

impl QueueIndex {
    /// # Errors
    ///
    /// [`OutOfRange::QueueIndex`] for 65536 and above.
    pub fn new(index: u32) -> Result<Self, OutOfRange> {
        u16::try_from(index)
            .map(Self)
            .map_err(|_| OutOfRange::QueueIndex(index))
    }

    /// The index as the kernel's calls take it.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }
}

impl std::fmt::Display for QueueIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How frames travel between the NIC and the UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// The NIC reads and writes the UMEM itself.
    ZeroCopy,
    /// The kernel copies between its own memory and the UMEM.
    Copy,
}

impl CopyMode {
    /// The mode in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
        }
    }
}

/// The kernel's own counters of a socket: `XDP_STATISTICS`.
///
/// Source: `struct xdp_statistics` in `include/uapi/linux/if_xdp.h`. Fields
/// after `tx_invalid_descs` are zero before Linux 5.9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelStatistics {
    /// Frames dropped because there was no chunk for them or they were too long.
    pub rx_dropped: u64,
    /// Always zero: nothing in the kernel increments what it reports here.
    pub rx_invalid_descs: u64,
    /// TX descriptors the kernel refused.
    pub tx_invalid_descs: u64,
    /// Frames dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times the kernel found the fill ring empty, counted for all sockets that
    /// share it. Each is in `rx_dropped` as well.
    pub rx_fill_ring_empty_descs: u64,
    /// Times the kernel found the TX ring empty.
    pub tx_ring_empty_descs: u64,
}

/// Which of several xsks that share a queue, in the order they were bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct XskIndex(pub u8);

/// A value that the kernel would refuse, or misunderstand without a word.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfRange {
    /// See [`RingCapacity::new`].
    #[error(
        "ring size {0} is not usable: give a power of two from {min} to {max}",
        min = RingCapacity::MIN, max = RingCapacity::MAX
    )]
    RingCapacity(u32),
    /// See [`ChunkSize::new`].
    #[error(
        "chunk size {bytes} is refused by the kernel: give a power of two from {min} to {max} (the page size){}",
        if (ChunkSize::MIN..=*max).contains(bytes) {
            ", or unaligned chunks (`wharf forward --unaligned-chunks`, in code `ChunkSize::unaligned`)"
        } else {
            ""
        },
        min = ChunkSize::MIN
    )]
    ChunkSize {
        /// The size asked for, in bytes.
        bytes: u32,
        /// The page size, in bytes.
        max: u32,
    },
    /// See [`ChunkSize::unaligned`].
    #[error(
        "chunk size {bytes} is refused by the kernel: give {min} to {max} (the page size)",
        min = ChunkSize::MIN
    )]
    UnalignedChunkSize {
        /// The size asked for, in bytes.
        bytes: u32,
        /// The page size, in bytes.
        max: u32,
    },
    /// See [`QueueIndex::new`].
    #[error(
        "queue {0} is out of range: queue indices end at 65535, and the kernel would bind queue {truncated} instead",
        truncated = .0 & 0xffff
    )]
    QueueIndex(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_the_two_series_are_affected_whatever_their_suffix() {
        for release in ["6.16.12", "6.17", "6.17.0-5-generic", "6.16.3+deb14-amd64"] {
            assert!(KnownPanics::affect(release), "{release}");
        }
    }

    #[test]
    fn other_kernels_are_not() {
        for release in [
            "6.1.16",
            "6.1.17-cloud",
            "6.18.44",
            "5.16.17",
            "7.17.1",
            "6.160",
            "",
        ] {
            assert!(!KnownPanics::affect(release), "{release}");
        }
    }

    #[test]
    fn ring_capacity_takes_powers_of_two_only() {
        for bad in [0, 1, 32, 63, 65, 100, 3000, 1 << 21, u32::MAX] {
            assert_eq!(RingCapacity::new(bad), Err(OutOfRange::RingCapacity(bad)));
        }
        for good in [64, 2048, 1 << 20] {
            assert_eq!(RingCapacity::new(good).map(RingCapacity::get), Ok(good));
        }
    }

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

    #[test]
    fn queue_index_that_the_kernel_would_truncate_is_refused() {
        let error = QueueIndex::new(65_537).expect_err("above 16 bits");

        assert!(error.to_string().contains("bind queue 1 instead"));
        assert_eq!(QueueIndex::new(65_535).map(QueueIndex::get), Ok(65_535));
    }
}
