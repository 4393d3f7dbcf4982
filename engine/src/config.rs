//! What a caller may ask for: sizes, modes and policies, checked once where
//! they are built. After that the types make bad values impossible.

use std::num::NonZeroU32;

use thiserror::Error;

use crate::rules::RulesError;

/// How frames travel between the NIC and the UMEM, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Zero copy where every interface of the worker can do it, else copy; the
    /// [`BindReport`](crate::BindReport) says which and why.
    #[default]
    Auto,
    /// Zero copy, or an error that says why it is not to be had.
    ZeroCopy,
    /// Copy, even where zero copy would work.
    Copy,
}

/// Whether frames may lie in several chunks, which takes Linux 6.6 and, for zero
/// copy, a driver that can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiBuffer {
    /// Where the interface's MTU does not fit a chunk.
    #[default]
    Auto,
    /// Always: also for frames that an application makes longer than the MTU's,
    /// or when an interface with a larger MTU is to share the UMEM later.
    Always,
    /// Never: an MTU that does not fit a chunk is an error.
    Never,
}

impl MultiBuffer {
    /// The policy in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Spins for a short while after the last frame, then sleeps in `poll(2)`:
    /// low latency under load, and next to no CPU when idle.
    #[default]
    Adaptive,
    /// Never sleeps: the lowest latency, one whole CPU per worker.
    Spin,
    /// Sleeps in `poll(2)` as soon as a round finds nothing.
    Poll,
}

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
    /// [`ConfigError::RingCapacity`] unless `entries` is a power of two from
    /// [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn new(entries: u32) -> Result<Self, ConfigError> {
        NonZeroU32::new(entries)
            .filter(|entries| entries.is_power_of_two())
            .filter(|entries| (Self::MIN..=Self::MAX).contains(&entries.get()))
            .map(Self)
            .ok_or(ConfigError::RingCapacity(entries))
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
    /// [`ConfigError::ChunkSize`] when the kernel would refuse `bytes`.
    pub fn new(bytes: u32) -> Result<Self, ConfigError> {
        let max = Self::max();
        let bytes_of = Self::in_range(bytes).filter(|bytes| bytes.is_power_of_two());
        bytes_of
            .map(|bytes| Self {
                bytes,
                is_unaligned: false,
            })
            .ok_or(ConfigError::ChunkSize { bytes, max })
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
    /// [`ConfigError::UnalignedChunkSize`] when the kernel would refuse `bytes`.
    pub fn unaligned(bytes: u32) -> Result<Self, ConfigError> {
        let max = Self::max().min(OFFSET_MAX);
        Self::in_range(bytes)
            .filter(|bytes| bytes.get() <= max)
            .map(|bytes| Self {
                bytes,
                is_unaligned: true,
            })
            .ok_or(ConfigError::UnalignedChunkSize { bytes, max })
    }

    fn in_range(bytes: u32) -> Option<NonZeroU32> {
        let in_range = (Self::MIN..=Self::max()).contains(&bytes);
        NonZeroU32::new(bytes).filter(|_| in_range)
    }

    /// The largest chunk the kernel takes on this machine: one page.
    #[must_use]
    pub fn max() -> u32 {
        crate::sys::memory::page_size()
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
    /// [`ConfigError::QueueIndex`] for 65536 and above.
    pub fn new(index: u32) -> Result<Self, ConfigError> {
        u16::try_from(index)
            .map(Self)
            .map_err(|_| ConfigError::QueueIndex(index))
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

/// A request that no machine could meet.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The steering rules do not fit, or can never match.
    #[error(transparent)]
    Rules(#[from] RulesError),
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
    /// See [`UmemConfig::headroom`](crate::UmemConfig::headroom).
    #[error(
        "{headroom} bytes of headroom leave too little of chunks of {chunk} bytes: give at most {most}, \
         or larger chunks"
    )]
    Headroom {
        /// The headroom asked for, in bytes.
        headroom: u32,
        /// The chunk size, in bytes.
        chunk: u32,
        /// The most that every kernel takes with it.
        most: u32,
    },
    /// See [`QueueIndex::new`].
    #[error(
        "queue {0} is out of range: queue indices end at 65535, and the kernel would bind queue {truncated} instead",
        truncated = .0 & 0xffff
    )]
    QueueIndex(u32),
    /// No interface was named.
    #[error("no interface was named: name at least one")]
    NoInterface,
    /// The same interface was named twice.
    #[error("interface `{0}` is named twice: name two different interfaces")]
    SameInterface(String),
    /// A count that must not be zero is.
    #[error("{what} must be at least 1")]
    Zero {
        /// What was zero.
        what: &'static str,
    },
    /// More queues than the kernel can name were asked for.
    #[error("{0} queues asked for: an interface has at most 65536")]
    TooManyQueues(u32),
    /// A worker would have more xsks than can share its UMEM.
    #[error(
        "{queues} queue(s) of a worker with {xsks} xsks each are too many: at most {most} xsks share a worker's UMEM; \
         ask for fewer, or for more workers (CPUs)"
    )]
    TooManyXsks {
        /// Queues of the worker.
        queues: u32,
        /// Xsks of each.
        xsks: u8,
        /// Xsks that one worker can have.
        most: u8,
    },
    /// The UMEM is too small for the queues it must serve.
    #[error(
        "{frames} frames are too few: {queues} queue(s) of a worker share them and need at least {needed}"
    )]
    TooFewFrames {
        /// Chunks asked for.
        frames: u32,
        /// Queues that share them.
        queues: u32,
        /// The least number that works.
        needed: u32,
    },
    /// The UMEM would not fit the address space of ring entries.
    #[error("{frames} frames of {chunk} bytes are {gib} GiB: at most 64 GiB fit a UMEM here")]
    TooManyFrames {
        /// Chunks asked for.
        frames: u32,
        /// Bytes of each.
        chunk: u32,
        /// Their product in GiB.
        gib: u64,
    },
    /// A CPU was named twice.
    #[error("CPU {0} is named twice: a worker needs a CPU of its own")]
    SameCpu(usize),
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
            assert_eq!(RingCapacity::new(bad), Err(ConfigError::RingCapacity(bad)));
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
