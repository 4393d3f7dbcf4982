//! The consuming half of a ring: RX and completion.
//!
//! The kernel produces, we consume. Entries in `released..produced` are ours to
//! read; releasing them hands their slots back. They are read a row at a time.
//!
//! # Ordering
//!
//! The Acquire load in [`Consumer::available`] pairs with the kernel's release
//! store of the producer index, and the Release store in [`Consumer::release`]
//! pairs with the kernel's read of the consumer index. Source: barriers B/C and
//! A/D in `net/xdp/xsk_queue.h`, Linux 6.18.

use super::atomic::{Ordering, read_slot};
use super::producer::Producer;
use super::row::Row;
use super::shared::RingMemory;

/// The consuming half of a ring.
///
/// # Invariants
///
/// `released <= next <= produced <= released + capacity`, in wrapping order,
/// where `next` is the index of the row's next slot; the slots from `released` to
/// `produced` are ours. The row starts at the slot of `row_index`, and ends at or
/// before `produced`.
pub(crate) struct Consumer<T> {
    row: Row<T>,
    row_index: u32,
    released: u32,
    produced: u32,
    shared: RingMemory<T>,
    faults: u64,
}

impl<T: Copy> Consumer<T> {
    /// Takes the consuming half, and goes on where its indices stand.
    pub(crate) fn new(shared: RingMemory<T>) -> Self {
        let next = shared.load_consumer(Ordering::Acquire);
        Self {
            row: Row::empty(shared.slot(next)),
            row_index: next,
            shared,
            released: next,
            produced: next,
            faults: 0,
        }
    }

    /// Entries ready to be taken, after a look at the producer index.
    #[inline]
    pub(crate) fn available(&mut self) -> u32 {
        let produced = self.shared.load_producer(Ordering::Acquire);
        // The producer moves forward, and never past what was released.
        let in_ring = produced.wrapping_sub(self.released);
        let known = self.produced.wrapping_sub(self.released);
        if known <= in_ring && in_ring <= self.shared.capacity() {
            self.produced = produced;
        } else {
            self.faults += 1;
        }
        self.known_available()
    }

    /// Entries ready to be taken, of those that the last look found.
    #[inline]
    pub(crate) fn known_available(&self) -> u32 {
        self.produced.wrapping_sub(self.next())
    }

    /// Makes up to `max` of the entries that [`available`](Self::available) found
    /// the row, as far as they lie in one, and returns their number: none only if
    /// there is none, or `max` is zero.
    #[inline]
    pub(crate) fn begin_row(&mut self, max: u32) -> u32 {
        let next = self.next();
        let position = next & (self.shared.capacity() - 1);
        let to_end = self.shared.capacity() - position;
        let count = max.min(self.produced.wrapping_sub(next)).min(to_end);
        self.row_index = next;
        // SAFETY: `count` slots from there on lie before the end of the ring.
        self.row = unsafe { Row::new(self.shared.slot(next), count) };
        count
    }

    /// Ends the row, and returns the number of entries taken of it.
    #[inline]
    pub(crate) fn end_row(&mut self) -> u32 {
        let used = self.row.end();
        self.row_index = self.row_index.wrapping_add(used);
        used
    }

    /// Entries left in the row.
    #[inline]
    pub(crate) fn row_left(&self) -> u32 {
        self.row.left()
    }

    /// Entries taken of the row.
    #[inline]
    pub(crate) fn row_used(&self) -> u32 {
        self.row.used()
    }

