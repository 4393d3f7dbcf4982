//! Who has each chunk. The kernel's word is checked against it, in release
//! builds too.
//!
//! One word per chunk: its owner, the queue whose rings it is in, the queue it is
//! charged to, and the xsk that received it or sends it. Every crossing of the
//! kernel boundary changes a record, and only if the record says that the
//! crossing is possible: a chunk that the kernel names twice, or that it never
//! had, is a [`Violation`], not a second frame over the same bytes.
//!
//! The xsks of one queue share its fill and completion rings, so what the kernel
//! may say there is checked against the queue, a [`QueueId`], and whose frame it
//! was is read off the record, an [`XskId`].
//!
//! A frame in several chunks has one of them by its claim and in its own name;
//! the others are recorded as its parts, so that frames are counted as frames:
//! behind the first while the application has it, before the last in transmit,
//! where the kernel is done with the frame as it is done with the last.
//!
//! ```text
//!            post              receive             transmit
//!   Pool ───────────► Fill ───────────► Application ───────────► Transmit
//!    ▲ ▲                                  │      ▲                 │ │
//!    │ └────────────── recycle ───────────┘      │ detach, attach  │ │ strand
//!    │ ◄───────────── recycle ──── Detached ◄────┘                 │ ▼
//!    └──────────────────────── complete ───────────────────────────┴ Stranded
//! ```
//!
//! Where it says Application and Transmit, a part goes through Part and
//! TransmitPart; a detached frame's parts stay Part.
//!
//! A frame whose completion is reported goes through Tagged instead of Transmit. All
//! chunks of one that comes back are Returning, and Part once the kernel is done with
//! them, until the last of them is; then the frame is the application's again, as one
//! that it made.
//!
//! Frames of one kind mostly come in a row, so the busy crossings compare a chunk's
//! whole record with that of the chunk before, and store what that became: one
//! comparison checks owner, queue, charge and xsk. What does not match goes the
//! slow way, one chunk at a time.

mod ids;
mod record;

use std::cell::Cell;

pub(crate) use ids::{QueueId, XskId};
pub(crate) use record::{Owner, Record, XskRecords};

/// The application's right to one chunk's bytes. Only the ledger makes it, after
/// it has recorded the application as the chunk's owner; it cannot be copied.
#[derive(Debug)]
pub(crate) struct Claim(u32);

impl Claim {
    /// The chunk.
    #[inline]
    pub(crate) fn chunk(&self) -> u32 {
        self.0
    }
}

/// The kernel named a chunk that it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation;

/// Chunks charged to each queue; for each xsk, chunks that it received and the
/// application holds, received frames that the application dropped, chunks sent that
/// came back, and those of them that did not end a frame.
/// The last entry of each stands for none, and nobody reads it.
struct Charges {
    chunks: [Cell<u32>; 256],
    held: [Cell<u32>; 256],
    discarded: [Cell<u64>; 256],
    completed: [Cell<u64>; 256],
    completed_parts: [Cell<u64>; 256],
}

/// Frames that the application dropped one after the other, all with the same record,
/// which are not counted yet.
struct Dropped {
    run: Cell<Record>,
    frames: Cell<u64>,
}

/// The records of all chunks of one UMEM.
pub(crate) struct Ledger {
    records: Box<[Cell<Record>]>,
    dropped: Dropped,
    charges: Box<Charges>,
}

impl Ledger {
    /// A ledger in which the pool has every chunk.
    pub(crate) fn new(chunks: u32) -> Self {
        Self {
            records: (0..chunks).map(|_| Cell::new(Record::POOL)).collect(),
            dropped: Dropped {
                run: Cell::new(Record::NEVER),
                frames: Cell::new(0),
            },
            charges: Box::new(Charges {
                chunks: [const { Cell::new(0) }; 256],
                held: [const { Cell::new(0) }; 256],
                discarded: [const { Cell::new(0) }; 256],
                completed: [const { Cell::new(0) }; 256],
                completed_parts: [const { Cell::new(0) }; 256],
            }),
        }
    }

    /// The record of each chunk.
    #[inline]
    pub(super) fn records(&self) -> &[Cell<Record>] {
        &self.records
    }

