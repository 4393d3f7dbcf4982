//! The atomics of the rings and the slots between them; under `--cfg loom`
//! their checked doubles, so that the models run the code that ships.

#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU32, Ordering, fence};

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU32, Ordering, fence};

use std::ptr::NonNull;

/// One entry of a ring. It lies in memory that the kernel shares, so it is only
/// ever reached through a pointer.
#[cfg(not(loom))]
#[repr(transparent)]
pub(crate) struct Slot<T>(T);

#[cfg(loom)]
pub(crate) struct Slot<T>(pub(super) loom::cell::UnsafeCell<T>);

/// Copies the entry out, once: what is checked is what is used, even if the
/// other side breaks the protocol and writes meanwhile.
///
/// # Safety
///
/// `slot` is a live slot of a ring, and by the ring's protocol nobody writes to
/// it now.
pub(super) unsafe fn read_slot<T: Copy>(slot: NonNull<Slot<T>>) -> T {
    #[cfg(not(loom))]
    // SAFETY: live and unwritten by the caller's promise; a slot is its entry.
    let entry = unsafe { slot.cast::<T>().read_volatile() };
    #[cfg(loom)]
    // SAFETY: live by the caller's promise; loom checks the rest.
    let entry = unsafe { slot.as_ref() }.0.with(|entry| {
        // SAFETY: loom passes a valid pointer, and checks that nobody writes.
        unsafe { *entry }
    });
    entry
}

/// Writes the entry.
///
/// # Safety
///
/// `slot` is a live slot of a ring, and by the ring's protocol nobody else reads
/// or writes it now.
pub(super) unsafe fn write_slot<T: Copy>(slot: NonNull<Slot<T>>, entry: T) {
    #[cfg(not(loom))]
    // SAFETY: live and unshared by the caller's promise; a slot is its entry.
    unsafe {
        slot.cast::<T>().write(entry);
    }
    #[cfg(loom)]
    // SAFETY: live by the caller's promise; loom checks the rest.
    unsafe { slot.as_ref() }.0.with_mut(|current| {
        // SAFETY: loom passes a valid pointer, and checks that nobody else uses it.
        unsafe { *current = entry };
    });
}
