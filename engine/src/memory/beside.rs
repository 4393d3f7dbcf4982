//! What a UMEM has beside it for copies of its frames, and what such a memory knows of
//! the UMEM that it is beside.

use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};

use super::ledger::XskId;

/// How a UMEM `M` and the memories for copies beside it hang together.
///
/// The UMEM has its copy memories; they know it without keeping it, so a copy that
/// the application holds does not keep the UMEM's memory pinned.
pub(super) struct Beside<M> {
    /// The UMEM itself, or for a copy memory, the one that it is beside.
    umem: Weak<M>,
    role: Role<M>,
}

enum Role<M> {
    Umem {
        /// Frames that may be copied out at a time, for each size of chunks.
        most: u32,
        /// From small chunks to large, made when the first frame is copied. Empty when
        /// they could not be had.
        copies: OnceCell<Box<[Rc<M>]>>,
        counts: Box<CopyCounts>,
    },
    Copies,
}

/// For each xsk, received frames that were copied out, and those that were to be and
/// were not, for want of a chunk. The last entry stands for none: frames that the
/// application made.
struct CopyCounts {
    copied: [Cell<u64>; 256],
    refused: [Cell<u64>; 256],
}

impl<M> Beside<M> {
    /// For a UMEM, of which up to `most` frames may be copied out at a time.
    pub(super) fn umem(itself: &Weak<M>, most: u32) -> Self {
        Self {
            umem: Weak::clone(itself),
            role: Role::Umem {
                most,
                copies: OnceCell::new(),
                counts: Box::new(CopyCounts {
                    copied: [const { Cell::new(0) }; 256],
                    refused: [const { Cell::new(0) }; 256],
                }),
            },
        }
    }

    /// For a memory of copies of a UMEM's frames.
    pub(super) fn copies_of(umem: &Weak<M>) -> Self {
        Self {
            umem: Weak::clone(umem),
            role: Role::Copies,
        }
    }

    /// The UMEM that a memory for copies is beside, unless that is gone.
    pub(super) fn umem_of_copies(&self) -> Option<Rc<M>> {
        match self.role {
            Role::Umem { .. } => None,
            Role::Copies => self.umem.upgrade(),
        }
    }

    /// Whether `umem` is the UMEM itself, or the one that it is beside. No other UMEM
    /// ever has the place in memory of one that is gone, as the `Weak` keeps that.
    pub(super) fn belongs_to(&self, umem: &Rc<M>) -> bool {
        std::ptr::eq(self.umem.as_ptr(), Rc::as_ptr(umem))
    }

    pub(super) fn is_of_one_umem_with(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.umem, &other.umem)
    }

    pub(super) fn is_for_copies(&self) -> bool {
        matches!(self.role, Role::Copies)
    }

    /// The memories for copies, as far as there are some already.
    #[inline]
    pub(super) fn made(&self) -> &[Rc<M>] {
        match &self.role {
            Role::Umem { copies, .. } => copies.get().map_or(&[], |copies| copies),
            Role::Copies => &[],
        }
    }

    /// The memories for copies, which `make` makes for so many frames if there are none
    /// yet. None for a memory that is for copies itself.
    pub(super) fn made_with(&self, make: impl FnOnce(&Weak<M>, u32) -> Vec<Rc<M>>) -> &[Rc<M>] {
        match &self.role {
            Role::Umem { copies, most, .. } => {
                copies.get_or_init(|| make(&self.umem, *most).into_boxed_slice())
            }
            Role::Copies => &[],
        }
    }

    pub(super) fn note_copied(&self, xsk: XskId) {
        if let Role::Umem { counts, .. } = &self.role {
            let copied = &counts.copied[xsk.position()];
            copied.set(copied.get() + 1);
        }
    }

    pub(super) fn note_refused(&self, xsk: XskId) {
        if let Role::Umem { counts, .. } = &self.role {
            let refused = &counts.refused[xsk.position()];
            refused.set(refused.get() + 1);
        }
    }

    /// Frames that `xsk` received and that were copied out, and those that were to be
    /// and were not.
    pub(super) fn counted(&self, xsk: XskId) -> (u64, u64) {
        match &self.role {
            Role::Umem { counts, .. } => (
                counts.copied[xsk.position()].get(),
                counts.refused[xsk.position()].get(),
            ),
            Role::Copies => (0, 0),
        }
    }
}
