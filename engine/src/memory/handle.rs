//! What a frame holds of its UMEM: a share in one strong reference that all
//! frames have together. So receiving and sending a frame touches no count: those
//! of a batch are counted at once.
#![expect(unsafe_code, reason = "a counted pointer")]

use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;

use super::umem::UmemState;

/// Keeps a UMEM alive.
///
/// # Invariants
///
/// The pointer is that of an `Rc<UmemState>`. The UMEM counts at least as many
/// `Holders` as there are handles to it; while it counts any, one strong reference
/// of the `Rc` is theirs, so that the UMEM lives.
pub(crate) struct Handle(UmemPointer);

/// Which UMEM a [`Handle`] is to, without keeping it alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UmemPointer(NonNull<UmemState>);

impl UmemPointer {
    #[inline]
    pub(crate) fn of(umem: &Rc<UmemState>) -> Self {
        let pointer = NonNull::new(Rc::as_ptr(umem).cast_mut());
        Self(pointer.expect("an Rc is never null"))
    }
}

impl Handle {
    #[inline]
    pub(crate) fn new(umem: &Rc<UmemState>) -> Self {
        Self::reserve(umem, 1);
        Self(UmemPointer::of(umem))
    }

    /// Counts `handles` that [`from_reserved`](Self::from_reserved) makes later.
    #[inline]
    pub(crate) fn reserve(umem: &Rc<UmemState>, handles: u32) {
        if umem.holders.add(handles) {
            // SAFETY: the pointer is that of a live `Rc`.
            unsafe { Rc::increment_strong_count(Rc::as_ptr(umem)) };
        }
    }

    /// Takes handles off the count that were reserved and not made, or whose frames
    /// were forgotten.
    #[inline]
    pub(crate) fn release(umem: &Rc<UmemState>, handles: u32) {
        if umem.holders.remove(handles) {
            release_last(UmemPointer::of(umem));
        }
    }

    /// Makes a handle of those reserved.
    ///
    /// # Safety
    ///
    /// `umem` counts a handle that was [reserved](Self::reserve) and is none yet.
    #[inline]
    pub(super) unsafe fn from_reserved(umem: UmemPointer) -> Self {
        Self(umem)
    }

    /// Which UMEM it is to.
    #[inline]
    pub(crate) fn pointer(&self) -> UmemPointer {
        self.0
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        if self.holders.remove(1) {
            release_last(self.0);
        }
    }
}

#[cold]
#[inline(never)]
fn release_last(umem: UmemPointer) {
    // SAFETY: the pointer is that of a live `Rc`, of which `reserve` took a strong
    // reference for all handles when the count left zero; it has just come back there.
    unsafe { Rc::decrement_strong_count(umem.0.as_ptr()) };
}

impl Deref for Handle {
    type Target = UmemState;

    #[inline]
    fn deref(&self) -> &UmemState {
        // SAFETY: by the invariant the UMEM lives while it counts this handle.
        unsafe { self.0.0.as_ref() }
    }
}
