//! What the xsks of one NIC queue share: its fill ring and its completion ring,
//! the limit on its chunks, and the accounts that go with them.
//!
//! The kernel has one of each ring per queue, whichever of its xsks a frame goes to
//! or comes from. So a chunk is posted for the queue, and nobody knows for which xsk
//! until it is received: the limit on chunks and the floor of the fill ring are
//! the queue's. A completion is the queue's too, and whoever takes it settles it
//! for the xsk that sent the frame, as the ledger knows.
//!
//! What the application holds is known by xsk, and so is the limit on that.
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
use crate::memory::Frame;
use crate::memory::crossing::CompletedChunk;
use crate::memory::ledger::{QueueId, Record, XskId, XskRecords};
use crate::memory::limits::{ChunkLimits, Extent};
use crate::memory::shares::Share;
use crate::memory::{LimitPolicy, Limits, LimitsError, UmemState};

/// A NIC queue that has an xsk, or is about to.
pub(crate) struct QueueState {
    umem: Rc<UmemState>,
    /// Those of the first xsk, which the queue has its number from.
    records: XskRecords,
    fill: RefCell<FillRing>,
    completion: RefCell<CompletionRing>,
    /// The chunks that the queue may have.
    share: Rc<Share>,
    /// Entries of the fill ring.
    fill_entries: u32,
    /// Xsks that the queue may come to have.
    most_xsks: u32,
    /// Frames in RX rings that the application may not have yet, in chunks.
    held_back: Cell<u32>,
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
    /// The most chunks that the application may hold, as asked for.
    most_held: Cell<Option<u32>>,
    /// Whether that is limited, be it because the queue has other xsks.
    limits_held: Cell<bool>,
    policy: Cell<LimitPolicy>,
    /// Of the queue's chunks that are held back, those in this xsk's RX ring.
    held_back: Cell<u32>,
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
        receives: bool,
    ) -> Result<Rc<Self>, LimitsError> {
        let records = XskRecords::new(QueueId::of_first(first), first);
        let fill_entries = config.shared_entries();
        let limits = config.limits.in_chunks(&extent(umem, fill_entries))?;
        let (floor, ledger) = (config.usual_floor(), &umem.ledger);
        let share = (umem.shares).join(records.queue, &limits, floor, receives, ledger)?;
        Ok(Rc::new(Self {
            umem: Rc::clone(umem),
            records,
            fill: RefCell::new(fill),
            completion: RefCell::new(completion),
            share,
            fill_entries,
            most_xsks: u32::from(config.xsks.max(1)),
            held_back: Cell::new(0),
            posted: Cell::new(0),
            returned: Cell::new(0),
            run: Cell::new(Record::NEVER),
            members: RefCell::new(Members::default()),
        }))
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
            most_held: Cell::new(None),
            limits_held: Cell::new(self.most_xsks > 1),
            policy: Cell::default(),
            held_back: Cell::new(0),
        })
    }

    /// What `limits` are in chunks, for this queue.
    pub(super) fn in_chunks(&self, limits: &Limits) -> Result<ChunkLimits, LimitsError> {
        limits.in_chunks(&extent(&self.umem, self.fill_entries))
    }

    pub(super) fn umem(&self) -> &Rc<UmemState> {
        &self.umem
    }

    pub(super) fn id(&self) -> QueueId {
        self.records.queue
    }

    /// Notes whether frames come in on the queue: see [`Shares`](crate::memory::shares).
    pub(super) fn set_receives(&self, receives: bool) {
        self.umem.shares.set_receives(&self.share, receives);
    }

    /// Chunks that may be charged to the queue now.
    pub(super) fn limit(&self) -> u32 {
        self.share.limit()
    }

    /// Chunks that stay with the kernel to receive into.
    pub(super) fn floor(&self) -> u32 {
        self.share.floor()
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
        let wanted = self.room().min(self.umem.postable_chunks());
        let wanted = fill.free(wanted).min(wanted);
        if wanted == 0 {
            self.ask_for_more();
            return 0;
        }
        let posted = self.post_through(&mut fill, wanted);
        self.posted.set(self.posted.get() + u64::from(posted));
        posted
    }

    /// Sees to it that the queue gets its share as soon as others can spare it.
    fn ask_for_more(&self) {
        if self.umem.shares.is_uneven() {
            self.umem.shares.even_out(&self.umem.ledger);
        }
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
        self.limit().saturating_sub(self.charged())
    }

    /// Received chunks that the application could have now: so many that the floor can
    /// stay with the kernel.
    fn spare(&self) -> u32 {
        let free = self.room().min(self.umem.postable_chunks());
        let reach = self.with_kernel() + u64::from(free);
        let spare = reach.saturating_sub(self.floor().into());
        u32::try_from(spare).unwrap_or(u32::MAX)
    }

    /// Chunks that the kernel lacks to receive into, and that only come back if frames
    /// are dropped that are held back.
    fn lacking(&self) -> u32 {
        self.held_back.get().saturating_sub(self.spare())
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
            || self.charged() > self.limit()
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
            CompletedChunk::Returned(record, cookie, frame) => {
                all.frames += 1 + self.complete_returning(ring, record, cookie, frame);
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

    /// As [`complete_tagged`](Self::complete_tagged), for frames that come back.
    fn complete_returning(
        &self,
        ring: &mut CompletionRing,
        record: Record,
        cookie: u64,
        frame: Frame,
    ) -> u32 {
        let members = self.members.borrow();
        let Some(log) = members.completions_of(record.xsk()) else {
            return 0;
        };
        log.push_frame(cookie, Outcome::Sent, frame);
        // It has a place for each chunk that is in transmit.
        let most = self.umem.free_space();
        let chunks = ring.take(most, |addr, _| {
            let returned = self.umem.take_returned(addr, record);
            returned.is_some_and(|(cookie, frame)| {
                log.push_frame(cookie, Outcome::Sent, frame);
                true
            })
        });
        self.umem.end_returned_run(record, chunks)
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
        self.umem.shares.leave(self.id(), &self.umem.ledger);
    }
}

/// What limits on a queue of `umem` are judged by.
pub(super) fn extent(umem: &UmemState, fill_entries: u32) -> Extent {
    Extent {
        chunk_size: umem.geometry.chunk_size(),
        chunks: umem.geometry.usable(),
        fill_entries,
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

    /// Whether the queue's share suffices for such limits.
    pub(super) fn check_limits(&self, limits: &ChunkLimits) -> Result<(), LimitsError> {
        let (umem, share) = (&self.queue.umem, &self.queue.share);
        umem.shares.check(share, limits, &umem.ledger)
    }

    /// Limits the queue and this xsk.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if the queue's share does not suffice for that.
    pub(super) fn set_limits(&self, limits: &ChunkLimits) -> Result<(), LimitsError> {
        let (umem, share) = (&self.queue.umem, &self.queue.share);
        umem.shares.set(share, limits, &umem.ledger)?;
        self.set_own_limits(limits);
        Ok(())
    }

    /// Limits this xsk.
    pub(super) fn set_own_limits(&self, limits: &ChunkLimits) {
        self.most_held.set(limits.held);
        if limits.held.is_some() || self.queue.most_xsks > 1 {
            self.limits_held.set(true);
            self.queue.share.watch();
        } else {
            self.limits_held.set(false);
        }
        self.policy.set(limits.policy);
    }

    pub(super) fn policy(&self) -> LimitPolicy {
        self.policy.get()
    }

    /// The most chunks that the application may hold of this xsk. An equal part for each
    /// where the queue has several, so that none can starve the others.
    pub(super) fn most_held(&self) -> u32 {
        let (limit, floor) = (self.queue.limit(), self.queue.floor());
        let part = limit.saturating_sub(floor) / self.queue.most_xsks;
        self.most_held
            .get()
            .map_or(part, |most| most.min(part))
            .max(1)
    }

    /// Chunks that the application holds of those that the xsk received.
    pub(super) fn held(&self) -> u32 {
        self.queue.umem.ledger.held(self.records.xsk)
    }

    /// How many of the `ready` received chunks the application may have now.
    #[inline]
    pub(super) fn deliverable(&self, ready: u32) -> u32 {
        let queue = &self.queue;
        // Mostly the kernel keeps enough, whatever becomes of these, and nothing else is
        // limited.
        if queue.with_kernel() >= queue.share.easy_floor() + u64::from(ready) {
            return ready;
        }
        ready.min(self.deliverable_at_most())
    }

    #[cold]
    fn deliverable_at_most(&self) -> u32 {
        let queue = &self.queue;
        let elsewhere = queue.held_back.get() - self.held_back.get();
        let spare = queue.spare().saturating_sub(elsewhere);
        if self.limits_held.get() {
            spare.min(self.most_held().saturating_sub(self.held()))
        } else {
            spare
        }
    }

    /// Whether the application gave back so much that the limit counts as reached again
    /// the next time: an eighth of what it may hold.
    pub(super) fn is_relieved(&self) -> bool {
        self.deliverable_at_most() > self.most_held() / 8
    }

    /// Notes that the application may not have `chunks` of those in the RX ring yet.
    /// Returns how many of them have to be dropped, so that the kernel has its floor.
    pub(super) fn hold_back(&self, chunks: u32) -> u32 {
        let before = self.held_back.replace(chunks);
        let others = self.queue.held_back.get() - before;
        self.queue.held_back.set(others + chunks);
        self.queue.lacking().min(chunks)
    }

    /// Of the chunks in the RX ring, those that the application could not have last time.
    pub(super) fn held_back(&self) -> u32 {
        self.held_back.get()
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
        self.hold_back(0);
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
