//! The producing half of a ring: fill and TX.
//!
//! We produce, the kernel consumes. Slots between its consumer index and ours
//! plus the capacity are free to write; publishing hands what we wrote over. They
//! are written a row at a time.
//!
//! # Ordering
//!
//! The Release store in [`Producer::publish`] pairs with the kernel's acquire
//! load of the producer index (barriers A/D in `net/xdp/xsk_queue.h`, Linux
//! 6.18): it sees the entries. The Acquire load of the consumer index pairs
//! with the kernel's release store: it has read a slot before we write it again.

use std::iter::Rev;
use std::ptr::NonNull;
use std::slice::Iter;

use super::atomic::{Ordering, Slot, read_slot, write_slot};
use super::row::Row;
use super::shared::RingMemory;

/// The producing half of a ring.
///
/// # Invariants
///
/// `published <= next <= consumed + capacity`, in wrapping order, where `next` is
/// the index of the row's next slot; the slots from `published` to `consumed +
/// capacity` are ours. The row starts at the slot of `row_index`, and ends at or
/// before `consumed + capacity`.
pub(crate) struct Producer<T> {
    row: Row<T>,
    row_index: u32,
    published: u32,
    consumed: u32,
    shared: RingMemory<T>,
    faults: u64,
}

impl<T: Copy> Producer<T> {
    /// Takes the producing half, and goes on where its indices stand.
    pub(crate) fn new(shared: RingMemory<T>) -> Self {
        let next = shared.load_producer(Ordering::Acquire);
        let mut producer = Self {
            row: Row::empty(shared.slot(next)),
            row_index: next,
            // Full until the first look at the consumer index proves otherwise.
            consumed: next.wrapping_sub(shared.capacity()),
            shared,
            published: next,
            faults: 0,
        };
        producer.refresh();
        producer
    }

