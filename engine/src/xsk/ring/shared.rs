//! The memory of one ring as both sides see it: two indices, a word of flags
//! and a power of two of slots.
//!
//! Indices run freely and wrap at 2^32; their low bits select the slot. Nothing
//! here is ever behind a plain Rust reference: the indices and flags are
//! atomics, and entries are copied in and out through pointers.

use std::ptr::NonNull;
use std::sync::Arc;

use super::atomic::{AtomicU32, Ordering, Slot, fence};
use crate::kernel::sys::if_xdp::{RingOffset, XDP_RING_NEED_WAKEUP};
use crate::kernel::sys::memory::Mapping;

/// The memory of a ring.
///
/// # Invariants
///
/// The three words and `capacity` slots live for as long as this value does
/// (`memory` keeps them), and are reached by nobody but the two sides of the
/// ring. `capacity` is a power of two.
pub(crate) struct RingMemory<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<Slot<T>>,
    capacity: u32,
    #[cfg_attr(
        not(feature = "fault-injection"),
        expect(dead_code, reason = "keeps the memory mapped")
    )]
    memory: Option<Arc<Mapping>>,
}

impl<T: Copy> RingMemory<T> {
    /// The ring of `capacity` entries that lies at `offset` of `memory`, or
    /// `None` when it would not fit there.
    ///
    /// # Safety
    ///
    /// The bytes at `offset` are a ring of `T`, whose entries are valid for any
    /// bit pattern, and each side of the ring is taken once.
    pub(crate) unsafe fn in_mapping(
        memory: &Arc<Mapping>,
        offset: RingOffset,
        capacity: u32,
    ) -> Option<Self> {
        let entries = usize::try_from(capacity).ok()?;
        let slots_len = entries.checked_mul(size_of::<T>())?;
        if !capacity.is_power_of_two() {
            return None;
        }
        Some(Self {
            producer: part(
                memory,
                offset.producer,
                size_of::<AtomicU32>(),
                align_of::<AtomicU32>(),
            )?
            .cast(),
            consumer: part(
                memory,
                offset.consumer,
                size_of::<AtomicU32>(),
                align_of::<AtomicU32>(),
            )?
            .cast(),
            flags: part(
                memory,
                offset.flags,
                size_of::<AtomicU32>(),
                align_of::<AtomicU32>(),
            )?
            .cast(),
            slots: part(memory, offset.desc, slots_len, align_of::<T>())?.cast(),
            capacity,
            memory: Some(Arc::clone(memory)),
        })
    }

    /// The ring made of memory that somebody else keeps, for models and tests.
    ///
    /// # Safety
    ///
    /// As the type's invariants say, with the caller instead of `memory`.
    #[cfg(test)]
    pub(super) unsafe fn from_parts(
        [producer, consumer, flags]: [NonNull<AtomicU32>; 3],
        slots: NonNull<Slot<T>>,
        capacity: u32,
    ) -> Self {
        assert!(capacity.is_power_of_two());
        Self {
            producer,
            consumer,
            flags,
            slots,
            capacity,
            memory: None,
        }
    }

    /// Sets both indices.
    ///
    /// # Safety
    ///
    /// Neither side has looked at them yet.
    pub(crate) unsafe fn start_at(&self, index: u32) {
        self.store_producer(index, Ordering::Relaxed);
        self.store_consumer(index, Ordering::Relaxed);
    }

    /// The mapping that the ring lies in.
    #[cfg(feature = "fault-injection")]
    pub(super) fn memory(&self) -> Option<Arc<Mapping>> {
        self.memory.clone()
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(super) fn load_producer(&self, ordering: Ordering) -> u32 {
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        unsafe { self.producer.as_ref() }.load(ordering)
    }

    pub(super) fn store_producer(&self, index: u32, ordering: Ordering) {
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        unsafe { self.producer.as_ref() }.store(index, ordering);
    }

    pub(super) fn load_consumer(&self, ordering: Ordering) -> u32 {
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        unsafe { self.consumer.as_ref() }.load(ordering)
    }

    pub(super) fn store_consumer(&self, index: u32, ordering: Ordering) {
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        unsafe { self.consumer.as_ref() }.store(index, ordering);
    }

    /// Whether the other side asks to be woken.
    ///
    /// The full fence keeps the flag's load behind the store of the index that
    /// published the work: the kernel sets the flag, then looks for work once
    /// more, so one of the two sees the other. Without the fence both may miss
    /// (store buffering), and the frames wait for the next wake-up. The kernel
    /// does not fence for us. Source: `xsk_set_tx_need_wakeup` and its callers
    /// in drivers, Linux 6.18.
    pub(super) fn wants_wakeup(&self) -> bool {
        fence(Ordering::SeqCst);
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        let flags = unsafe { self.flags.as_ref() }.load(Ordering::Relaxed);
        flags & XDP_RING_NEED_WAKEUP != 0
    }

    /// Sets or clears the flag that [`wants_wakeup`](Self::wants_wakeup) reads:
    /// the other side's part.
    #[cfg(all(test, not(loom)))]
    pub(super) fn set_wants_wakeup(&self, wants: bool) {
        let flags = if wants { XDP_RING_NEED_WAKEUP } else { 0 };
        // SAFETY: the word lives by the invariant, and atomics may be shared.
        unsafe { self.flags.as_ref() }.store(flags, Ordering::SeqCst);
    }

    /// The slot that `index` selects.
    #[inline]
    pub(super) fn slot(&self, index: u32) -> NonNull<Slot<T>> {
        let position = (index & (self.capacity - 1)) as usize;
        // SAFETY: the mask keeps `position` below `capacity`, and the invariant
        // promises that many slots.
        unsafe { self.slots.add(position) }
    }
}

/// The address of `len` bytes at `offset` of `memory`, if they lie inside and
/// are aligned.
fn part(memory: &Mapping, offset: u64, len: usize, align: usize) -> Option<NonNull<u8>> {
    let offset = usize::try_from(offset).ok()?;
    if offset.checked_add(len)? > memory.len() {
        return None;
    }
    // SAFETY: the offset lies within the mapping, as was just checked.
    let address = unsafe { memory.start().add(offset) };
    (address.as_ptr().addr() % align == 0).then_some(address)
}
