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
//! was is read off the record, a [`XskId`].
//!
//! A frame in several chunks has one of them by its claim and in its own name;
//! the others are recorded as its parts, so that frames can be told from chunks:
//! behind the first while the application has it, before the last in transmit,
//! where the kernel is done with the frame as it is done with the last.
//!
//! ```text
//!            lend              receive             transmit
//!   Pool ───────────► Fill ───────────► Application ───────────► Transmit
//!    ▲ ▲                                  │      ▲                 │ │
//!    │ └────────────── recycle ───────────┘      │ detach, attach  │ │ strand
//!    │ ◄───────────── recycle ──── Detached ◄────┘                 │ ▼
//!    └──────────────────────── complete ───────────────────────────┴ Stranded
//! ```
//!
//! Where it says Application and Transmit, a part goes through Part and
//! TransmitPart; a detached frame's parts stay Part.

mod record;

use std::cell::Cell;

pub(crate) use record::{Owner, QueueId, XskId, XskRecords};

use record::Record;

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

/// Chunks charged to each queue, and frames of each xsk that came back unsent.
struct Charges {
    chunks: [Cell<u32>; 256],
    discarded: [Cell<u64>; 256],
}

/// The records of all chunks of one UMEM.
pub(crate) struct Ledger {
    records: Box<[Cell<Record>]>,
    charges: Box<Charges>,
}

impl Ledger {
    /// A ledger in which the pool has every chunk.
    pub(crate) fn new(chunks: u32) -> Self {
        let record = Record::bare(Owner::Pool);
        Self {
            records: (0..chunks).map(|_| Cell::new(record)).collect(),
            charges: Box::new(Charges {
                chunks: [const { Cell::new(0) }; 256],
                discarded: [const { Cell::new(0) }; 256],
            }),
        }
    }

