//! Slots of a ring that lie in a row in memory, used from front to back.
//!
//! A ring's slots are used by index, modulo its capacity. Most of the time many
//! lie one behind the other before the ring begins anew, and a loop over those
//! needs two pointers and no index, mask or check for each.

use std::ptr::NonNull;

use super::atomic::Slot;

/// Slots in a row.
///
/// # Invariants
///
/// `start <= at <= end`, and the slots between lie in one ring.
#[derive(Debug)]
pub(super) struct Row<T> {
    start: NonNull<Slot<T>>,
    at: NonNull<Slot<T>>,
    end: NonNull<Slot<T>>,
}

impl<T> Row<T> {
    /// A row without slots at `start`.
    pub(super) fn empty(start: NonNull<Slot<T>>) -> Self {
        Self {
            start,
            at: start,
            end: start,
        }
    }

    /// The row of `len` slots from `start` on.
    ///
    /// # Safety
    ///
    /// They lie in one ring.
    #[inline]
    pub(super) unsafe fn new(start: NonNull<Slot<T>>, len: u32) -> Self {
        // SAFETY: inside the ring or just behind it, as the caller promises.
        let end = unsafe { start.add(len as usize) };
        Self {
            start,
            at: start,
            end,
        }
    }

    /// The next slot, if one is left. It stays the next until [`advance`](Self::advance).
    #[inline]
    pub(super) fn next(&self) -> Option<NonNull<Slot<T>>> {
        (self.at != self.end).then_some(self.at)
    }

    /// Goes on behind the next slot.
    ///
    /// # Safety
    ///
    /// [`next`](Self::next) has just returned one.
    #[inline]
    pub(super) unsafe fn advance(&mut self) {
        // SAFETY: before `end`, as the caller promises.
        self.at = unsafe { self.at.add(1) };
    }

    /// Ends the row where it is, and returns the number of slots used.
    #[inline]
    pub(super) fn end(&mut self) -> u32 {
        let used = self.used();
        self.start = self.at;
        self.end = self.at;
        used
    }

    /// The slot `index` behind the next.
    ///
    /// # Safety
    ///
    /// `index` is less than the number of slots [left](Self::left).
    #[inline]
    pub(super) unsafe fn peek(&self, index: usize) -> NonNull<Slot<T>> {
        // SAFETY: before `end`, as the caller promises.
        unsafe { self.at.add(index) }
    }

    /// Goes on behind `count` slots.
    ///
    /// # Safety
    ///
    /// `count` is at most the number of slots [left](Self::left).
    #[inline]
    pub(super) unsafe fn skip(&mut self, count: usize) {
        // SAFETY: at or before `end`, as the caller promises.
        self.at = unsafe { self.at.add(count) };
    }

    /// Slots used.
    #[inline]
    pub(super) fn used(&self) -> u32 {
        distance(self.start, self.at)
    }

    /// Slots left.
    #[inline]
    pub(super) fn left(&self) -> u32 {
        distance(self.at, self.end)
    }
}

/// Slots from `start` to `end`, which is not before it.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "at most a ring's capacity, a u32"
)]
fn distance<T>(start: NonNull<Slot<T>>, end: NonNull<Slot<T>>) -> u32 {
    ((end.as_ptr().addr() - start.as_ptr().addr()) / size_of::<Slot<T>>()) as u32
}
