//! Completion ring → pool, or → frame for one that comes back.

use std::cell::Cell;
use std::rc::Rc;

use crate::memory::frame::Frame;
use crate::memory::geometry::Geometry;
use crate::memory::ledger::{Owner, QueueId, Record, XskId};
use crate::memory::links::Next;
use crate::memory::umem::UmemState;

/// What one entry of a completion ring is about.
#[derive(Debug)]
pub(crate) enum CompletedChunk {
    /// A frame, or the last chunk of one, that had this record.
    Frame(Record),
    /// As `Frame`, with the cookie that is to be reported.
    Tagged(Record, u64),
    /// The last chunk that the kernel had of a frame that comes back.
    Returned(Record, u64, Frame),
    /// A chunk of a frame in several, but not its last.
    Part,
    /// A frame of an xsk that has closed.
    Stranded,
    /// Nothing that the kernel can have.
    Violation,
}

/// Chunks that come back in a row, each with the same record: frames in one chunk
/// of one xsk, charged to one queue.
pub(crate) struct CompletionRun<'a> {
    records: &'a [Cell<Record>],
    geometry: &'a Geometry,
    shift: u32,
    /// The bits of an address that are an aligned chunk's.
    chunk_mask: u64,
    run: Record,
}

impl CompletionRun<'_> {
    /// Puts the chunk that `addr` names into the pool, at `free`, if it is one of the
    /// run. It counts when the run [ends](UmemState::end_run).
    #[inline]
    pub(crate) fn take_aligned(&self, addr: u64, free: &Cell<u32>) -> bool {
        self.take_chunk(addr >> self.shift, free)
    }

    /// As [`take_aligned`](Self::take_aligned), for chunks that need not be.
    #[inline]
    pub(crate) fn take(&self, addr: u64, free: &Cell<u32>) -> bool {
        let place = self.geometry.place(addr);
        place.is_some_and(|place| self.take_chunk(place.chunk.into(), free))
    }

    /// Posts the chunk that `addr` names to the fill ring that `posted` is the record
    /// for, if it is one of the run. Returns the chunk's address. It counts when the
    /// run [ends](UmemState::end_posted_run).
    #[inline]
    pub(crate) fn post_aligned(&self, addr: u64, posted: Record) -> Option<u64> {
        let cell = self.record(addr >> self.shift)?;
        cell.set(posted);
        Some(addr & self.chunk_mask)
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are as many records as chunks, a u32"
    )]
    fn take_chunk(&self, chunk: u64, free: &Cell<u32>) -> bool {
        let Some(cell) = self.record(chunk) else {
            return false;
        };
        cell.set(Record::POOL);
        free.set(chunk as u32);
        true
    }

    /// The record of a chunk, if it is the run's.
    #[inline]
    fn record(&self, chunk: u64) -> Option<&Cell<Record>> {
        let cell = self.records.get(usize::try_from(chunk).ok()?)?;
        (cell.get() == self.run).then_some(cell)
    }
}

