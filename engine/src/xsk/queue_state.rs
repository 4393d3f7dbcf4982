//! What the xsks of one NIC queue share: its fill ring and its completion ring,
//! the limit on its chunks, and the accounts that go with them.
//!
//! The kernel has one of each ring per queue, whichever of its xsks a frame goes to
//! or comes from. So a chunk is posted for the queue, and nobody knows for which xsk
//! until it is received: the limit on chunks and the floor of the fill ring are
//! the queue's. A completion is the queue's too, and whoever takes it settles it
//! for the xsk that sent the frame, as the ledger knows.
//!
//! The two rings are mapped through the socket of one xsk, which keeps it open; when
//! that xsk goes, through another's. They live until the last xsk goes.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::completions::{Log, Outcome};
use super::config::XskConfig;
use super::ring::{CompletionRing, FillRing};
use super::rings::{remap_completion, remap_fill};
use crate::kernel::XskIndex;
use crate::memory::UmemState;
use crate::memory::crossing::CompletedChunk;
use crate::memory::ledger::{QueueId, Record, XskId, XskRecords};

/// A NIC queue that has an xsk, or is about to.
pub(crate) struct QueueState {
    umem: Rc<UmemState>,
    /// Those of the first xsk, which the queue has its number from.
    records: XskRecords,
    fill: RefCell<FillRing>,
    completion: RefCell<CompletionRing>,
    /// Chunks that may be charged to the queue.
    limit: Cell<u32>,
    /// Chunks that stay with the kernel to receive into.
    floor: Cell<u32>,
    /// Those that were asked for, of which half the limit is the most.
    fill_floor: u32,
    /// Chunks ever posted.
    posted: Cell<u64>,
    /// Posted chunks that came back.
    returned: Cell<u64>,
    /// The record of the chunks that complete now, as far as they come in a row.
    run: Cell<Record>,
    members: RefCell<Members>,
}

/// An xsk's part in its queue. The xsk leaves the queue as it drops.
pub(crate) struct Membership {
    queue: Rc<QueueState>,
    index: XskIndex,
    records: XskRecords,
    /// `None` for a simulated xsk.
    socket: Option<Rc<OwnedFd>>,
    completions: Rc<Log>,
}

/// What one look at the completion ring found.
#[derive(Clone, Copy, Default)]
pub(super) struct Completed {
    /// Frames of any xsk of the queue, closed ones left out.
    pub(super) frames: u32,
    /// Entries that failed a check.
    pub(super) invalid: u32,
}

impl QueueState {
    /// A queue whose first xsk has the number `first`, and through whose socket the
    /// rings are mapped.
    pub(super) fn new(
        umem: &Rc<UmemState>,
        first: XskId,
        fill: FillRing,
        completion: CompletionRing,
        config: &XskConfig,
    ) -> Rc<Self> {
        let limit = config.chunk_limit.unwrap_or(u32::MAX);
        Rc::new(Self {
            umem: Rc::clone(umem),
            records: XskRecords::new(QueueId::of_first(first), first),
            fill: RefCell::new(fill),
            completion: RefCell::new(completion),
            limit: Cell::new(limit),
            floor: Cell::new(config.fill_floor.min(limit / 2)),
            fill_floor: config.fill_floor,
            posted: Cell::new(0),
            returned: Cell::new(0),
            run: Cell::new(Record::NEVER),
            members: RefCell::new(Members::default()),
        })
    }

    /// Adds an xsk, at the lowest index that is free.
    pub(super) fn join(
        self: &Rc<Self>,
        xsk: XskId,
        socket: Option<Rc<OwnedFd>>,
        config: &XskConfig,
    ) -> Rc<Membership> {
        let completions = Log::new(config.interface, config.completion_places());
        let (log, fd) = (Rc::clone(&completions), socket.clone());
        let index = self.members.borrow_mut().join(xsk, fd, log);
        Rc::new(Membership {
            queue: Rc::clone(self),
            index,
            records: XskRecords::new(self.id(), xsk),
            socket,
            completions,
        })
    }

    pub(super) fn umem(&self) -> &Rc<UmemState> {
        &self.umem
    }

