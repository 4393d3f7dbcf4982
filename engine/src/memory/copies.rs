//! The memory beside a UMEM that copies of its frames lie in: ordinary memory, neither
//! pinned nor registered, that takes pages as they are used.
//!
//! There are small chunks and chunks of the UMEM's size, each with a ledger, a pool
//! and a queue of returns, as the UMEM has them. So a copy is a frame like any other, and
//! what is known of it, which xsk received it and which queue it is charged to, is in
//! the ledger of its memory. To be sent, it is copied into a chunk of the UMEM.

use std::rc::{Rc, Weak};

use super::audit::CopyAudit;
use super::geometry::Geometry;
use super::ledger::{Owner, XskId};
use super::own::LazyMemory;
use super::region::Region;
use super::umem::{BackingStore, UmemState};
use crate::kernel::limits::{address_space, tightest_memory_group};

/// Bytes of a frame that a small chunk takes at the least, whatever the copybreak.
const SMALL_FRAME: u32 = 256;

/// Copies that wait to be sent find chunks in the pool: as many are not posted, up to
/// this share of all.
const RESERVED_SHARE: u32 = 4;

/// What a chunk takes beside itself: ledger, links, pool and returns.
const RECORD_BYTES: u64 = 64;

impl UmemState {
    /// The memories for copies, from small chunks to large, which are made if there are
    /// none yet. None for a memory that is for copies.
    pub(super) fn copies(&self) -> &[Rc<Self>] {
        self.beside.made_with(|umem, most| {
            let (front, large) = (self.geometry.front(), self.geometry.chunk_size());
            let break_at = u32::try_from(self.copybreak).unwrap_or(large);
            let small = (front + break_at.max(SMALL_FRAME)).next_multiple_of(64);
            let sizes = [small, large].into_iter().filter(|&size| {
                // Else the large ones will do.
                size == large || size <= large / 2
            });
            let memory = |size| for_copies(umem, most, size, front);
            sizes.filter_map(memory).collect()
        })
    }

    /// The UMEM's memory, and those for copies that there are.
    pub(super) fn memories(self: &Rc<Self>) -> impl Iterator<Item = &Rc<Self>> {
        std::iter::once(self).chain(self.beside.made())
    }

    /// Whether the frames here are copies of a UMEM's.
    pub(super) fn is_for_copies(&self) -> bool {
        self.beside.is_for_copies()
    }

    /// Whether the frames here are those of `umem`, or copies of such.
    pub(super) fn belongs_to(&self, umem: &Rc<Self>) -> bool {
        self.beside.belongs_to(umem)
    }

    /// Whether the frames here and those there are of one UMEM, or copies of such.
    pub(super) fn is_of_one_umem_with(&self, other: &Self) -> bool {
        self.beside.is_of_one_umem_with(&other.beside)
    }

    /// Free chunks that may be posted to a fill ring. Copies may be sent at any time, and
    /// need others then.
    #[inline]
    pub(crate) fn postable_chunks(&self) -> u32 {
        let free = self.pool.len();
        if self.beside.made().is_empty() {
            return free;
        }
        free.saturating_sub(self.reserved())
    }

    #[cold]
    fn reserved(&self) -> u32 {
        let memories = self.beside.made().iter();
        let used = memories.map(|memory| memory.geometry.usable() - memory.pool.len());
        used.sum::<u32>()
            .min(self.geometry.usable() / RESERVED_SHARE)
    }

    /// Received frames of `xsk` that the application dropped, copies of such included.
    pub(crate) fn discarded(&self, xsk: XskId) -> u64 {
        let copies = self.beside.made().iter();
        let copies = copies.map(|memory| memory.ledger.discarded(xsk));
        self.ledger.discarded(xsk) + copies.sum::<u64>()
    }

    /// Received frames of `xsk` that were copied out of the UMEM, and those that
    /// were to be, but there was no chunk for the copy.
    pub(crate) fn copied_out(&self, xsk: XskId) -> (u64, u64) {
        self.beside.counted(xsk)
    }

    /// Where the chunks for copies are.
    pub(super) fn audit_copies(&self) -> CopyAudit {
        let mut audit = CopyAudit::default();
        for memory in self.beside.made() {
            audit.total += memory.geometry.usable();
            audit.pooled += memory.pool.len();
            for (owner, charged) in memory.ledger.owners() {
                if matches!(owner, Owner::Application | Owner::Detached) && !charged {
                    audit.made += 1;
                }
                match owner {
                    Owner::Pool => audit.pool += 1,
                    Owner::Application => audit.application += 1,
                    Owner::Detached => audit.detached += 1,
                    Owner::Part => audit.parts += 1,
                    // The kernel never has one of these.
                    _ => {}
                }
            }
        }
        audit
    }
}

/// A memory of up to `most` chunks of `size` bytes for copies of a UMEM's frames, if
/// there is room for it.
fn for_copies(umem: &Weak<UmemState>, most: u32, size: u32, front: u32) -> Option<Rc<UmemState>> {
    let one = Geometry::for_copies(1, size, front);
    let bytes = u64::from(one.stride()) + RECORD_BYTES;
    let chunks = u64::from(most).min(affordable_bytes() / bytes);
    let geometry = Geometry::for_copies(u32::try_from(chunks).ok()?, size, front);
    let memory = LazyMemory::new(geometry.len_bytes()).ok()?;
    let report = memory.report();
    let region = Region::new(geometry, memory, report);
    let backing = BackingStore::for_copies(region, geometry.chunks());
    Some(UmemState::for_copies(umem, geometry, backing))
}

/// Half of what the tightest limit leaves: a group that exceeds its limit is not
/// refused, the kernel kills one of its processes.
fn affordable_bytes() -> u64 {
    let group = tightest_memory_group().map(|group| group.left());
    let space = address_space().map(|(limit, in_use)| limit.saturating_sub(in_use));
    let left = group.into_iter().chain(space).min();
    left.map_or(u64::MAX, |left| left / 2)
}
