//! How many frames hold a UMEM, counted in batches.

use std::cell::Cell;

/// The number of handles to a UMEM that there are, or that are reserved for frames
/// to come. Never less than the handles there are.
///
/// While it is not zero, one strong reference of the UMEM's `Rc` belongs to all of
/// them together (`memory::handle`).
#[derive(Debug, Default)]
pub(super) struct Holders(Cell<u64>);

impl Holders {
    /// Counts `handles` more, and returns whether they are the first.
    #[inline]
    pub(super) fn add(&self, handles: u32) -> bool {
        let before = self.0.get();
        self.0.set(before + u64::from(handles));
        before == 0 && handles > 0
    }

    /// Counts `handles` fewer, and returns whether they were the last.
    #[inline]
    pub(super) fn remove(&self, handles: u32) -> bool {
        let left = self.0.get() - u64::from(handles);
        self.0.set(left);
        left == 0 && handles > 0
    }
}