    pub(super) fn id(&self) -> QueueId {
        self.records.queue
    }

    /// Charges up to `limit` chunks to the queue from now on. Those beyond come back as
    /// frames arrive.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.set(limit);
        self.floor.set(self.fill_floor.min(limit / 2));
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Whether the fill ring has room.
    #[inline]
    pub(super) fn may_post(&self) -> bool {
        self.fill.borrow_mut().free(1) > 0
    }

    /// Posts as many chunks as the fill ring, the limit and the pool allow, and
    /// returns their number.
    pub(super) fn post(&self) -> u32 {
        let mut fill = self.fill.borrow_mut();
        let wanted = self.room().min(self.umem.free_chunks());
        let wanted = fill.free(wanted).min(wanted);
        if wanted == 0 {
            return 0;
        }
        let posted = self.post_through(&mut fill, wanted);
        self.posted.set(self.posted.get() + u64::from(posted));
        posted
    }

    /// A function of its own, so that the compiler knows that nobody else sees
    /// the ring.
    #[inline(never)]
    fn post_through(&self, ring: &mut FillRing, wanted: u32) -> u32 {
        let mut posted = 0;
        // Twice where the ring begins anew.
        while posted < wanted {
            let row = ring.begin_row(wanted - posted);
            let taken = self.umem.post(&self.records, row, |chunks, posting| {
                ring.give(chunks, |chunk| posting.post(chunk));
            });
            if taken == 0 {
                break;
            }
            posted += taken;
        }
        ring.publish();
        posted
    }

    pub(super) fn fill_wants_wakeup(&self) -> bool {
        self.fill.borrow().wants_wakeup()
    }

    /// Notes that `chunks` more of those posted came back.
    #[inline]
    pub(super) fn note_returned(&self, chunks: u64) {
        self.returned.set(self.returned.get() + chunks);
    }

    /// As if so many had been posted and come back before.
    #[cfg(test)]
    pub(super) fn count_as_posted_and_returned(&self, chunks: u64) {
        self.posted.set(self.posted.get() + chunks);
        self.returned.set(self.returned.get() + chunks);
    }

    /// Chunks posted that have not come back.
    #[inline]
    pub(super) fn with_kernel(&self) -> u64 {
        self.posted.get() - self.returned.get()
    }

    /// Chunks that may still be charged. Frames that the application made are
    /// charged when it sends them, whatever the limit.
    #[inline]
    pub(super) fn room(&self) -> u32 {
        self.limit.get().saturating_sub(self.charged())
    }

    /// How many of the `ready` received frames the application may have now: so many
    /// that the floor can stay with the kernel.
    #[inline]
    pub(super) fn deliverable(&self, ready: u32) -> u32 {
        // Mostly the kernel keeps enough, whatever becomes of these.
        if self.with_kernel() >= u64::from(self.floor.get()) + u64::from(ready) {
            return ready;
        }
        ready.min(self.deliverable_at_most())
    }

    #[cold]
    fn deliverable_at_most(&self) -> u32 {
        let spare = self.room().min(self.umem.free_chunks());
        let reach = self.with_kernel() + u64::from(spare);
        let deliverable = reach.saturating_sub(u64::from(self.floor.get()));
        u32::try_from(deliverable).unwrap_or(u32::MAX)
    }

    /// Chunks charged to the queue.
    #[inline]
    pub(super) fn charged(&self) -> u32 {
        self.umem.ledger.charged(self.id())
    }

    /// Takes back the chunks of all frames that the kernel is done with.
    #[inline]
    pub(super) fn complete(&self) -> Completed {
        let mut ring = self.completion.borrow_mut();
        if ring.available() == 0 {
            return Completed::default();
        }
        self.complete_from(&mut ring)
    }

    /// As [`complete`](Self::complete), and posts chunks that are charged to this queue
    /// again at once, as far as its fill ring and its limit allow: what is sent on the
    /// queue that it came from need not go through the pool.
    #[inline]
    pub(super) fn complete_and_post(&self) -> Completed {
        let mut ring = self.completion.borrow_mut();
        if ring.available() == 0 {
            return Completed::default();
        }
        let frames = self.complete_to(&mut ring, &mut self.fill.borrow_mut());
        if ring.known_available() == 0 {
            ring.release();
            return Completed { frames, invalid: 0 };
        }
        let mut completed = self.complete_from(&mut ring);
        completed.frames += frames;
        completed
    }

