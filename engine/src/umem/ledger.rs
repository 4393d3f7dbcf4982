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
//! may say there is checked against the queue, a [`Group`], and whose frame it
//! was is read off the record, a [`Member`].
//!
//! ```text
//!            lend              receive             transmit
//!   Pool ───────────► Fill ───────────► Application ───────────► Transmit
//!    ▲ ▲                                  │      ▲                 │ │
//!    │ └────────────── recycle ───────────┘      │ detach, attach  │ │ strand
//!    │ ◄───────────── recycle ──── Detached ◄────┘                 │ ▼
//!    └──────────────────────── complete ───────────────────────────┴ Stranded
//! ```

use std::cell::Cell;

/// An xsk among those that share a UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member(u8);

impl Member {
    /// Xsks that can share a UMEM.
    pub(crate) const MAX: u8 = u8::MAX;
    /// Stands for no xsk.
    pub(crate) const NONE: Self = Self(u8::MAX);

    pub(crate) fn new(number: u8) -> Option<Self> {
        (number < Self::MAX).then_some(Self(number))
    }

    /// Its place in arrays of [`Charges`]' length.
    #[inline]
    fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// A queue among those that share a UMEM, with all its xsks. It goes by the name
/// of its first xsk, which is never used again, so it may outlive that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(u8);

impl Group {
    /// Stands for no queue.
    const NONE: Self = Self(Member::NONE.0);

    /// The queue that `first` was the first to be bound to.
    pub(crate) fn of_first(Member(first): Member) -> Self {
        Self(first)
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
    /// The kernel still had it when its xsk closed.
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
    /// `Transmit`; `charged` is the queue that the chunk counts against; `member`
    /// is the xsk that received it, for `Application` and `Detached`, or sends
    /// it, for `Transmit`.
    #[inline]
    fn new(owner: Owner, holder: Group, charged: Group, member: Member) -> Self {
        Self(Self::with(owner, holder) | u32::from(charged.0) << 16 | u32::from(member.0) << 24)
    }

    /// The record of a chunk that is with `owner` and concerns no queue.
    #[inline]
    fn bare(owner: Owner) -> Self {
        Self::new(owner, Group::NONE, Group::NONE, Member::NONE)
    }

    #[inline]
    fn lent(group: Group) -> Self {
        Self::new(Owner::Fill, group, group, Member::NONE)
    }

    #[inline]
    fn with(owner: Owner, holder: Group) -> u32 {
        u32::from(owner as u8) | u32::from(holder.0) << 8
    }

    #[inline]
    fn is_with(self, owner: Owner, holder: Group) -> bool {
        self.0 & 0xffff == Self::with(owner, holder)
    }

    #[inline]
    fn is_owned_by(self, owner: Owner) -> bool {
        self.0.to_le_bytes()[0] == owner as u8
    }

    #[inline]
    fn is_sent_by(self, member: Member) -> bool {
        self.is_owned_by(Owner::Transmit) && self.member() == member
    }

    #[inline]
    fn holder(self) -> Group {
        Group(self.0.to_le_bytes()[1])
    }

    #[inline]
    fn charged(self) -> Group {
        Group(self.0.to_le_bytes()[2])
    }

    #[inline]
    fn member(self) -> Member {
        Member(self.0.to_le_bytes()[3])
    }

    fn owner(self) -> Owner {
        let owner = |&owner: &Owner| self.is_owned_by(owner);
        Owner::ALL
            .into_iter()
            .find(owner)
            .expect("records are made of owners")
    }
}

/// An xsk of a queue, with the records of the chunks it receives and sends made
/// beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) group: Group,
    pub(crate) member: Member,
    lent: Record,
    received: Record,
    /// Charged to queue 0: the charge is added.
    transmitted: Record,
}

impl Seat {
    pub(crate) fn new(group: Group, member: Member) -> Self {
        Self {
            group,
            member,
            lent: Record::lent(group),
            received: Record::new(Owner::Application, Group::NONE, group, member),
            transmitted: Record::new(Owner::Transmit, group, Group(0), member),
        }
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

    /// Pool → fill ring of `group`, to which the caller
    /// [charges](Self::charge) what it lends.
    #[inline]
    pub(crate) fn lend(&self, chunk: u32, group: Group) {
        let cell = self.expect(chunk, Owner::Pool);
        cell.set(Record::lent(group));
    }

    /// Charges `chunks` more to `group`.
    #[inline]
    pub(crate) fn charge(&self, group: Group, chunks: u32) {
        let charge = &self.charges.chunks[group.place()];
        charge.set(charge.get() + chunks);
    }

    /// Fill ring of its queue → application, received by the xsk at `seat`.
    #[inline]
    pub(crate) fn receive(&self, chunk: u32, seat: &Seat) -> Result<Claim, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        if cell.get() != seat.lent {
            return Err(Violation);
        }
        cell.set(seat.received);
        Ok(Claim(chunk))
    }

