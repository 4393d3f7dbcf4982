//! The rings of an xsk: the kernel makes them, and they are mapped through the
//! socket's descriptor.
#![expect(unsafe_code, reason = "a mapping is a ring because the kernel says so")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::error::XskErrorKind;
use crate::kernel::sys::if_xdp::{self, MmapOffsets, RingOffset};
use crate::kernel::sys::memory::Mapping;
use crate::kernel::sys::socket;
use crate::xsk::ring::{self, CompletionRing, FillRing, RxRing, TxRing};

/// The four rings of a queue's first xsk.
pub(crate) struct Rings {
    pub(crate) fill: FillRing,
    pub(crate) completion: CompletionRing,
    pub(crate) rx: RxRing,
    pub(crate) tx: TxRing,
}

pub(super) fn create_ring(
    fd: &OwnedFd,
    name: &str,
    option: i32,
    entries: u32,
) -> Result<(), XskErrorKind> {
    socket::create_ring(fd.as_fd(), option, entries).map_err(|source| XskErrorKind::Setup {
        operation: format!("create a {name} ring of {entries} entries"),
        source,
    })
}

pub(super) fn ring_offsets(fd: &OwnedFd) -> Result<MmapOffsets, XskErrorKind> {
    socket::mmap_offsets(fd.as_fd()).map_err(|source| XskErrorKind::Setup {
        operation: "read the ring offsets (XDP_MMAP_OFFSETS, Linux 5.4)".to_owned(),
        source,
    })
}

pub(super) fn map_own_rings(
    fd: &OwnedFd,
    offsets: &MmapOffsets,
    entries: u32,
) -> Result<(RxRing, TxRing), XskErrorKind> {
    Ok((
        RxRing::new(map(fd, offsets.rx, entries, if_xdp::XDP_PGOFF_RX_RING)?),
        TxRing::new(map(fd, offsets.tx, entries, if_xdp::XDP_PGOFF_TX_RING)?),
    ))
}

pub(super) fn map_fill(
    fd: &OwnedFd,
    offsets: &MmapOffsets,
    entries: u32,
) -> Result<ring::RingMemory<u64>, XskErrorKind> {
    map(fd, offsets.fill, entries, if_xdp::XDP_UMEM_PGOFF_FILL_RING)
}

pub(super) fn map_completion(
    fd: &OwnedFd,
    offsets: &MmapOffsets,
    entries: u32,
) -> Result<ring::RingMemory<u64>, XskErrorKind> {
    let page_offset = if_xdp::XDP_UMEM_PGOFF_COMPLETION_RING;
    map(fd, offsets.completion, entries, page_offset)
}

/// Maps a fill ring through `socket`, another xsk of its queue, instead of the
/// one it was mapped through. Returns whether the kernel allows that: Linux 6.12
/// (`xsk_mmap` in `net/xdp/xsk.c`; before, it answers EINVAL).
pub(crate) fn remap_fill(ring: &mut FillRing, socket: &OwnedFd) -> bool {
    let mapped =
        ring_offsets(socket).and_then(|offsets| map_fill(socket, &offsets, ring.capacity()));
    // SAFETY: a bound socket's fill ring is its queue's, of which there is one;
    // the callers name a socket of the ring's queue.
    mapped.is_ok_and(|memory| unsafe { ring.remap(memory) })
}

/// As [`remap_fill`], for a completion ring.
pub(crate) fn remap_completion(ring: &mut CompletionRing, socket: &OwnedFd) -> bool {
    let mapped =
        ring_offsets(socket).and_then(|offsets| map_completion(socket, &offsets, ring.capacity()));
    // SAFETY: as in `remap_fill`, for the completion ring.
    mapped.is_ok_and(|memory| unsafe { ring.remap(memory) })
}

fn map<T: Copy>(
    fd: &OwnedFd,
    offset: RingOffset,
    entries: u32,
    page_offset: i64,
) -> Result<ring::RingMemory<T>, XskErrorKind> {
    let failed = |source| XskErrorKind::Setup {
        operation: format!("map a ring of {entries} entries"),
        source,
    };
    let slots = u64::from(entries) * u64::try_from(size_of::<T>()).expect("entries are small");
    let len = offset
        .desc
        .checked_add(slots)
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    let mapping = Mapping::of_file(fd.as_fd(), len, page_offset).map_err(failed)?;
    // SAFETY: the kernel laid out this mapping as a ring of `T` (descriptors for
    // RX and TX, u64 for fill and completion: integers, valid for any bits).
    // `open` and `open_sharer` take each side once; a `remap` drops the side it
    // had before it takes it again.
    unsafe { ring::RingMemory::in_mapping(&Arc::new(mapping), offset, entries) }
        .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}