    /// Takes back chunks that go on the run, and posts them. Returns their number.
    #[inline(never)]
    fn complete_to(&self, ring: &mut CompletionRing, fill: &mut FillRing) -> u32 {
        let record = self.run.get();
        if record.charged() != self.id()
            || self.umem.geometry.is_unaligned()
            || self.charged() > self.limit.get()
        {
            return 0;
        }
        let wanted = ring.begin_row(u32::MAX);
        if fill.free(wanted) == 0 {
            return 0;
        }
        fill.begin_row(wanted);
        let (run, posted) = (self.umem.begin_run(record), self.records.posted);
        let chunks = ring.take_to(fill, |addr| run.post_aligned(addr, posted));
        self.umem.end_posted_run(record, chunks);
        self.posted.set(self.posted.get() + u64::from(chunks));
        fill.publish();
        chunks
    }

    /// A function of its own, so that the compiler knows that nobody else sees
    /// the ring.
    #[inline(never)]
    fn complete_from(&self, ring: &mut CompletionRing) -> Completed {
        let mut all = Completed::default();
        let mut record = self.run.get();
        let is_unaligned = self.umem.geometry.is_unaligned();
        while ring.known_available() > 0 {
            // Twice where the ring begins anew.
            ring.begin_row(u32::MAX);
            loop {
                let (run, space) = (self.umem.begin_run(record), self.umem.free_space());
                let chunks = if is_unaligned {
                    ring.take(space, |addr, free| run.take(addr, free))
                } else {
                    ring.take(space, |addr, free| run.take_aligned(addr, free))
                };
                all.frames += self.umem.end_run(record, chunks);
                if ring.row_left() == 0 {
                    break;
                }
                // What is not of the run, one by one; it may begin another.
                record = self.complete_one(ring, &mut all);
            }
        }
        self.run.set(record);
        ring.release();
        all
    }

    /// Takes back the next chunk of the row, and returns the record of the run that it
    /// begins.
    #[cold]
    #[inline(never)]
    fn complete_one(&self, ring: &mut CompletionRing, all: &mut Completed) -> Record {
        let mut next = None;
        ring.take(&[()], |addr, ()| next.replace(addr).is_none());
        let Some(addr) = next else {
            return Record::NEVER;
        };
        match self.umem.complete(addr, self.id()) {
            CompletedChunk::Frame(record) => {
                all.frames += 1;
                return record;
            }
            CompletedChunk::Tagged(record, cookie) => {
                all.frames += 1 + self.complete_tagged(ring, record, cookie);
            }
            CompletedChunk::Returned(xsk, cookie, frame) => {
                all.frames += 1;
                if let Some(log) = self.members.borrow().completions_of(xsk) {
                    log.push_frame(cookie, Outcome::Sent, frame);
                }
            }
            CompletedChunk::Part | CompletedChunk::Stranded => {}
            CompletedChunk::Violation => all.invalid += 1,
        }
        Record::NEVER
    }

    /// Reports `cookie` to the xsk of `record`, and then those of the chunks that go on
    /// a run with that, which it takes back. Returns their number.
    fn complete_tagged(&self, ring: &mut CompletionRing, record: Record, cookie: u64) -> u32 {
        let members = self.members.borrow();
        // Only an xsk that the queue has can have sent it: an xsk that goes takes its
        // chunks out of transmit.
        let Some(log) = members.completions_of(record.xsk()) else {
            return 0;
        };
        log.push(cookie, Outcome::Sent);
        let (run, space) = (self.umem.begin_run(record), self.umem.free_space());
        let cookies = self.umem.tags.cookies();
        let report = |free: &Cell<u32>| {
            log.push(cookies[free.get() as usize].get(), Outcome::Sent);
            true
        };
        let chunks = if self.umem.geometry.is_unaligned() {
            ring.take(space, |addr, free| run.take(addr, free) && report(free))
        } else {
            ring.take(space, |addr, free| {
                run.take_aligned(addr, free) && report(free)
            })
        };
        self.umem.end_run(record, chunks)
    }

