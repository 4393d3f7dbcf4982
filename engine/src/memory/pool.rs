//! The free chunks of a UMEM: a stack, so that the chunk freed last, whose bytes
//! are most likely still in the cache, is used next.

use std::cell::Cell;

/// The free chunks. It holds at most as many as it was made with, so that
/// putting one back never allocates and never fails.
pub(crate) struct Pool {
    free: Box<[Cell<u32>]>,
    len: Cell<usize>,
}

impl Pool {
    /// A pool of `chunks`, of which the first is taken first: a fresh pool is used
    /// from the start of the memory.
    pub(crate) fn new(chunks: impl DoubleEndedIterator<Item = u32>) -> Self {
        let free: Box<[_]> = chunks.rev().map(Cell::new).collect();
        Self {
            len: Cell::new(free.len()),
            free,
        }
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<u32> {
        let top = self.len.get().checked_sub(1)?;
        let chunk = self.free[top].get();
        self.len.set(top);
        Some(chunk)
    }

    #[inline]
    pub(crate) fn put(&self, chunk: u32) {
        let len = self.len.get();
        self.free[len].set(chunk);
        self.len.set(len + 1);
    }

    /// Puts a chunk back if there is space and `may` says so then. Returns whether it did.
    #[inline]
    pub(crate) fn put_if(&self, chunk: u32, may: impl FnOnce() -> bool) -> bool {
        let len = self.len.get();
        match self.free.get(len) {
            Some(free) if may() => {
                free.set(chunk);
                self.len.set(len + 1);
                true
            }
            _ => false,
        }
    }

    /// Takes up to `most` chunks from the top, and hands them to `use_them` in the
    /// order in which [`take`](Self::take) returns them. Returns their number.
    #[inline]
    pub(crate) fn take_row<'a>(
        &'a self,
        most: u32,
        use_them: impl FnOnce(std::iter::Rev<std::slice::Iter<'a, Cell<u32>>>),
    ) -> u32 {
        let len = self.len.get();
        let left = len.saturating_sub(most as usize);
        self.len.set(left);
        use_them(self.free[left..len].iter().rev());
        narrow(len - left)
    }

    /// The entries above the top, to be written from the first on and then
    /// [counted](Self::grow).
    #[inline]
    pub(crate) fn space(&self) -> &[Cell<u32>] {
        &self.free[self.len.get()..]
    }

    /// Counts the first `chunks` entries of the [space](Self::space) as free chunks.
    #[inline]
    pub(crate) fn grow(&self, chunks: usize) {
        let len = self.len.get() + chunks;
        assert!(len <= self.free.len(), "a pool holds the UMEM's chunks");
        self.len.set(len);
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        narrow(self.len.get())
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a pool is made with a u32 of chunks"
)]
fn narrow(chunks: usize) -> u32 {
    chunks as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_put_back_last_is_taken_next() {
        let pool = Pool::new(0..3);
        let (first, second) = (pool.take(), pool.take());
        assert_eq!((first, second), (Some(0), Some(1)));

        pool.put(0);

        assert_eq!(pool.take(), Some(0));
        assert_eq!(pool.take(), Some(2));
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn row_is_what_as_many_calls_would_take() {
        let pool = Pool::new(0..5);
        let mut row = Vec::new();

        let taken = pool.take_row(3, |chunks| row.extend(chunks.map(Cell::get)));

        assert_eq!((taken, row), (3, vec![0, 1, 2]));
        assert_eq!(pool.take(), Some(3));
        let taken = pool.take_row(3, |chunks| assert_eq!(chunks.count(), 1));
        assert_eq!((taken, pool.len()), (1, 0));
    }

    #[test]
    fn chunks_written_to_the_space_are_taken_last_first() {
        let pool = Pool::new(0..3);
        (0..3).for_each(|_| assert!(pool.take().is_some()));

        for (entry, chunk) in pool.space().iter().zip([2, 0]) {
            entry.set(chunk);
        }
        pool.grow(2);

        assert_eq!(
            (pool.take(), pool.take(), pool.take()),
            (Some(0), Some(2), None)
        );
    }
}