    /// The next entry of the row, if one is left. It stays the next until it is
    /// [taken](Entry::take).
    #[inline(always)]
    pub(crate) fn entry(&mut self) -> Option<Entry<'_, T>> {
        let slot = self.row.next()?;
        // SAFETY: we are the consumer, and by the invariant it is a slot that the
        // producer has published and we have not released.
        let value = unsafe { read_slot(slot) };
        Some(Entry {
            row: &mut self.row,
            value,
        })
    }

    /// Takes entries of the row, one for each of `with`, for as long as there are both
    /// and `accept` takes them. Returns their number.
    #[inline]
    pub(crate) fn take_with<W>(
        &mut self,
        with: &[W],
        mut accept: impl FnMut(T, &W) -> bool,
    ) -> usize {
        let most = with.len().min(self.row.left() as usize);
        let mut taken = 0;
        for with in &with[..most] {
            // SAFETY: `taken` is less than `most`, and so than the slots left.
            let slot = unsafe { self.row.peek(taken) };
            // SAFETY: as in `entry`.
            let entry = unsafe { read_slot(slot) };
            if !accept(entry, with) {
                break;
            }
            taken += 1;
        }
        // SAFETY: at most `most`.
        unsafe { self.row.skip(taken) };
        taken
    }

    /// Takes entries of the row for as long as there are any, `to` has slots in its
    /// row, and `accept` makes an entry for there of them. Returns their number.
    #[inline]
    pub(crate) fn take_to<U: Copy>(
        &mut self,
        to: &mut Producer<U>,
        mut accept: impl FnMut(T) -> Option<U>,
    ) -> u32 {
        let most = self.row.left().min(to.row_left());
        let mut taken = 0;
        while taken < most {
            // SAFETY: `taken` is less than `most`, and so than the slots left.
            let slot = unsafe { self.row.peek(taken as usize) };
            // SAFETY: as in `entry`.
            let entry = unsafe { read_slot(slot) };
            let Some(entry) = accept(entry) else { break };
            // SAFETY: `taken` is less than the slots left there.
            unsafe { to.write_ahead(taken, entry) };
            taken += 1;
        }
        // SAFETY: at most `most`.
        unsafe { self.row.skip(taken as usize) };
        // SAFETY: at most `most`, and so many were written.
        unsafe { to.skip_written(taken) };
        taken
    }

    /// Copies out the next of the entries that [`available`](Self::available)
    /// found.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.row_left() == 0 {
            self.begin_row(u32::MAX);
        }
        self.entry().map(Entry::take)
    }

    /// Hands the slots of all taken entries back.
    #[inline]
    pub(crate) fn release(&mut self) {
        let next = self.next();
        if self.released != next {
            self.shared.store_consumer(next, Ordering::Release);
            self.released = next;
        }
    }

    /// Goes on with the ring through another mapping of it, and returns whether it
    /// did: not when the other one's size or state is not what ours is.
    ///
    /// # Safety
    ///
    /// `shared` is the memory of this ring, mapped once more.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<T>) -> bool {
        let same = shared.capacity() == self.shared.capacity()
            && shared.load_consumer(Ordering::Acquire) == self.released;
        if same {
            self.row_index = self.next();
            self.row = Row::empty(shared.slot(self.row_index));
            self.shared = shared;
        }
        same
    }

    /// Entries the ring holds at most.
    pub(crate) fn capacity(&self) -> u32 {
        self.shared.capacity()
    }

    /// Sets the flag by which a consumer asks to be woken: the kernel's part.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn ask_for_wakeup(&self, wanted: bool) {
        self.shared.set_wants_wakeup(wanted);
    }

    /// See [`RingMemory::memory`].
    #[cfg(feature = "fault-injection")]
    pub(crate) fn memory(&self) -> Option<std::sync::Arc<crate::kernel::sys::memory::Mapping>> {
        self.shared.memory()
    }

    /// The index of the next entry to take.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        self.row_index.wrapping_add(self.row.used())
    }

    /// Times the producer index made no sense.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }
}

/// An entry that the producer published, copied out.
///
/// # Invariants
///
/// `row` has a next slot, which the entry is from.
pub(crate) struct Entry<'a, T> {
    row: &'a mut Row<T>,
    value: T,
}

impl<T: Copy> Entry<'_, T> {
    #[inline(always)]
    pub(crate) fn value(&self) -> T {
        self.value
    }

    /// Takes the entry. Its slot stays ours until [`Consumer::release`].
    #[inline(always)]
    pub(crate) fn take(self) -> T {
        // SAFETY: by the invariant there is a next slot.
        unsafe { self.row.advance() };
        self.value
    }
}
