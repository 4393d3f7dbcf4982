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
        self.len.set(top);
        Some(self.free[top].get())
    }

    #[inline]
    pub(crate) fn put(&self, chunk: u32) {
        let len = self.len.get();
        self.free[len].set(chunk);
        self.len.set(len + 1);
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.len.get()).expect("a pool is made with a u32 of chunks")
    }
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
}