    /// Fill ring of `group` → pool, for a frame that nobody gets.
    pub(crate) fn take_back(&self, chunk: u32, group: Group) -> Result<(), Violation> {
        let cell = self.lent(chunk, group)?;
        cell.set(Record::bare(Owner::Pool));
        self.drop_charge(group);
        Ok(())
    }

    /// Fill ring of `group` → nobody, for good.
    pub(crate) fn quarantine(&self, chunk: u32, group: Group) -> Result<(), Violation> {
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
    pub(crate) fn transmit(&self, claim: &Claim, seat: &Seat) -> bool {
        let cell = self.expect(claim.0, Owner::Application);
        let mut charged = cell.get().charged();
        let made = charged == Group::NONE;
        if made {
            charged = seat.group;
            self.charge(charged, 1);
        }
        cell.set(Record(seat.transmitted.0 | u32::from(charged.0) << 16));
        made
    }

    /// TX ring of a member of `group` → pool. Gives the member.
    #[inline]
    pub(crate) fn complete(&self, chunk: u32, group: Group) -> Result<Member, Violation> {
        let cell = self.records.get(chunk as usize).ok_or(Violation)?;
        let record = cell.get();
        if !record.is_with(Owner::Transmit, group) {
            return Err(Violation);
        }
        cell.set(Record::bare(Owner::Pool));
        self.drop_charge(record.charged());
        Ok(record.member())
    }

    /// Stranded in the TX ring of a member of `group` → pool: the kernel had
    /// taken the frame before the member closed, and is done with it now.
    #[cold]
    pub(crate) fn complete_stranded(&self, chunk: u32, group: Group) -> Result<(), Violation> {
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

    /// Counts the frame as dropped by the application.
    #[inline]
    pub(crate) fn count_discard(&self, claim: &Claim) {
        let member = self.expect(claim.0, Owner::Application).get().member();
        let discarded = &self.charges.discarded[member.place()];
        discarded.set(discarded.get() + 1);
    }

    /// Whether the application made the frame, rather than received it.
    pub(crate) fn is_made(&self, claim: &Claim) -> bool {
        self.expect(claim.0, Owner::Application).get().charged() == Group::NONE
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
    pub(crate) fn is_lent(&self, chunk: u32, group: Group) -> bool {
        self.lent(chunk, group).is_ok()
    }

    /// Whether the kernel has `chunk` in the TX ring of `member`: then no frame
    /// has it.
    pub(crate) fn is_transmitted(&self, chunk: u32, member: Member) -> bool {
        let sends = |record: Record| record.is_sent_by(member);
        self.records
            .get(chunk as usize)
            .is_some_and(|cell| sends(cell.get()))
    }

    /// Ends what the kernel has from the fill ring of `group`: makes `to` its
    /// owner, and hands each chunk to `end` after its charge is gone.
    pub(crate) fn close_fill(&self, group: Group, to: Owner, mut end: impl FnMut(u32)) {
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
    pub(crate) fn close_transmit(&self, member: Member) {
        for cell in &self.records {
            let record = cell.get();
            if record.is_sent_by(member) {
                self.drop_charge(record.charged());
                let holder = record.holder();
                cell.set(Record::new(
                    Owner::Stranded,
                    holder,
                    Group::NONE,
                    Member::NONE,
                ));
            }
        }
    }

    /// Chunks charged to `group`.
    #[inline]
    pub(crate) fn charged(&self, group: Group) -> u32 {
        self.charges.chunks[group.place()].get()
    }

    /// Frames that `member` received and the application dropped.
    pub(crate) fn discarded(&self, member: Member) -> u64 {
        self.charges.discarded[member.place()].get()
    }

    /// The owner of every chunk, and whether the chunk is charged to a queue.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (Owner, bool)> + '_ {
        self.records.iter().map(|cell| {
            let record = cell.get();
            (record.owner(), record.charged() != Group::NONE)
        })
    }

    /// The record of a chunk that the kernel says it has from the fill ring of
    /// `group`.
    #[inline]
    fn lent(&self, chunk: u32, group: Group) -> Result<&Cell<Record>, Violation> {
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
    fn drop_charge(&self, group: Group) {
        if group != Group::NONE {
            let charge = &self.charges.chunks[group.place()];
            charge.set(charge.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests;
