//! The consuming half of a ring: RX and completion.
//!
//! The kernel produces, we consume. Entries in `released..producer` are ours to
//! read; releasing them hands their slots back.
//!
//! # Ordering
//!
//! The Acquire load in [`Consumer::available`] pairs with the kernel's release
//! store of the producer index, and the Release store in [`Consumer::release`]
//! pairs with the kernel's read of the consumer index. Source: barriers B/C and
//! A/D in `net/xdp/xsk_queue.h`, Linux 6.18.

use super::atomic::Ordering;
use super::shared::RingMemory;

/// The consuming half of a ring.
///
/// # Invariants
///
/// `released <= next <= produced <= released + capacity`, in wrapping order; the
/// slots from `released` to `produced` are ours.
pub(crate) struct Consumer<T> {
    shared: RingMemory<T>,
    next: u32,
    released: u32,
    produced: u32,
    faults: u64,
}

impl<T: Copy> Consumer<T> {
    /// Takes the consuming half, and goes on where its indices stand.
    pub(crate) fn new(shared: RingMemory<T>) -> Self {
        let next = shared.load_consumer(Ordering::Acquire);
        Self {
            shared,
            next,
            released: next,
            produced: next,
            faults: 0,
        }
    }

    /// Entries ready to be popped, after a look at the producer index.
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
        self.produced.wrapping_sub(self.next)
    }

    /// Copies out the next of the entries that [`available`](Self::available)
    /// found. Its slot stays ours until [`release`](Self::release).
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.next == self.produced {
            return None;
        }
        // SAFETY: we are the consumer, and by the invariant `next` is a slot
        // that the producer has published and we have not released.
        let entry = unsafe { self.shared.read(self.next) };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Hands the slots of all popped entries back.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.released != self.next {
            self.shared.store_consumer(self.next, Ordering::Release);
            self.released = self.next;
        }
    }

    /// Goes on with the ring through another mapping of it, and gives whether it
    /// did: not when the other one's size or state is not what ours is.
    ///
    /// # Safety
    ///
    /// `shared` is the memory of this ring, mapped once more.
    pub(crate) unsafe fn remap(&mut self, shared: RingMemory<T>) -> bool {
        let same = shared.capacity() == self.shared.capacity()
            && shared.load_consumer(Ordering::Acquire) == self.released;
        if same {
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

    /// The index of the next entry to pop.
    #[cfg(test)]
    pub(crate) fn index(&self) -> u32 {
        self.next
    }

    /// Times the producer index made no sense.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }
}
