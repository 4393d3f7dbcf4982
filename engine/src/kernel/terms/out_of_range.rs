//! Values that the kernel would refuse, or misunderstand without a word, and the
//! bounds they exceed.

use thiserror::Error;

/// The bounds of [`RingCapacity`](crate::RingCapacity).
pub(super) const RING_CAPACITY_MIN: u32 = 64;
pub(super) const RING_CAPACITY_MAX: u32 = 1 << 20;

/// The least bytes of a [`ChunkSize`](crate::ChunkSize).
/// Source: `xdp_umem_reg` in `net/xdp/xdp_umem.c`, Linux 5.4 to 7.3.
pub(super) const CHUNK_SIZE_MIN: u32 = 2048;

/// A value that the kernel would refuse, or misunderstand without a word.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfRange {
    /// See [`RingCapacity::new`](crate::RingCapacity::new).
    #[error(
        "ring size {0} is not usable: use a power of two from {min} to {max}",
        min = RING_CAPACITY_MIN, max = RING_CAPACITY_MAX
    )]
    RingCapacity(u32),
    /// See [`ChunkSize::new`](crate::ChunkSize::new).
    #[error(
        "chunk size {bytes} is refused by the kernel: use a power of two from {min} to {max} (the page size){}",
        if (CHUNK_SIZE_MIN..=*max).contains(bytes) {
            ", or unaligned chunks (`wharf forward --unaligned-chunks`, in code `ChunkSize::unaligned`)"
        } else {
            ""
        },
        min = CHUNK_SIZE_MIN
    )]
    ChunkSize {
        /// The size asked for, in bytes.
        bytes: u32,
        /// The page size, in bytes.
        max: u32,
    },
    /// See [`ChunkSize::unaligned`](crate::ChunkSize::unaligned).
    #[error(
        "chunk size {bytes} is refused by the kernel: use {min} to {max} (the page size)",
        min = CHUNK_SIZE_MIN
    )]
    UnalignedChunkSize {
        /// The size asked for, in bytes.
        bytes: u32,
        /// The page size, in bytes.
        max: u32,
    },
    /// See [`QueueIndex::new`](crate::QueueIndex::new).
    #[error(
        "queue {0} is out of range: queue indices end at 65535, and the kernel would bind queue {truncated} instead",
        truncated = .0 & 0xffff
    )]
    QueueIndex(u32),
}
