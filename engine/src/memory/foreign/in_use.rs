//! Which memory of other owners the UMEMs of this process lie in, so that none is
//! adopted twice by mistake.
//!
//! That two UMEMs never own the same bytes is what the caller of
//! [`Umem::adopt`](crate::Umem::adopt) vouches for: memory that is shared can be mapped
//! at other addresses, by other processes, and nobody can find that out. What is found
//! here is what anyone gets wrong first: the same descriptor, or the same address, twice.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Memory by which it is known as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Offsets in a file, by the number of its file system and its own.
    File { major: u32, minor: u32, inode: u64 },
    /// Addresses of this process.
    Addresses,
}

/// Ranges that are in use for as long as this value lives.
#[derive(Debug)]
pub(super) struct InUse(Vec<(Space, Range<u64>)>);

impl InUse {
    /// `None` if some of `ranges` is in use.
    pub(super) fn mark(ranges: Vec<(Space, Range<u64>)>) -> Option<Self> {
        let mut all = all();
        let is_taken = |range| all.iter().any(|other| overlap(range, other));
        if ranges.iter().any(is_taken) {
            return None;
        }
        all.extend(ranges.iter().cloned());
        Some(Self(ranges))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        all().retain(|range| !self.0.contains(range));
    }
}

/// Whether two ranges are of the same memory, and have some of it in common.
pub(super) fn overlap(
    (space, range): &(Space, Range<u64>),
    (other_space, other): &(Space, Range<u64>),
) -> bool {
    space == other_space && range.start < other.end && other.start < range.end
}

fn all() -> MutexGuard<'static, Vec<(Space, Range<u64>)>> {
    static ALL: Mutex<Vec<(Space, Range<u64>)>> = Mutex::new(Vec::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> Space {
        Space::File {
            major: 0,
            minor: 1,
            inode,
        }
    }

    #[test]
    fn memory_in_use_is_free_again_when_it_is_given_up() {
        // No file has such a number.
        let ranges = || vec![(file(u64::MAX), 0..8192)];
        let first = InUse::mark(ranges()).expect("nobody has it");

        assert!(InUse::mark(ranges()).is_none());
        assert!(InUse::mark(vec![(file(u64::MAX), 8191..8192)]).is_none());
        let beside = InUse::mark(vec![(file(u64::MAX), 8192..9000)]);
        assert!(beside.is_some(), "the next byte is free");
        let other = InUse::mark(vec![(file(u64::MAX - 1), 0..8192)]);
        assert!(other.is_some(), "another file");
        drop(first);
        assert!(InUse::mark(ranges()).is_some());
    }
}
