//! Memory that another owner mapped.
#![expect(unsafe_code, reason = "vouches for memory that the caller vouched for")]

use std::any::Any;
use std::fs;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Mutex;

use super::areas::{Area, areas};
use super::error::ForeignMemoryError;
use super::in_use::{InUse, Space, overlap};
use crate::kernel::sys::memory::{advise, fault_in, page_size};
use crate::memory::region::Memory;

/// A range of memory that the caller mapped, and what keeps it mapped.
#[derive(Debug)]
pub(super) struct MappedMemory {
    start: NonNull<u8>,
    len: usize,
    /// Whether nobody else has these pages.
    is_private: bool,
    /// Whether children are to have it again.
    was_in_children: bool,
    in_use: Option<InUse>,
    /// Locked by nobody: it makes the owner fit to be shared, of which nothing is ever
    /// done but to drop it.
    owner: ManuallyDrop<Mutex<Box<dyn Any + Send>>>,
}

// SAFETY: the addresses are the process's, and the owner may be sent.
unsafe impl Send for MappedMemory {}
// SAFETY: of a shared reference, the address and the length are all that is got.
unsafe impl Sync for MappedMemory {}

// SAFETY: the caller of `Umem::adopt` vouches that the memory is mapped, readable,
// writable and nobody else's until the owner drops, which it does with this value.
unsafe impl Memory for MappedMemory {
    fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Memory that is looked at before it is used.
pub(super) struct Candidate {
    start: NonNull<u8>,
    len: usize,
    areas: Vec<Area>,
    owner: Box<dyn Any + Send>,
}

impl Candidate {
    pub(super) fn new(
        start: NonNull<u8>,
        len: usize,
        owner: Box<dyn Any + Send>,
    ) -> Result<Self, ForeignMemoryError> {
        let page_bytes = u64::from(page_size());
        let address = start.as_ptr().addr() as u64;
        if !address.is_multiple_of(page_bytes) {
            return Err(ForeignMemoryError::Misaligned {
                of: "address",
                value: address,
                page_bytes,
            });
        }
        let text = fs::read("/proc/self/smaps")
            .map_err(ForeignMemoryError::of("reading /proc/self/smaps"))?;
        // It has the names of all mapped files, and those are any bytes.
        let text = String::from_utf8_lossy(&text);
        let areas = areas(&text, &addresses(start, len as u64));
        Ok(Self {
            start,
            len,
            areas,
            owner,
        })
    }

    /// The size of its pages: those that all of it lies on whole.
    pub(super) fn page_bytes(&self) -> u64 {
        let usual = u64::from(page_size());
        let smallest = self.areas.iter().map(|area| area.page_bytes).min();
        let start = self.start.as_ptr().addr() as u64;
        smallest
            .filter(|bytes| *bytes > usual && start.is_multiple_of(*bytes))
            .unwrap_or(usual)
    }

    /// Its first `needed` bytes, whole pages.
    pub(super) fn take(self, needed: u64) -> Result<MappedMemory, ForeignMemoryError> {
        let there = self.len as u64;
        if there < needed {
            return Err(ForeignMemoryError::TooSmall { needed, there });
        }
        let len = usize::try_from(needed).expect("no more than there is");
        let range = addresses(self.start, needed);
        let areas: Vec<&Area> = self
            .areas
            .iter()
            .filter(|area| area.addresses.start < range.end)
            .collect();
        check(&areas, &range)?;
        let in_use = InUse::mark(ranges(&areas, &range)?).ok_or(ForeignMemoryError::InUse)?;
        fault_in(self.start, len).map_err(|source| ForeignMemoryError::NoPages { source })?;
        let was_in_children = areas.iter().any(|area| !area.is_left_out_of_children);
        if was_in_children {
            // SAFETY: the memory is ours from here on, as the caller vouched, and
            // nothing changes for this process.
            unsafe { advise(self.start, len, libc::MADV_DONTFORK) }
                .map_err(ForeignMemoryError::of("madvise(MADV_DONTFORK)"))?;
        }
        Ok(MappedMemory {
            start: self.start,
            len,
            is_private: areas.iter().any(|area| !area.shared),
            was_in_children,
            in_use: Some(in_use),
            owner: ManuallyDrop::new(Mutex::new(self.owner)),
        })
    }
}

fn addresses(start: NonNull<u8>, len: u64) -> Range<u64> {
    let start = start.as_ptr().addr() as u64;
    start..start.saturating_add(len)
}

/// Whether all of `range` is mapped as it has to be.
fn check(areas: &[&Area], range: &Range<u64>) -> Result<(), ForeignMemoryError> {
    let unsuitable = |address, what| Err(ForeignMemoryError::Unsuitable { address, what });
    let mut next = range.start;
    for area in areas {
        if area.addresses.start > next {
            break;
        }
        let address = next;
        if !area.readable {
            return unsuitable(address, "not readable");
        }
        if !area.writable {
            return unsuitable(address, "read-only");
        }
        if area.is_io {
            return unsuitable(address, "a device's, and cannot be pinned");
        }
        next = area.addresses.end;
    }
    if next < range.end {
        return unsuitable(next, "not mapped");
    }
    Ok(())
}

/// By what the memory is known: its addresses, and the files that it is of. An error
/// where some pages of a file are in it twice: two chunks would have the same bytes.
fn ranges(
    areas: &[&Area],
    range: &Range<u64>,
) -> Result<Vec<(Space, Range<u64>)>, ForeignMemoryError> {
    let mut ranges = vec![(Space::Addresses, range.clone())];
    for area in areas.iter().filter(|area| area.shared && area.inode != 0) {
        let start = range.start.max(area.addresses.start);
        let end = range.end.min(area.addresses.end);
        let first = area.offset + (start - area.addresses.start);
        let space = Space::File {
            major: area.major,
            minor: area.minor,
            inode: area.inode,
        };
        let found = (space, first..first + (end - start));
        if ranges.iter().any(|before| overlap(before, &found)) {
            return Err(ForeignMemoryError::Unsuitable {
                address: start,
                what: "mapped a second time",
            });
        }
        ranges.push(found);
    }
    Ok(ranges)
}

impl Drop for MappedMemory {
    fn drop(&mut self) {
        let (start, len) = (self.start, self.len);
        if self.was_in_children {
            // SAFETY: it is still ours, and nothing changes for this process. That it
            // fails takes a range that is not mapped.
            let _ = unsafe { advise(start, len, libc::MADV_DOFORK) };
        }
        // The kernel may write to chunks of an xsk that closed for a little while, and
        // whoever gets the memory next must not see that: it gets other pages.
        // SAFETY: by the contract of `Umem::adopt` the bytes are lost.
        let parted = !self.is_private || unsafe { advise(start, len, libc::MADV_DONTNEED) }.is_ok();
        // Before the owner, who may unmap it for others to have the addresses.
        self.in_use = None;
        if parted {
            // SAFETY: it is dropped here only, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.owner) };
        }
    }
}
