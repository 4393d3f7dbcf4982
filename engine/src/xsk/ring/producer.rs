//! The producing half of a ring: fill and TX.
//!
//! We produce, the kernel consumes. Slots between its consumer index and ours
//! plus the capacity are free to write; publishing hands what we wrote over.
//!
//! # Ordering
//!
//! The Release store in [`Producer::publish`] pairs with the kernel's acquire
//! load of the producer index (barriers A/D in `net/xdp/xsk_queue.h`, Linux
//! 6.18): it sees the entries. The Acquire load of the consumer index pairs
//! with the kernel's release store: it has read a slot before we write it again.

use super::atomic::Ordering;
use super::shared::RingMemory;

/// The producing half of a ring.
///
/// # Invariants
///
/// `published <= next <= consumed + capacity`, in wrapping order; the slots from
/// `published` to `consumed + capacity` are ours.
pub(crate) struct Producer<T> {
    shared: RingMemory<T>,
    next: u32,
    published: u32,
    consumed: u32,
    faults: u64,
}

impl<T: Copy> Producer<T> {
    /// Takes the producing half, and goes on where its indices stand.
    pub(crate) fn new(shared: RingMemory<T>) -> Self {
        let next = shared.load_producer(Ordering::Acquire);
        let mut producer = Self {
            // Full until the first look at the consumer index proves otherwise.
            consumed: next.wrapping_sub(shared.capacity()),
            shared,
            next,
            published: next,
            faults: 0,
        };
        producer.refresh();
        producer
    }

    /// Writes one entry, unpublished, unless the ring is full.
    #[inline]
    pub(crate) fn push(&mut self, entry: T) -> Result<(), Full> {
        if self.cached_free() == 0 {
            self.refresh();
            if self.cached_free() == 0 {
                return Err(Full);
            }
        }
        // SAFETY: we are the producer, and by the invariant `next` is a slot
        // that the consumer has released and we have not published.
        unsafe { self.shared.write(self.next, entry) };
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Changes the entry pushed `back` entries before the latest one, and gives
    /// whether it did: not when it has been published.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn change(&mut self, back: u32, change: impl FnOnce(T) -> T) -> bool {
        if back >= self.next.wrapping_sub(self.published) {
            return false;
        }
        let index = self.next.wrapping_sub(1).wrapping_sub(back);
        // SAFETY: we are the producer, and by the check above we wrote `index`
        // and have not published it.
        let entry = unsafe { self.shared.read(index) };
        // SAFETY: as above, so that the consumer does not read it.
        unsafe { self.shared.write(index, change(entry)) };
        true
    }

    /// Takes back the latest entry that was pushed and not published.
    pub(crate) fn retract(&mut self) -> Option<T> {
        if self.published == self.next {
            return None;
        }
        let index = self.next.wrapping_sub(1);
        // SAFETY: we are the producer, and by the check above and the invariant we
        // wrote `index` and have not published it.
        let entry = unsafe { self.shared.read(index) };
        self.next = index;
        Some(entry)
    }

    /// Publishes what was pushed since the last time.
    #[inline]
    pub(crate) fn publish(&mut self) {
        if self.published != self.next {
            self.shared.store_producer(self.next, Ordering::Release);
            self.published = self.next;
        }
    }

    /// Free slots; looks at the consumer index only when fewer than `wanted`
    /// are known to be free.
    #[inline]
    pub(crate) fn free(&mut self, wanted: u32) -> u32 {
        if self.cached_free() < wanted {
            self.refresh();
        }
        self.cached_free()
    }

    /// Entries published that the other side has not consumed yet.
    pub(crate) fn pending(&mut self) -> u32 {
        self.refresh();
        self.published.wrapping_sub(self.consumed)
    }

    /// Whether the consumer asks for a wake-up; see `RingMemory::wants_wakeup`.
    pub(crate) fn wants_wakeup(&self) -> bool {
        self.shared.wants_wakeup()
    }

    /// Goes on with the ring through another mapping of it, and gives whether it
    /// did: not when the other one's size or state is not what ours is.
    ///
    /// # Safety
    ///
    /// `shared` is the memory of this ring, mapped once more.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<T>) -> bool {
        let same = shared.capacity() == self.shared.capacity()
            && shared.load_producer(Ordering::Acquire) == self.published;
        if same {
            self.shared = shared;
        }
        same
    }

    /// Entries the ring holds at most.
    pub(crate) fn capacity(&self) -> u32 {
        self.shared.capacity()
    }

    /// The index of the next entry to push.
    #[cfg(test)]
    pub(crate) fn index(&self) -> u32 {
        self.next
    }

    /// Times the consumer index made no sense.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }

    #[inline]
    fn cached_free(&self) -> u32 {
        self.shared.capacity() - self.next.wrapping_sub(self.consumed)
    }

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

/// The ring has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;