    /// Entries that wait in the completion ring.
    pub(super) fn completions_available(&self) -> u32 {
        self.completion.borrow_mut().available()
    }

    /// Xsks that the queue has now.
    pub(super) fn xsks(&self) -> usize {
        self.members.borrow().list.len()
    }

    /// A socket of an xsk that the queue has, for others to be bound through.
    pub(super) fn any_socket(&self) -> Option<Rc<OwnedFd>> {
        let members = self.members.borrow();
        members.list.iter().find_map(|member| member.socket.clone())
    }
}

impl Drop for QueueState {
    fn drop(&mut self) {
        self.umem.strand_posted(self.id());
    }
}

impl Membership {
    #[inline]
    pub(super) fn queue(&self) -> &Rc<QueueState> {
        &self.queue
    }

    pub(super) fn index(&self) -> XskIndex {
        self.index
    }

    #[inline]
    pub(super) fn completions(&self) -> &Rc<Log> {
        &self.completions
    }

    #[inline]
    pub(super) fn records(&self) -> &XskRecords {
        &self.records
    }

    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether the queue has no other xsk.
    pub(super) fn is_alone(&self) -> bool {
        self.queue.members.borrow().list.len() == 1
    }

    /// The faults of the two rings of the queue, for the first of its xsks to count.
    pub(super) fn shared_faults(&self) -> u64 {
        if self.queue.members.borrow().is_first(self.index) {
            self.queue.fill.borrow().faults() + self.queue.completion.borrow().faults()
        } else {
            0
        }
    }
}

impl Drop for Membership {
    /// Lets the socket close. The xsk's frames are written off before, but come back
    /// if the kernel completes them.
    fn drop(&mut self) {
        let QueueState {
            fill,
            completion,
            members,
            ..
        } = &*self.queue;
        let remap = |socket: &OwnedFd| {
            let fill = remap_fill(&mut fill.borrow_mut(), socket);
            remap_completion(&mut completion.borrow_mut(), socket) && fill
        };
        members.borrow_mut().leave(self.index, remap);
    }
}

/// The xsks of a queue.
#[derive(Default)]
struct Members {
    list: Vec<Member>,
    /// The one whose socket the rings are mapped through, unless that has gone.
    mapped_through: Option<XskIndex>,
}

struct Member {
    index: XskIndex,
    xsk: XskId,
    socket: Option<Rc<OwnedFd>>,
    completions: Rc<Log>,
}

impl Members {
    /// Adds an xsk at the lowest free index. The rings are mapped through the first
    /// that joins.
    fn join(&mut self, xsk: XskId, socket: Option<Rc<OwnedFd>>, completions: Rc<Log>) -> XskIndex {
        let index = (0..=u8::MAX)
            .map(XskIndex)
            .find(|index| self.list.iter().all(|member| member.index != *index))
            .expect("a UMEM has at most 255 xsks");
        if self.list.is_empty() {
            self.mapped_through = Some(index);
        }
        self.list.push(Member {
            index,
            xsk,
            socket,
            completions,
        });
        index
    }

    fn completions_of(&self, xsk: XskId) -> Option<&Log> {
        let member = self.list.iter().find(|member| member.xsk == xsk)?;
        Some(&member.completions)
    }

    /// Removes an xsk. If the rings are mapped through its socket, `remap` maps them
    /// through another; where the kernel does not allow that, the mappings stay,
    /// and the socket is open as long.
    fn leave(&mut self, index: XskIndex, remap: impl FnOnce(&OwnedFd) -> bool) {
        self.list.retain(|member| member.index != index);
        if self.mapped_through != Some(index) {
            return;
        }
        self.mapped_through = None;
        let heir = self
            .list
            .iter()
            .find_map(|member| Some((member.index, member.socket.as_deref()?)));
        if let Some((heir, socket)) = heir
            && remap(socket)
        {
            self.mapped_through = Some(heir);
        }
    }

    fn is_first(&self, index: XskIndex) -> bool {
        self.list
            .first()
            .is_some_and(|member| member.index == index)
    }
}