    /// Pool → nobody, before anything else happens: the chunk is never used.
    pub(crate) fn leave_out(&self, chunk: u32) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::bare(Owner::Gap));
    }

    /// Pool → fill ring of `group`, to which the caller
    /// [charges](Self::charge) what it lends.
    #[inline]
    pub(crate) fn lend(&self, chunk: u32, group: QueueId) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::lent(group));
    }

    /// Charges `chunks` more to `group`.
    #[inline]
    pub(crate) fn charge(&self, group: QueueId, chunks: u32) {
        let charge = &self.charges.chunks[group.place()];
        charge.set(charge.get() + chunks);
    }

    /// Fill ring of its queue → application, received by the xsk at `seat`.
    #[inline]
    pub(crate) fn receive(&self, chunk: u32, seat: &XskRecords) -> Result<Claim, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if cell.get() != seat.lent {
            return Err(Violation);
        }
        cell.set(seat.received);
        Ok(Claim(chunk))
    }

    /// Fill ring of `group` → application, as a part of a frame whose first
    /// chunk it has.
    pub(crate) fn receive_part(&self, chunk: u32, group: QueueId) -> Result<(), Violation> {
        let cell = self.lent(chunk, group)?;
        cell.set(Record::new(Owner::Part, QueueId::NONE, group, XskId::NONE));
        Ok(())
    }

    /// Fill ring of `group` → pool, for a frame that nobody gets.
    pub(crate) fn take_back(&self, chunk: u32, group: QueueId) -> Result<(), Violation> {
        let cell = self.lent(chunk, group)?;
        cell.set(Record::bare(Owner::Pool));
        self.drop_charge(group);
        Ok(())
    }

    /// Fill ring of `group` → nobody, for good.
    pub(crate) fn quarantine(&self, chunk: u32, group: QueueId) -> Result<(), Violation> {
        let cell = self.lent(chunk, group)?;
        cell.set(Record::bare(Owner::Quarantined));
        self.drop_charge(group);
        Ok(())
    }

    /// Pool → application. Charged to no queue until it is sent.
    #[inline]
    pub(crate) fn allocate(&self, chunk: u32) -> Claim {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::bare(Owner::Application));
        Claim(chunk)
    }

    /// Application → TX ring of the xsk at `seat`. Gives whether the frame was made
    /// by the application, not received; the xsk's queue is charged for those.
    #[inline]
    pub(crate) fn transmit(&self, claim: &Claim, seat: &XskRecords) -> bool {
        let cell = self.expect(claim.0, Owner::Application);
        let mut charged = cell.get().charged();
        let made = charged == QueueId::NONE;
        if made {
            charged = seat.group;
            self.charge(charged, 1);
        }
        cell.set(seat.transmitted(charged));
        made
    }

    /// As [`transmit`](Self::transmit), for the first chunk of a frame in
    /// several.
    pub(crate) fn transmit_first(&self, claim: &Claim, seat: &XskRecords) -> bool {
        let made = self.transmit(claim, seat);
        let record = self.records[claim.0 as usize].get();
        self.records[claim.0 as usize].set(record.handed_to(Owner::TransmitPart));
        made
    }

    /// As [`transmit`](Self::transmit), for a part. The last one stands for the
    /// frame from here on.
    pub(crate) fn transmit_part(&self, chunk: u32, is_last: bool, seat: &XskRecords) {
        let cell = self.expect(chunk, Owner::Part);
        cell.set(cell.get().handed_to(Owner::Application));
        let claim = Claim(chunk);
        if is_last {
            self.transmit(&claim, seat);
        } else {
            self.transmit_first(&claim, seat);
        }
    }

    /// TX ring of a member of `group` → pool. Gives the member.
    #[inline]
    pub(crate) fn complete(&self, chunk: u32, group: QueueId) -> Result<XskId, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(Owner::Transmit, group) {
            return Err(Violation);
        }
        cell.set(Record::bare(Owner::Pool));
        self.drop_charge(record.charged());
        Ok(record.member())
    }

    /// As [`complete`](Self::complete), for a part.
    pub(crate) fn complete_part(&self, chunk: u32, group: QueueId) -> Result<XskId, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(Owner::TransmitPart, group) {
            return Err(Violation);
        }
        cell.set(Record::bare(Owner::Pool));
        self.drop_charge(record.charged());
        Ok(record.member())
    }

    /// Stranded in the TX ring of a member of `group` → pool: the kernel had
    /// taken the frame before the member closed, and is done with it now.
    #[cold]
    pub(crate) fn complete_stranded(&self, chunk: u32, group: QueueId) -> Result<(), Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if !cell.get().is_with(Owner::Stranded, group) {
            return Err(Violation);
        }
        cell.set(Record::bare(Owner::Pool));
        Ok(())
    }

    /// Application → pool.
    #[inline]
    pub(crate) fn recycle(&self, claim: &Claim) {
        let cell = self.expect(claim.0, Owner::Application);
        self.drop_charge(cell.get().charged());
        cell.set(Record::bare(Owner::Pool));
    }

    /// Application → pool, for a part.
    pub(crate) fn recycle_part(&self, chunk: u32) {
        let cell = self.expect(chunk, Owner::Part);
        self.drop_charge(cell.get().charged());
        cell.set(Record::bare(Owner::Pool));
    }

    /// Makes a frame's chunk a part of another frame. The frame that it was is
    /// counted as dropped by the application.
    pub(crate) fn become_part(&self, claim: &Claim) {
        self.count_discard(claim);
        let cell = self.expect(claim.0, Owner::Application);
        let charged = cell.get().charged();
        cell.set(Record::new(
            Owner::Part,
            QueueId::NONE,
            charged,
            XskId::NONE,
        ));
    }

    /// Whether `chunk` is a part of a frame that the application has.
    pub(crate) fn is_part(&self, chunk: u32) -> bool {
        self.records[chunk as usize].get().is_owned_by(Owner::Part)
    }

    /// Counts the frame as dropped by the application.
    #[inline]
    pub(crate) fn count_discard(&self, claim: &Claim) {
        let member = self.expect(claim.0, Owner::Application).get().member();
        let discarded = &self.charges.discarded[member.place()];
        discarded.set(discarded.get() + 1);
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self, claim: &Claim) -> bool {
        self.expect(claim.0, Owner::Application).get().charged() == QueueId::NONE
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
        let record = cell.get();
        cell.set(Record::new(
            to,
            record.holder(),
            record.charged(),
            record.member(),
        ));
    }

    /// Whether the kernel has `chunk` in the fill ring of `group`: then no frame
    /// has it.
    pub(crate) fn is_lent(&self, chunk: u32, group: QueueId) -> bool {
        self.lent(chunk, group).is_ok()
    }

    /// Whether the kernel has `chunk` in the TX ring of `member`: then no frame
    /// has it.
    pub(crate) fn is_transmitted(&self, chunk: u32, member: XskId) -> bool {
        let sends = |record: Record| record.is_sent_by(member);
        self.records
            .get(chunk as usize)
            .is_some_and(|cell| sends(cell.get()))
    }

    /// Ends what the kernel has from the fill ring of `group`: makes `to` its
    /// owner, and hands each chunk to `end` after its charge is gone.
    pub(crate) fn close_fill(&self, group: QueueId, to: Owner, mut end: impl FnMut(u32)) {
        for (chunk, cell) in (0..).zip(&self.records) {
            if cell.get() == Record::lent(group) {
                self.drop_charge(group);
                cell.set(Record::bare(to));
                end(chunk);
            }
        }
    }

    /// Strands what the kernel has from the TX ring of `member`. The records keep
    /// the queue, on whose completion ring the chunks may come back still.
    pub(crate) fn close_transmit(&self, member: XskId) {
        for cell in &self.records {
            let record = cell.get();
            if record.is_sent_by(member) {
                self.drop_charge(record.charged());
                let holder = record.holder();
                cell.set(Record::new(
                    Owner::Stranded,
                    holder,
                    QueueId::NONE,
                    XskId::NONE,
                ));
            }
        }
    }

    /// Chunks charged to `group`.
    #[inline]
    pub(crate) fn charged(&self, group: QueueId) -> u32 {
        self.charges.chunks[group.place()].get()
    }

    /// Frames that `member` received and the application dropped.
    pub(crate) fn discarded(&self, member: XskId) -> u64 {
        self.charges.discarded[member.place()].get()
    }

    /// The owner of every chunk, and whether the chunk is charged to a queue.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (Owner, bool)> + '_ {
        self.records.iter().map(|cell| {
            let record = cell.get();
            (record.owner(), record.charged() != QueueId::NONE)
        })
    }

    /// The record of a chunk that the kernel says it has from the fill ring of
    /// `group`.
    #[inline]
    fn lent(&self, chunk: u32, group: QueueId) -> Result<&Cell<Record>, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if cell.get() == Record::lent(group) {
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

    #[inline]
    fn drop_charge(&self, group: QueueId) {
        if group != QueueId::NONE {
            let charge = &self.charges.chunks[group.place()];
            charge.set(charge.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests;
