//! Who has each chunk. The kernel's word is checked against it, in release
//! builds too.
//!
//! One word per chunk: its owner, the queue whose rings it is in, and the queue it
//! is charged to. Every crossing of the kernel boundary
//! changes a record, and only if the record says that the crossing is possible:
//! a chunk that the kernel names twice, or that it never had, is a
//! [`Violation`], not a second frame over the same bytes.
//!
//! ```text
//!            lend              receive             transmit
//!   Pool ───────────► Fill ───────────► Application ───────────► Transmit
//!    ▲ ▲                                  │      ▲                   │
//!    │ └────────────── recycle ───────────┘      │ detach, attach    │
//!    │ ◄───────────── recycle ──── Detached ◄────┘                   │
//!    └──────────────────────── complete ─────────────────────────────┘
//! ```

use std::cell::Cell;

/// A queue among those that share a UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member(u8);

impl Member {
    /// Queues that can share a UMEM.
    pub(crate) const MAX: u8 = u8::MAX;
    /// Stands for no queue.
    const NONE: Self = Self(u8::MAX);

    pub(crate) fn new(number: u8) -> Option<Self> {
        (number < Self::MAX).then_some(Self(number))
    }

    /// Its place in arrays of [`Charges`]' length.
    #[inline]
    fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Who has a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Owner {
    /// The pool: free.
    Pool,
    /// The kernel, to receive into.
    Fill,
    /// The application, as a `Frame`.
    Application,
    /// The application, as a `DetachedFrame`, on any thread.
    Detached,
    /// The kernel, to send from.
    Transmit,
    /// Nobody: the kernel gave it back with a descriptor that makes no sense.
    Quarantined,
    /// The kernel still had it when its queue closed.
    Stranded,
}

impl Owner {
    const ALL: [Self; 7] = [
        Self::Pool,
        Self::Fill,
        Self::Application,
        Self::Detached,
        Self::Transmit,
        Self::Quarantined,
        Self::Stranded,
    ];
}

/// What the ledger knows of a chunk, in one word, so that a crossing is a
/// comparison and a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record(u32);

impl Record {
    /// `holder` is the queue whose rings the chunk is in, for `Fill` and
    /// `Transmit`; `charged` is the queue that the chunk counts against.
    #[inline]
    fn new(owner: Owner, holder: Member, charged: Member) -> Self {
        Self(Self::with(owner, holder) | u32::from(charged.0) << 16)
    }

    #[inline]
    fn with(owner: Owner, holder: Member) -> u32 {
        u32::from(owner as u8) | u32::from(holder.0) << 8
    }

    #[inline]
    fn is_with(self, owner: Owner, holder: Member) -> bool {
        self.0 & 0xffff == Self::with(owner, holder)
    }

    #[inline]
    fn is_owned_by(self, owner: Owner) -> bool {
        self.0.to_le_bytes()[0] == owner as u8
    }

    #[inline]
    fn charged(self) -> Member {
        Member(self.0.to_le_bytes()[2])
    }