    /// Pool → nobody, before anything else happens: the chunk is never used.
    pub(crate) fn leave_out(&self, chunk: u32) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::bare(Owner::Gap));
    }

    /// Pool → the fill ring that `posted` is the record for, as
    /// [`Posting`](super::crossing) does it for many.
    #[cfg(test)]
    pub(crate) fn post(&self, chunk: u32, posted: Record) {
        let cell = &self.records[chunk as usize];
        assert!(
            cell.get() == Record::POOL,
            "only a chunk of the pool is posted"
        );
        cell.set(posted);
    }

    /// Charges `chunks` more to `queue`.
    #[inline]
    pub(crate) fn charge(&self, queue: QueueId, chunks: u32) {
        let charge = &self.charges.chunks[queue.position()];
        charge.set(charge.get().wrapping_add(chunks));
    }

    /// Takes off `chunks` that were charged to `queue`. They may have been sent and
    /// come back before they are charged, if the kernel breaks the protocol.
    #[inline]
    fn uncharge(&self, queue: QueueId, chunks: u32) {
        let charge = &self.charges.chunks[queue.position()];
        charge.set(charge.get().wrapping_sub(chunks));
    }

    /// Counts `chunks` more that `xsk` received and the application holds.
    #[inline]
    pub(crate) fn hold(&self, xsk: XskId, chunks: u32) {
        let held = &self.charges.held[xsk.position()];
        held.set(held.get().wrapping_add(chunks));
    }

    /// Takes off `chunks` that the application gave back, of those that `xsk` received.
    /// Those of a batch are counted as it ends, so it may have given some back before.
    #[inline]
    pub(crate) fn let_go(&self, xsk: XskId, chunks: u32) {
        let held = &self.charges.held[xsk.position()];
        held.set(held.get().wrapping_sub(chunks));
    }

    /// Chunks that `xsk` received and the application holds, as of the last batch.
    pub(crate) fn held(&self, xsk: XskId) -> u32 {
        self.count_dropped();
        self.charges.held[xsk.position()].get()
    }

    /// The same, counted from the records.
    #[cfg(test)]
    pub(crate) fn count_held(&self, xsk: XskId) -> u32 {
        let is_held = |record: Record| {
            let owner = record.owner();
            record.xsk() == xsk
                && matches!(owner, Owner::Application | Owner::Detached | Owner::Part)
        };
        let held = self.records.iter().filter(|cell| is_held(cell.get()));
        u32::try_from(held.count()).expect("a u32 of records")
    }

    /// Fill ring of its queue → application, received by the xsk of `records`. The
    /// caller [counts it as held](Self::hold).
    pub(crate) fn receive(&self, chunk: u32, records: &XskRecords) -> Result<Claim, Violation> {
        Receiving::new(self, records)
            .claim(chunk.into())
            .ok_or(Violation)
    }

    /// Fill ring of its queue → application, as a part of a frame whose first chunk the
    /// xsk of `records` received.
    pub(crate) fn receive_part(&self, chunk: u32, records: &XskRecords) -> Result<(), Violation> {
        let cell = self.posted(chunk, records.queue)?;
        cell.set(records.received.handed_to(Owner::Part));
        self.hold(records.xsk, 1);
        Ok(())
    }

    /// Fill ring of `queue` → pool, for a frame that nobody gets.
    pub(crate) fn take_back(&self, chunk: u32, queue: QueueId) -> Result<(), Violation> {
        let cell = self.posted(chunk, queue)?;
        cell.set(Record::POOL);
        self.uncharge(queue, 1);
        Ok(())
    }

    /// Fill ring of `queue` → nobody, for good.
    pub(crate) fn quarantine(&self, chunk: u32, queue: QueueId) -> Result<(), Violation> {
        let cell = self.posted(chunk, queue)?;
        cell.set(Record::bare(Owner::Quarantined));
        self.uncharge(queue, 1);
        Ok(())
    }

    /// Pool → application. Charged to no queue until it is sent.
    #[inline]
    pub(crate) fn allocate(&self, chunk: u32) -> Claim {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::bare(Owner::Application));
        Claim(chunk)
    }

    /// Pool → application, for a copy of a frame that another ledger has with the record
    /// `of`: of the same xsk, and charged to the same queue.
    pub(crate) fn copy(&self, chunk: u32, of: Record) -> Claim {
        self.copy_as(Owner::Application, chunk, of);
        Claim(chunk)
    }

    /// As [`copy`](Self::copy), for a part.
    pub(crate) fn copy_part(&self, chunk: u32, of: Record) {
        self.copy_as(Owner::Part, chunk, of);
    }

    fn copy_as(&self, owner: Owner, chunk: u32, of: Record) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::new(owner, QueueId::NONE, of.charged(), of.xsk()));
        self.charge(of.charged(), 1);
        self.hold(of.xsk(), 1);
    }

    /// The record of a frame's chunk.
    #[inline]
    pub(crate) fn record(&self, chunk: u32) -> Record {
        self.records[chunk as usize].get()
    }

    /// Application → TX ring of the xsk of `records`. Returns the record that the
    /// chunk had. A frame that the application made is charged to the xsk's queue.
    pub(crate) fn transmit(&self, claim: &Claim, records: &XskRecords) -> Record {
        let cell = self.expect(claim.0, Owner::Application);
        let from = cell.get();
        self.let_go(from.xsk(), 1);
        if from.is_made() {
            self.charge(records.queue, 1);
        }
        cell.set(records.sent(from));
        from
    }

    /// As [`transmit`](Self::transmit), for the first chunk of a frame in
    /// several.
    pub(crate) fn transmit_first(&self, claim: &Claim, records: &XskRecords) -> Record {
        let from = self.transmit(claim, records);
        let cell = &self.records[claim.0 as usize];
        cell.set(cell.get().handed_to(Owner::TransmitPart));
        from
    }

    /// As [`transmit`](Self::transmit), for a part. The last one stands for the
    /// frame from here on.
    pub(crate) fn transmit_part(&self, chunk: u32, is_last: bool, records: &XskRecords) -> Record {
        let cell = self.expect(chunk, Owner::Part);
        cell.set(cell.get().handed_to(Owner::Application));
        let claim = Claim(chunk);
        if is_last {
            self.transmit(&claim, records)
        } else {
            self.transmit_first(&claim, records)
        }
    }

    /// TX ring of an xsk of `queue` → pool. Returns the record that the chunk had.
    pub(crate) fn complete(&self, chunk: u32, queue: QueueId) -> Result<Record, Violation> {
        self.complete_from(Owner::Transmit, chunk, queue)
    }

    /// As [`complete`](Self::complete), for a part.
    pub(crate) fn complete_part(&self, chunk: u32, queue: QueueId) -> Result<Record, Violation> {
        self.complete_from(Owner::TransmitPart, chunk, queue)
    }

    fn complete_from(&self, owner: Owner, chunk: u32, queue: QueueId) -> Result<Record, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(owner, queue) {
            return Err(Violation);
        }
        cell.set(Record::POOL);
        self.settle(record, 1);
        if owner == Owner::TransmitPart {
            let parts = &self.charges.completed_parts[record.xsk().position()];
            parts.set(parts.get() + 1);
        }
        Ok(record)
    }

    /// As [`complete`](Self::complete), for a chunk whose cookie is to be reported.
    pub(crate) fn complete_tagged(&self, chunk: u32, queue: QueueId) -> Result<Record, Violation> {
        self.complete_from(Owner::Tagged, chunk, queue)
    }

    /// TX ring of an xsk of `queue` → application, as a part: any chunk of a frame that
    /// returns. It is charged to no queue any more. `is_last` says whether the kernel is
    /// done with the frame. Returns the record that the chunk had.
    pub(crate) fn complete_returning(
        &self,
        chunk: u32,
        queue: QueueId,
        is_last: impl FnOnce() -> bool,
    ) -> Result<Record, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(Owner::Returning, queue) {
            return Err(Violation);
        }
        cell.set(Record::bare(Owner::Part));
        self.settle(record, 1);
        if !is_last() {
            let parts = &self.charges.completed_parts[record.xsk().position()];
            parts.set(parts.get() + 1);
        }
        Ok(record)
    }

    /// TX ring → application, for a chunk that is all of a frame that returns, if it has
    /// `record`. The caller [settles](Self::settle) it.
    #[inline]
    pub(crate) fn take_returned(&self, chunk: u32, record: Record) -> Option<Claim> {
        let cell = self.records.get(chunk as usize)?;
        if cell.get() != record {
            return None;
        }
        cell.set(Record::bare(Owner::Application));
        Some(Claim(chunk))
    }

    /// Makes a part the application's as a frame that it made.
    pub(crate) fn resume(&self, chunk: u32) -> Claim {
        let cell = self.expect(chunk, Owner::Part);
        cell.set(Record::bare(Owner::Application));
        Claim(chunk)
    }

    /// Has a cookie reported for a chunk in transmit, which stands for its frame.
    pub(crate) fn tag(&self, chunk: u32) {
        self.hand_over(chunk, Owner::Transmit, Owner::Tagged);
    }

    /// Has a chunk in transmit come back to the application.
    pub(crate) fn let_return(&self, chunk: u32, is_last: bool) {
        let from = if is_last {
            Owner::Transmit
        } else {
            Owner::TransmitPart
        };
        self.hand_over(chunk, from, Owner::Returning);
    }

    /// Counts `chunks` as completed, which had `record`, and takes off their charges.
    #[inline]
    pub(crate) fn settle(&self, record: Record, chunks: u32) {
        self.uncharge(record.charged(), chunks);
        self.count_completed(record, chunks);
    }

    /// Counts `chunks` as completed, which had `record`.
    #[inline]
    pub(crate) fn count_completed(&self, record: Record, chunks: u32) {
        let completed = &self.charges.completed[record.xsk().position()];
        completed.set(completed.get() + u64::from(chunks));
    }

    /// Stranded in the TX ring of an xsk of `queue` → pool: the kernel had
    /// taken the frame before the xsk closed, and is done with it now.
    #[cold]
    pub(crate) fn complete_stranded(&self, chunk: u32, queue: QueueId) -> Result<(), Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if !cell.get().is_with(Owner::Stranded, queue) {
            return Err(Violation);
        }
        cell.set(Record::POOL);
        Ok(())
    }

    /// Application → pool.
    pub(crate) fn recycle(&self, claim: &Claim) {
        self.free(self.expect(claim.0, Owner::Application));
    }

    /// As [`discard`](Self::discard), for a chunk with the same record as the one
    /// before. Returns whether it has that.
    #[inline]
    pub(crate) fn discard_run(&self, claim: &Claim) -> bool {
        match self.records.get(claim.0 as usize) {
            Some(cell) if cell.get() == self.dropped.run.get() => {
                cell.set(Record::POOL);
                self.dropped.frames.set(self.dropped.frames.get() + 1);
                true
            }
            _ => false,
        }
    }

    /// Application → pool, counted as dropped by the application. It begins a
    /// [run](Self::discard_run).
    pub(crate) fn discard(&self, claim: &Claim) {
        self.count_dropped();
        let cell = self.expect(claim.0, Owner::Application);
        self.dropped.run.set(cell.get());
        self.dropped.frames.set(1);
        cell.set(Record::POOL);
    }

    /// Counts the frames that were dropped since last time.
    #[inline]
    fn count_dropped(&self) {
        if self.dropped.frames.get() > 0 {
            self.count_run();
        }
    }

    #[inline(never)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is charged wraps as well, and is at most a u32 of chunks"
    )]
    fn count_run(&self) {
        let (record, frames) = (self.dropped.run.get(), self.dropped.frames.take());
        let discarded = &self.charges.discarded[record.xsk().position()];
        discarded.set(discarded.get() + frames);
        self.uncharge(record.charged(), frames as u32);
        self.let_go(record.xsk(), frames as u32);
    }

    /// Application → pool, for a part.
    pub(crate) fn recycle_part(&self, chunk: u32) {
        self.free(self.expect(chunk, Owner::Part));
    }

    /// Application → pool.
    fn free(&self, cell: &Cell<Record>) {
        let record = cell.replace(Record::POOL);
        self.uncharge(record.charged(), 1);
        self.let_go(record.xsk(), 1);
    }

    /// Makes a frame's chunk a part of another frame. The frame that it was is
    /// counted as dropped by the application.
    pub(crate) fn become_part(&self, claim: &Claim) {
        let cell = self.expect(claim.0, Owner::Application);
        let record = cell.get();
        self.count_discard(record);
        cell.set(record.handed_to(Owner::Part));
    }

    /// Whether `chunk` is a part of a frame that the application has.
    pub(crate) fn is_part(&self, chunk: u32) -> bool {
        self.records[chunk as usize].get().is_owned_by(Owner::Part)
    }

    /// Counts a frame as dropped by the application.
    #[inline]
    fn count_discard(&self, record: Record) {
        let discarded = &self.charges.discarded[record.xsk().position()];
        discarded.set(discarded.get() + 1);
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self, claim: &Claim) -> bool {
        self.expect(claim.0, Owner::Application).get().is_made()
    }

    /// Application → application, on any thread.
    pub(crate) fn detach(&self, claim: &Claim) {
        self.hand_over(claim.0, Owner::Application, Owner::Detached);
    }

    /// Application on any thread → application.
    pub(crate) fn attach(&self, chunk: u32) -> Claim {
        self.hand_over(chunk, Owner::Detached, Owner::Application);
        Claim(chunk)
    }

    /// Changes the owner, and nothing else.
    fn hand_over(&self, chunk: u32, from: Owner, to: Owner) {
        let cell = self.expect(chunk, from);
        cell.set(cell.get().handed_to(to));
    }

    /// Whether the kernel has `chunk` in the fill ring of `queue`: then no frame
    /// has it.
    pub(crate) fn is_posted(&self, chunk: u32, queue: QueueId) -> bool {
        self.posted(chunk, queue).is_ok()
    }

    /// Whether the kernel has `chunk` in the TX ring of `xsk`: then no frame
    /// has it.
    pub(crate) fn is_transmitted(&self, chunk: u32, xsk: XskId) -> bool {
        let cell = self.records.get(chunk as usize);
        cell.is_some_and(|cell| cell.get().is_sent_by(xsk))
    }

    /// Ends what the kernel has from the fill ring of `queue`: makes `to` its
    /// owner, and hands each chunk to `end` after its charge is gone.
    pub(crate) fn close_fill(&self, queue: QueueId, to: Owner, mut end: impl FnMut(u32)) {
        for (chunk, cell) in (0..).zip(&self.records) {
            if cell.get() == Record::posted(queue) {
                self.uncharge(queue, 1);
                cell.set(Record::bare(to));
                end(chunk);
            }
        }
    }

    /// Strands what the kernel has from the TX ring of `xsk`. The records keep
    /// the queue, on whose completion ring the chunks may come back still. Hands `report`
    /// each chunk whose completion was to be reported, and its owner before.
    pub(crate) fn close_transmit(&self, xsk: XskId, mut report: impl FnMut(u32, Owner)) {
        for (chunk, cell) in (0..).zip(&self.records) {
            let record = cell.get();
            if record.is_sent_by(xsk) {
                self.uncharge(record.charged(), 1);
                cell.set(Record::new(
                    Owner::Stranded,
                    record.ring(),
                    QueueId::NONE,
                    XskId::NONE,
                ));
                if matches!(record.owner(), Owner::Tagged | Owner::Returning) {
                    report(chunk, record.owner());
                }
            }
        }
    }

    /// Chunks charged to `queue`.
    #[inline]
    pub(crate) fn charged(&self, queue: QueueId) -> u32 {
        self.count_dropped();
        self.charges.chunks[queue.position()].get()
    }

    /// Chunks that `xsk` sent and the kernel is done with.
    #[inline]
    pub(crate) fn completed(&self, xsk: XskId) -> u64 {
        self.charges.completed[xsk.position()].get()
    }

    /// Of those, the ones before the last of a frame in several.
    pub(crate) fn completed_parts(&self, xsk: XskId) -> u64 {
        self.charges.completed_parts[xsk.position()].get()
    }

    /// As if `xsk` had sent so many frames before, and they had come back.
    #[cfg(test)]
    pub(crate) fn count_as_completed(&self, xsk: XskId, frames: u64) {
        self.charges.completed[xsk.position()].set(frames);
    }

    /// Frames that `xsk` received and the application dropped.
    pub(crate) fn discarded(&self, xsk: XskId) -> u64 {
        self.count_dropped();
        self.charges.discarded[xsk.position()].get()
    }

    /// The owner of every chunk, and whether the chunk is charged to a queue.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (Owner, bool)> + '_ {
        self.records.iter().map(|cell| {
            let record = cell.get();
            (record.owner(), !record.is_made())
        })
    }

    /// The record of a chunk that the kernel says it has from the fill ring of
    /// `queue`.
    fn posted(&self, chunk: u32, queue: QueueId) -> Result<&Cell<Record>, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if cell.get() == Record::posted(queue) {
            Ok(cell)
        } else {
            Err(Violation)
        }
    }

    /// The record of a chunk that we hold and that must be with `owner`.
    #[inline]
    fn expect(&self, chunk: u32, owner: Owner) -> &Cell<Record> {
        let cell = &self.records[chunk as usize];
        assert!(
            cell.get().is_owned_by(owner),
            "a chunk moves only from the owner that the ledger records"
        );
        cell
    }
}

/// Fill ring → application, for a run of chunks that one xsk receives.
#[derive(Clone, Copy)]
pub(super) struct Receiving<'a> {
    records: &'a [Cell<Record>],
    from: Record,
    to: Record,
}

impl<'a> Receiving<'a> {
    #[inline]
    pub(super) fn new(ledger: &'a Ledger, records: &XskRecords) -> Self {
        Self {
            records: &ledger.records,
            from: records.posted,
            to: records.received,
        }
    }

    /// As [`new`](Self::new), for no chunk at all.
    #[inline]
    pub(super) fn nothing(records: &XskRecords) -> Self {
        Self {
            records: &[],
            from: records.posted,
            to: records.received,
        }
    }

    /// Makes the application the owner of a chunk that is posted to the xsk's
    /// queue; `None` for any other.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are as many records as chunks, a u32"
    )]
    pub(super) fn claim(&self, chunk: u64) -> Option<Claim> {
        let cell = self.records.get(usize::try_from(chunk).ok()?)?;
        if cell.get() != self.from {
            return None;
        }
        cell.set(self.to);
        Some(Claim(chunk as u32))
    }
}

#[cfg(test)]
mod tests;