    /// Makes up to `max` of the slots that are known to be free the row, as far as
    /// they lie in one, and returns their number.
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        let next = self.next();
        let position = next & (self.shared.capacity() - 1);
        let to_end = self.shared.capacity() - position;
        let count = max.min(self.known_free()).min(to_end);
        self.row_index = next;
        // SAFETY: `count` slots from there on lie before the end of the ring.
        self.row = unsafe { Row::new(self.shared.slot(next), count) };
        count
    }

    /// Whether the row has no slot left.
    #[inline]
    pub(crate) fn row_is_full(&self) -> bool {
        self.row.next().is_none()
    }

    /// The next slot of the row, if one is left.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> Option<FreeSlot<'_, T>> {
        let slot = self.row.next()?;
        Some(FreeSlot {
            row: &mut self.row,
            slot,
        })
    }

    /// Writes one entry to the row, unpublished.
    #[inline]
    pub(crate) fn put(&mut self, entry: T) -> Result<(), Full> {
        self.slot().ok_or(Full)?.put(entry);
        Ok(())
    }

    /// Writes the entries that `entry` makes of each of `of` to the row, unpublished.
    ///
    /// # Panics
    ///
    /// When there are more than slots left.
    #[inline]
    pub(crate) fn put_all<'a, O: 'a>(
        &mut self,
        of: Rev<Iter<'a, O>>,
        mut entry: impl FnMut(&O) -> T,
    ) {
        let count = of.len();
        assert!(
            count <= self.row.left() as usize,
            "as many entries as there are slots"
        );
        let mut put = 0;
        for of in of {
            // SAFETY: `put` is less than `count`, and so than the slots left.
            let slot = unsafe { self.row.peek(put) };
            // SAFETY: as in `FreeSlot::put`.
            unsafe { write_slot(slot, entry(of)) };
            put += 1;
        }
        // SAFETY: `count`, as the iterator says exactly how many there are.
        unsafe { self.row.skip(put) };
    }

    /// Slots left in the row.
    #[inline]
    pub(super) fn row_left(&self) -> u32 {
        self.row.left()
    }

    /// Writes one entry `index` slots behind the next of the row, which stays the next.
    ///
    /// # Safety
    ///
    /// `index` is less than the number of slots [left](Self::row_left).
    #[inline]
    pub(super) unsafe fn write_ahead(&mut self, index: u32, entry: T) {
        // SAFETY: the caller's promise.
        let slot = unsafe { self.row.peek(index as usize) };
        // SAFETY: as in `FreeSlot::put`.
        unsafe { write_slot(slot, entry) };
    }

    /// Goes on behind `count` entries that were [written ahead](Self::write_ahead).
    ///
    /// # Safety
    ///
    /// They are at most as many as slots are [left](Self::row_left).
    #[inline]
    pub(super) unsafe fn skip_written(&mut self, count: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.row.skip(count as usize) };
    }

    /// Writes one entry, unpublished, unless the ring is full.
    pub(crate) fn push(&mut self, entry: T) -> Result<(), Full> {
        if self.row_is_full() {
            self.free(1);
            self.begin_row(u32::MAX);
        }
        self.put(entry)
    }

    /// Changes the entry written `back` entries before the latest one, and returns
    /// whether it did: not when it has been published.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn change(&mut self, back: u32, change: impl FnOnce(T) -> T) -> bool {
        if back >= self.next().wrapping_sub(self.published) {
            return false;
        }
        let slot = self
            .shared
            .slot(self.next().wrapping_sub(1).wrapping_sub(back));
        // SAFETY: we are the producer, and by the check above we wrote the slot
        // and have not published it.
        let entry = unsafe { read_slot(slot) };
        // SAFETY: as above, so that the consumer does not read it.
        unsafe { write_slot(slot, change(entry)) };
        true
    }

    /// Takes back the latest entry that was written and not published.
    pub(crate) fn retract(&mut self) -> Option<T> {
        if self.published == self.next() {
            return None;
        }
        self.row_index = self.next().wrapping_sub(1);
        let slot = self.shared.slot(self.row_index);
        self.row = Row::empty(slot);
        // SAFETY: we are the producer, and by the check above and the invariant we
        // wrote the slot and have not published it.
        Some(unsafe { read_slot(slot) })
    }

    /// Publishes what was written since the last time.
    #[inline]
    pub(crate) fn publish(&mut self) {
        let next = self.next();
        if self.published != next {
            self.shared.store_producer(next, Ordering::Release);
            self.published = next;
        }
    }

    /// Free slots; looks at the consumer index only when fewer than `wanted`
    /// are known to be free.
    #[inline]
    pub(crate) fn free(&mut self, wanted: u32) -> u32 {
        if self.known_free() < wanted {
            self.refresh();
        }
        self.known_free()
    }

    /// Entries published that the other side has not consumed yet.
    pub(crate) fn pending(&mut self) -> u32 {
        self.refresh();
        self.published.wrapping_sub(self.consumed)
    }

    /// Whether nothing is written that is not published, and nothing published
    /// that the last look found not consumed.
    #[inline]
    pub(crate) fn is_known_empty(&self) -> bool {
        self.next() == self.consumed
    }

    /// Whether the consumer asks for a wake-up; see `RingMemory::wants_wakeup`.
    pub(crate) fn wants_wakeup(&self) -> bool {
        self.shared.wants_wakeup()
    }

    /// Goes on with the ring through another mapping of it, and returns whether it
    /// did: not when the other one's size or state is not what ours is.
    ///
    /// # Safety
    ///
    /// `shared` is the memory of this ring, mapped once more.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<T>) -> bool {
        let same = shared.capacity() == self.shared.capacity()
            && shared.load_producer(Ordering::Acquire) == self.published;
        if same {
            self.row_index = self.next();
            self.row = Row::empty(shared.slot(self.row_index));
            self.shared = shared;
        }
        same
    }

    /// Entries the ring holds at most.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.shared.capacity()
    }

    /// The index of the next entry to write.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.row_index.wrapping_add(self.row.used())
    }

    /// Times the consumer index made no sense.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }

    #[inline]
    fn known_free(&self) -> u32 {
        self.shared.capacity() - self.next().wrapping_sub(self.consumed)
    }

    #[inline]
    fn refresh(&mut self) {
        let consumed = self.shared.load_consumer(Ordering::Acquire);
        // The consumer moves forward, and never past what was published.
        let advanced = consumed.wrapping_sub(self.consumed);
        if advanced <= self.published.wrapping_sub(self.consumed) {
            self.consumed = consumed;
        } else {
            self.faults += 1;
        }
    }
}

/// A slot that is free to be written.
///
/// # Invariants
///
/// `slot` is the next of `row`, which is a producer's.
pub(crate) struct FreeSlot<'a, T> {
    row: &'a mut Row<T>,
    slot: NonNull<Slot<T>>,
}

impl<T: Copy> FreeSlot<'_, T> {
    /// Writes an entry, unpublished.
    #[inline(always)]
    pub(crate) fn put(self, entry: T) {
        // SAFETY: we are the producer, and by the invariants it is a slot that the
        // consumer has released and we have not published.
        unsafe { write_slot(self.slot, entry) };
        // SAFETY: by the invariant the row has a next slot.
        unsafe { self.row.advance() };
    }
}

/// The ring has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;