    fn owner(self) -> Owner {
        let owner = |&owner: &Owner| self.is_owned_by(owner);
        Owner::ALL
            .into_iter()
            .find(owner)
            .expect("records are made of owners")
    }
}

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

/// Chunks charged to each queue, and frames that came back unsent.
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
        let record = Record::new(Owner::Pool, Member::NONE, Member::NONE);
        Self {
            records: (0..chunks).map(|_| Cell::new(record)).collect(),
            charges: Box::new(Charges {
                chunks: [const { Cell::new(0) }; 256],
                discarded: [const { Cell::new(0) }; 256],
            }),
        }
    }

    /// Pool → fill ring of `member`, to which the caller
    /// [charges](Self::charge) what it lends.
    #[inline]
    pub(crate) fn lend(&self, chunk: u32, member: Member) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::new(Owner::Fill, member, member));
    }

    /// Charges `chunks` more to `member`.
    #[inline]
    pub(crate) fn charge(&self, member: Member, chunks: u32) {
        let charge = &self.charges.chunks[member.place()];
        charge.set(charge.get() + chunks);
    }

    /// Fill ring of `member` → application.
    #[inline]
    pub(crate) fn receive(&self, chunk: u32, member: Member) -> Result<Claim, Violation> {
        let cell = self.lent(chunk, member)?;
        cell.set(Record::new(Owner::Application, Member::NONE, member));
        Ok(Claim(chunk))
    }

    /// Fill ring of `member` → pool, for a frame that nobody gets.
    pub(crate) fn take_back(&self, chunk: u32, member: Member) -> Result<(), Violation> {
        let cell = self.lent(chunk, member)?;
        cell.set(Record::new(Owner::Pool, Member::NONE, Member::NONE));
        self.drop_charge(member);
        Ok(())
    }

    /// Fill ring of `member` → nobody, for good.
    pub(crate) fn quarantine(&self, chunk: u32, member: Member) -> Result<(), Violation> {
        let cell = self.lent(chunk, member)?;
        cell.set(Record::new(Owner::Quarantined, Member::NONE, Member::NONE));
        self.drop_charge(member);
        Ok(())
    }

    /// Pool → application. Charged to no queue until it is sent.
    #[inline]
    pub(crate) fn allocate(&self, chunk: u32) -> Claim {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::new(Owner::Application, Member::NONE, Member::NONE));
        Claim(chunk)
    }

    /// Application → TX ring of `member`. Gives whether the frame was made by
    /// the application, not received; `member` is charged for those.
    #[inline]
    pub(crate) fn transmit(&self, claim: &Claim, member: Member) -> bool {
        let cell = self.expect(claim.0, Owner::Application);
        let mut charged = cell.get().charged();
        let made = charged == Member::NONE;
        if made {
            charged = member;
            self.charge(member, 1);
        }
        cell.set(Record::new(Owner::Transmit, member, charged));
        made
    }

    /// TX ring of `member` → pool.
    #[inline]
    pub(crate) fn complete(&self, chunk: u32, member: Member) -> Result<(), Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(Owner::Transmit, member) {
            return Err(Violation);
        }
        cell.set(Record::new(Owner::Pool, Member::NONE, Member::NONE));
        self.drop_charge(record.charged());
        Ok(())
    }

    /// Application → pool.
    #[inline]
    pub(crate) fn recycle(&self, claim: &Claim) {
        let cell = self.expect(claim.0, Owner::Application);
        self.drop_charge(cell.get().charged());
        cell.set(Record::new(Owner::Pool, Member::NONE, Member::NONE));
    }

    /// Counts the frame as dropped by the application.
    #[inline]
    pub(crate) fn count_discard(&self, claim: &Claim) {
        let charged = self.expect(claim.0, Owner::Application).get().charged();
        let discarded = &self.charges.discarded[charged.place()];
        discarded.set(discarded.get() + 1);
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self, claim: &Claim) -> bool {
        self.expect(claim.0, Owner::Application).get().charged() == Member::NONE
    }

    /// Application → application, on any thread.
    pub(crate) fn detach(&self, claim: &Claim) {
        let cell = self.expect(claim.0, Owner::Application);
        let charged = cell.get().charged();
        cell.set(Record::new(Owner::Detached, Member::NONE, charged));
    }

    /// Application on any thread → application.
    pub(crate) fn attach(&self, chunk: u32) -> Claim {
        let cell = self.expect(chunk, Owner::Detached);
        let charged = cell.get().charged();
        cell.set(Record::new(Owner::Application, Member::NONE, charged));
        Claim(chunk)
    }

    /// Whether the kernel has `chunk` of `member` as `owner`, `Fill` or
    /// `Transmit`: then no frame has it.
    pub(crate) fn is_with(&self, chunk: u32, owner: Owner, member: Member) -> bool {
        let record = self.records.get(chunk as usize);
        record.is_some_and(|cell| cell.get().is_with(owner, member))
    }

    /// Ends what the kernel has of `member` as `owner`, `Fill` or `Transmit`,
    /// and hands each chunk to `end` after its charge is gone.
    pub(crate) fn close(&self, member: Member, owner: Owner, to: Owner, mut end: impl FnMut(u32)) {
        for (chunk, cell) in (0..).zip(&self.records) {
            let record = cell.get();
            if record.is_with(owner, member) {
                self.drop_charge(record.charged());
                cell.set(Record::new(to, Member::NONE, Member::NONE));
                end(chunk);
            }
        }
    }

    /// Chunks charged to `member`.
    #[inline]
    pub(crate) fn charged(&self, member: Member) -> u32 {
        self.charges.chunks[member.place()].get()
    }

    /// Received frames charged to `member` that the application dropped.
    pub(crate) fn discarded(&self, member: Member) -> u64 {
        self.charges.discarded[member.place()].get()
    }

    /// The owner of every chunk, and whether the chunk is charged to a queue.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (Owner, bool)> + '_ {
        self.records.iter().map(|cell| {
            let record = cell.get();
            (record.owner(), record.charged() != Member::NONE)
        })
    }

    /// The record of a chunk that the kernel says it has from the fill ring of
    /// `member`.
    #[inline]
    fn lent(&self, chunk: u32, member: Member) -> Result<&Cell<Record>, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if cell.get() == Record::new(Owner::Fill, member, member) {
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
    fn drop_charge(&self, member: Member) {
        if member != Member::NONE {
            let charge = &self.charges.chunks[member.place()];
            charge.set(charge.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Member = Member(0);
    const B: Member = Member(1);

    fn lend(ledger: &Ledger, chunk: u32, member: Member) {
        ledger.lend(chunk, member);
        ledger.charge(member, 1);
    }

    #[test]
    fn chunk_the_kernel_never_had_is_a_violation() {
        let ledger = Ledger::new(2);

        assert!(ledger.receive(0, A).is_err());
        assert_eq!(ledger.complete(1, A), Err(Violation));
        assert!(ledger.receive(2, A).is_err(), "beyond the UMEM");
    }

    #[test]
    fn chunk_named_twice_is_received_once() {
        let ledger = Ledger::new(1);
        lend(&ledger, 0, A);

        assert!(ledger.receive(0, A).is_ok());
        assert!(ledger.receive(0, A).is_err());
    }

    #[test]
    fn chunk_of_another_queue_is_a_violation() {
        let ledger = Ledger::new(1);
        lend(&ledger, 0, A);

        assert!(ledger.receive(0, B).is_err());
        let claim = ledger.receive(0, A).expect("lent to A");
        ledger.transmit(&claim, B);
        assert_eq!(ledger.complete(0, A), Err(Violation));
        assert_eq!(ledger.complete(0, B), Ok(()));
    }

    #[test]
    fn charge_stays_with_the_receiving_queue_until_the_pool_has_the_chunk() {
        let ledger = Ledger::new(2);
        lend(&ledger, 0, A);
        let claim = ledger.receive(0, A).expect("lent to A");
        ledger.transmit(&claim, B);
        assert_eq!((ledger.charged(A), ledger.charged(B)), (1, 0));

        ledger.complete(0, B).expect("sent by B");
        assert_eq!((ledger.charged(A), ledger.charged(B)), (0, 0));

        let claim = ledger.allocate(1);
        assert!(ledger.transmit(&claim, B), "made, not received");
        assert_eq!((ledger.charged(A), ledger.charged(B)), (0, 1));
    }

    #[test]
    fn closing_strands_what_the_kernel_has_of_that_queue_only() {
        let ledger = Ledger::new(3);
        lend(&ledger, 0, A);
        lend(&ledger, 1, B);
        let claim = ledger.allocate(2);
        ledger.transmit(&claim, A);

        ledger.close(A, Owner::Fill, Owner::Stranded, |_| ());
        ledger.close(A, Owner::Transmit, Owner::Stranded, |_| ());

        let owners: Vec<_> = ledger.owners().map(|(owner, _)| owner).collect();
        assert_eq!(owners, [Owner::Stranded, Owner::Fill, Owner::Stranded]);
    }

    #[test]
    #[should_panic(expected = "moves only from the owner")]
    fn our_own_mistake_panics() {
        let ledger = Ledger::new(1);
        let claim = ledger.allocate(0);
        ledger.recycle(&claim);

        ledger.recycle(&claim);
    }
}