impl UmemState {
    /// Begins to complete chunks that all have `record`, one of those that
    /// [`complete`](Self::complete) returned. Each takes the next entry of the
    /// [free space](Self::free_space).
    #[inline]
    pub(crate) fn begin_run(&self, record: Record) -> CompletionRun<'_> {
        CompletionRun {
            records: self.ledger.records(),
            geometry: &self.geometry,
            shift: self.geometry.chunk_shift(),
            chunk_mask: !(u64::from(self.geometry.chunk_size()) - 1),
            run: record,
        }
    }

    /// Where the pool has space for chunks that come back.
    #[inline]
    pub(crate) fn free_space(&self) -> &[Cell<u32>] {
        self.pool.space()
    }

    /// Counts `chunks` of a run of chunks that had `record`.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a UMEM has a u32 of chunks"
    )]
    pub(crate) fn end_run(&self, record: Record, chunks: usize) -> u32 {
        self.pool.grow(chunks);
        self.ledger.settle(record, chunks as u32);
        chunks as u32
    }

    /// Counts `chunks` of a run of chunks that had `record`, and were posted for the
    /// queue that they are charged to.
    #[inline]
    pub(crate) fn end_posted_run(&self, record: Record, chunks: u32) {
        self.ledger.count_completed(record, chunks);
    }

    /// Whether `xsk` has handed the chunk that `addr` names to the kernel, which has not
    /// returned it.
    pub(crate) fn is_transmitted(&self, addr: u64, xsk: XskId) -> bool {
        let place = self.geometry.place(addr);
        place.is_some_and(|place| self.ledger.is_transmitted(place.chunk, xsk))
    }

    /// TX ring of an xsk of `queue` → pool, for the chunk that `addr` names.
    ///
    /// Any address in the chunk names it: the kernel loses bit 0 in copy mode
    /// (6.18 to 7.3).
    pub(crate) fn complete(self: &Rc<Self>, addr: u64, queue: QueueId) -> CompletedChunk {
        let Some(place) = self.geometry.place(addr) else {
            return CompletedChunk::Violation;
        };
        let chunk = place.chunk;
        let completed = if let Ok(record) = self.ledger.complete(chunk, queue) {
            CompletedChunk::Frame(record)
        } else if let Ok(record) = self.ledger.complete_tagged(chunk, queue) {
            CompletedChunk::Tagged(record, self.tags.cookie(chunk))
        } else if self.ledger.complete_part(chunk, queue).is_ok() {
            CompletedChunk::Part
        } else if self.ledger.complete_stranded(chunk, queue).is_ok() {
            CompletedChunk::Stranded
        } else {
            return self.complete_returning(chunk, queue);
        };
        self.pool.put(chunk);
        completed
    }

    /// TX ring of an xsk of `queue` → application, for a chunk of a frame that comes
    /// back. The frame is whole when the kernel is done with all of them, in whatever
    /// order.
    fn complete_returning(self: &Rc<Self>, chunk: u32, queue: QueueId) -> CompletedChunk {
        let mut is_last = false;
        let completed = self.ledger.complete_returning(chunk, queue, || {
            is_last = self.tags.take_one(self.tags.first(chunk));
            is_last
        });
        match completed {
            Err(_) => CompletedChunk::Violation,
            Ok(_) if !is_last => CompletedChunk::Part,
            Ok(record) => {
                let first = self.tags.first(chunk);
                let (addr, extent) = self.tags.frame(first);
                let claim = self.ledger.resume(first);
                let frame = Frame::resumed(self, claim, addr, extent);
                CompletedChunk::Returned(record, self.tags.cookie(first), frame)
            }
        }
    }

    /// TX ring → application, for a frame in one chunk that comes back, if its record is
    /// `record`. It counts when the run [ends](Self::end_returned_run).
    #[inline]
    pub(crate) fn take_returned(
        self: &Rc<Self>,
        addr: u64,
        record: Record,
    ) -> Option<(u64, Frame)> {
        let chunk = self.geometry.place(addr)?.chunk;
        let (addr, extent) = self.tags.plain(chunk)?;
        let claim = self.ledger.take_returned(chunk, record)?;
        let frame = Frame::resumed(self, claim, addr, extent);
        Some((self.tags.cookie(chunk), frame))
    }

    /// Counts `chunks` of a run of frames that came back and had `record`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a UMEM has a u32 of chunks"
    )]
    pub(crate) fn end_returned_run(&self, record: Record, chunks: usize) -> u32 {
        self.ledger.settle(record, chunks as u32);
        chunks as u32
    }

    /// Writes off what the kernel has from the TX ring of `xsk`, except what
    /// it [completes](Self::complete) later. Hands `report` the cookie of each frame
    /// whose completion was to be reported.
    pub(crate) fn strand_transmitted(&self, xsk: XskId, mut report: impl FnMut(u64)) {
        let mut returning = Vec::new();
        self.ledger.close_transmit(xsk, |chunk, owner| match owner {
            Owner::Returning => returning.push(self.tags.first(chunk)),
            _ => report(self.tags.cookie(chunk)),
        });
        returning.sort_unstable();
        returning.dedup();
        for first in returning {
            report(self.tags.cookie(first));
            self.recycle_returned(first);
        }
    }

    /// Part → pool, for the chunks of a frame that the kernel is done with, which is not
    /// done with all.
    fn recycle_returned(&self, first: u32) {
        let (_, extent) = self.tags.frame(first);
        let parts = self.backing().links.parts(Next::of_extent(extent));
        let chunks = parts.map(|part| part.place.chunk);
        for chunk in std::iter::once(first).chain(chunks) {
            if self.ledger.is_part(chunk) {
                self.ledger.recycle_part(chunk);
                self.pool.put(chunk);
            }
        }
    }
}
