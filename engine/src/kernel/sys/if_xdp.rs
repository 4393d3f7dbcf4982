//! A mirror of `include/uapi/linux/if_xdp.h`, Linux 6.18: the constants and
//! structures of the AF_XDP calls, with their sizes asserted.
//!
//! `libc` has most of them, but not all, and not for every libc; one complete
//! list beside the header's own names is easier to check than a mixture.

use std::mem::size_of;

pub(crate) const SOL_XDP: i32 = 283;

pub(crate) const XDP_SHARED_UMEM: u16 = 1 << 0;
pub(crate) const XDP_COPY: u16 = 1 << 1;
pub(crate) const XDP_ZEROCOPY: u16 = 1 << 2;
pub(crate) const XDP_USE_NEED_WAKEUP: u16 = 1 << 3;

/// Since Linux 6.6.
pub(crate) const XDP_USE_SG: u16 = 1 << 4;

pub(crate) const XDP_MMAP_OFFSETS: i32 = 1;
pub(crate) const XDP_RX_RING: i32 = 2;
pub(crate) const XDP_TX_RING: i32 = 3;
pub(crate) const XDP_UMEM_REG: i32 = 4;
pub(crate) const XDP_UMEM_FILL_RING: i32 = 5;
pub(crate) const XDP_UMEM_COMPLETION_RING: i32 = 6;
pub(crate) const XDP_STATISTICS: i32 = 7;
pub(crate) const XDP_OPTIONS: i32 = 8;
/// Since Linux 6.17.
pub(crate) const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

/// In a registration's flags: `tx_metadata_len` counts. Since Linux 6.11.
pub(crate) const XDP_UMEM_TX_METADATA_LEN: u32 = 1 << 2;

pub(crate) const XDP_OPTIONS_ZEROCOPY: u32 = 1 << 0;

/// In a descriptor's options: the frame goes on in the next. Since Linux 6.6.
pub(crate) const XDP_PKT_CONTD: u32 = 1 << 0;

pub(crate) const XDP_RING_NEED_WAKEUP: u32 = 1 << 0;

pub(crate) const XDP_PGOFF_RX_RING: i64 = 0;
pub(crate) const XDP_PGOFF_TX_RING: i64 = 0x8000_0000;
pub(crate) const XDP_UMEM_PGOFF_FILL_RING: i64 = 0x1_0000_0000;
pub(crate) const XDP_UMEM_PGOFF_COMPLETION_RING: i64 = 0x1_8000_0000;

/// Where the parts of one ring lie in its mapping, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingOffset {
    pub(crate) producer: u64,
    pub(crate) consumer: u64,
    pub(crate) desc: u64,
    pub(crate) flags: u64,
}

/// What `XDP_MMAP_OFFSETS` returns since Linux 5.4 (version 2, with flags).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MmapOffsets {
    pub(crate) rx: RingOffset,
    pub(crate) tx: RingOffset,
    pub(crate) fill: RingOffset,
    pub(crate) completion: RingOffset,
}

/// In [`UmemReg::flags`]: chunks of any size, at any address. Ring entries then
/// have the address of a chunk in their lower 48 bits and an offset to it above.
pub(crate) const XDP_UMEM_UNALIGNED_CHUNK_FLAG: u32 = 1;
pub(crate) const XSK_UNALIGNED_BUF_OFFSET_SHIFT: u32 = 48;

/// The argument of `XDP_UMEM_REG`. The last field was padding before Linux 6.8.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UmemReg {
    pub(crate) addr: u64,
    pub(crate) len: u64,
    pub(crate) chunk_size: u32,
    pub(crate) headroom: u32,
    pub(crate) flags: u32,
    pub(crate) tx_metadata_len: u32,
}

/// What `XDP_STATISTICS` returns since Linux 5.9; earlier kernels fill the first
/// three fields only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) rx_dropped: u64,
    pub(crate) rx_invalid_descs: u64,
    pub(crate) tx_invalid_descs: u64,
    pub(crate) rx_ring_full: u64,
    pub(crate) rx_fill_ring_empty_descs: u64,
    pub(crate) tx_ring_empty_descs: u64,
}

/// One entry of an RX or TX ring. Fill and completion entries are plain `u64`.
///
/// In two words, as it is read and written: the second is the length and, above it,
/// the options.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) addr: u64,
    len_and_options: u64,
}

impl Descriptor {
    #[inline]
    pub(crate) fn new(addr: u64, len: u32, options: u32) -> Self {
        Self::with_extent(addr, u64::from(len) | u64::from(options) << 32)
    }

    /// The entry whose length is the lower half of `extent`, and whose options are
    /// the upper.
    #[inline]
    pub(crate) fn with_extent(addr: u64, extent: u64) -> Self {
        let len_and_options = if cfg!(target_endian = "little") {
            extent
        } else {
            extent.rotate_left(32)
        };
        Self {
            addr,
            len_and_options,
        }
    }

    /// The length in the lower half, the options in the upper.
    #[inline]
    pub(crate) fn extent(self) -> u64 {
        if cfg!(target_endian = "little") {
            self.len_and_options
        } else {
            self.len_and_options.rotate_left(32)
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(crate) fn len(self) -> u32 {
        self.extent() as u32
    }

    #[inline]
    pub(crate) fn options(self) -> u32 {
        (self.extent() >> 32) as u32
    }
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor")
            .field("addr", &self.addr)
            .field("len", &self.len())
            .field("options", &self.options())
            .finish()
    }
}

const _: () = {
    assert!(size_of::<RingOffset>() == 32);
    assert!(size_of::<MmapOffsets>() == 128);
    assert!(size_of::<UmemReg>() == 32);
    assert!(size_of::<Statistics>() == 48);
    assert!(size_of::<Descriptor>() == 16);
};
