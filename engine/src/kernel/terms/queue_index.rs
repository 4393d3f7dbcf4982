//! The index of a queue.

use std::fmt;

use super::out_of_range::OutOfRange;

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

impl fmt::Display for QueueIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_index_that_the_kernel_would_truncate_is_refused() {
        let error = QueueIndex::new(65_537).expect_err("above 16 bits");

        assert!(error.to_string().contains("bind queue 1 instead"));
        assert_eq!(QueueIndex::new(65_535).map(QueueIndex::get), Ok(65_535));
    }
}
