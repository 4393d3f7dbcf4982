//! A UMEM: chunks of memory that packets are received into and sent from, who
//! has each of them, and the way back for those that nobody needs any more.
//!
//! A UMEM belongs to one thread; taking and dropping a frame there is a few
//! plain instructions. Frames go to other threads
//! [detached](crate::Frame::detach), and come back through a queue of returns
//! that holds every chunk, so returning never blocks and never fails.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::beside::Beside;
use super::geometry::Geometry;
use super::holders::Holders;
use super::ledger::{Claim, Ledger, Owner, QueueId, Violation, XskId};
use super::links::{Links, Next};
use super::pool::Pool;
use super::region::Region;
use super::shares::Shares;
use super::tags::Tags;
use super::{Audit, MemoryReport, UmemConfig, UmemError, budget, make};
use crate::kernel::QueueIndex;
use crate::kernel::sys::namespace::current_namespace;

/// A UMEM, with the xsks and frames that use it. A clone is another handle to the
/// same UMEM; the memory lives until the last handle, xsk and frame are gone.
#[derive(Clone)]
pub struct Umem {
    shared: Rc<UmemState>,
}

/// What all handles, xsks and frames of a UMEM share on its thread.
pub(crate) struct UmemState {
    pub(crate) ledger: Ledger,
    /// How many of the chunks each queue may have.
    pub(crate) shares: Shares,
    pub(super) pool: Pool,
    /// Where the memory begins.
    pub(super) start: NonNull<u8>,
    pub(super) holders: Holders,
    pub(crate) geometry: Geometry,
    pub(crate) tags: Tags,
    backing: Arc<BackingStore>,
    next_xsk: Cell<u8>,
    /// Chunks that are detached: the returns need no look when there are none.
    detached: Cell<u32>,
    /// The bound sockets, of which one shares its registration with the next.
    sockets: RefCell<Vec<BoundSocket>>,
    /// Whether they take frames in several chunks.
    multi_buffer: Cell<bool>,
    /// Frames of so many bytes at the most are copied if they stay.
    pub(super) copybreak: u64,
    pub(super) beside: Beside<Self>,
}

/// A bound socket of a UMEM, and where it is bound.
struct BoundSocket {
    socket: Weak<OwnedFd>,
    /// The network namespace that the socket was bound in.
    namespace: Option<u64>,
    /// The kernel's index of the interface there.
    interface: u32,
    queue: QueueIndex,
}

/// What detached frames keep alive on any thread: the memory and the way back.
#[derive(Debug)]
pub(crate) struct BackingStore {
    pub(crate) region: Region,
    pub(crate) links: Links,
    returns: ArrayQueue<u32>,
    /// `None` for memory that is not pinned.
    _reservation: Option<budget::Reservation>,
}

impl BackingStore {
    /// Ordinary memory for copies.
    pub(super) fn for_copies(region: Region, chunks: u32) -> Self {
        Self {
            region,
            links: Links::new(chunks),
            returns: ArrayQueue::new(chunks as usize),
            _reservation: None,
        }
    }

    /// Returns a detached chunk, on any thread.
    pub(crate) fn send_back(&self, chunk: u32) {
        self.returns
            .push(chunk)
            .expect("the returns hold every chunk of the UMEM");
    }
}

impl Umem {
    /// Makes the memory of a UMEM, faulted in on the NUMA node of the calling
    /// thread's CPU: a memfd where there can be one. It is pinned when the first xsk is
    /// bound. [`memory`](Self::memory) says what became of all that.
    ///
    /// Blocks for up to a second while huge pages are there and in use, as those
    /// of an xsk that has just closed still are.
    ///
    /// # Errors
    ///
    /// [`UmemError`] when a limit does not allow it, or the kernel has no
    /// memory, or no huge pages if it is to be made of those.
    pub fn new(config: &UmemConfig) -> Result<Self, UmemError> {
        config.validate()?;
        let (region, reservation) = make::region(config)?;
        Ok(Self::of(config, region, reservation))
    }

    pub(super) fn of(
        config: &UmemConfig,
        region: Region,
        reservation: budget::Reservation,
    ) -> Self {
        let geometry = *region.geometry();
        let chunks = geometry.chunks();
        let backing = BackingStore {
            region,
            links: Links::new(chunks),
            returns: ArrayQueue::new(chunks as usize),
            _reservation: Some(reservation),
        };
        let copybreak = u64::from(config.copybreak.bytes().saturating_sub(1));
        let most_copies = config.copies.unwrap_or(config.frames);
        let shared = Rc::new_cyclic(|itself| {
            let beside = Beside::umem(itself, most_copies);
            UmemState::new(geometry, backing, copybreak, beside)
        });
        Self { shared }
    }

    /// Where every chunk is now. Reads one record per chunk.
    #[must_use]
    pub fn audit(&self) -> Audit {
        self.shared.collect_returns();
        let mut audit = Audit {
            pooled: self.shared.pool.len(),
            total: self.chunks(),
            copies: self.shared.audit_copies(),
            ..Audit::default()
        };
        for (owner, charged) in self.shared.ledger.owners() {
            if matches!(owner, Owner::Application | Owner::Detached) && !charged {
                audit.made += 1;
            }
            *match owner {
                Owner::Pool => &mut audit.pool,
                Owner::Fill => &mut audit.fill,
                Owner::Application => &mut audit.application,
                Owner::Detached => &mut audit.detached,
                Owner::Part => &mut audit.parts,
                Owner::Transmit | Owner::TransmitPart | Owner::Tagged | Owner::Returning => {
                    &mut audit.transmit
                }
                Owner::Quarantined => &mut audit.quarantined,
                Owner::Stranded => &mut audit.stranded,
                Owner::Gap => continue,
            } += 1;
        }
        audit
    }

    /// Puts the detached chunks that came back into the pool.
    pub(crate) fn collect_returns(&self) {
        self.shared.collect_returns();
    }

    /// The size of a chunk in bytes.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.shared.geometry.chunk_size()
    }

    /// The number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.shared.geometry.usable()
    }

    /// The most bytes of a received frame that a chunk takes: all but what stays
    /// free in front of it.
    #[must_use]
    pub fn receivable(&self) -> u32 {
        self.shared.geometry.receivable()
    }

    /// Whether the chunks are unaligned: see [`ChunkSize::unaligned`](crate::ChunkSize::unaligned).
    #[must_use]
    pub fn is_unaligned(&self) -> bool {
        self.shared.geometry.is_unaligned()
    }

    /// What its memory is: whose, on which pages and which NUMA node, and why it is not
    /// what it might be.
    #[must_use]
    pub fn memory(&self) -> &MemoryReport {
        self.shared.region().report()
    }

    /// Shares seven eighths of the chunks among the queues: the rest stays out of the fill
    /// rings, for frames that the application makes.
    pub(crate) fn set_an_eighth_aside(&self) {
        self.shared.shares.set_aside(self.chunks() / 8);
    }

    /// Leaves shares of the chunks for the queues that receive, and `more` to come.
    pub(crate) fn expect_queues(&self, more: u32) {
        self.shared.shares.expect(more, &self.shared.ledger);
    }

    /// Gives all queues their share of the chunks, if these suffice for all.
    pub(crate) fn even_out(&self) {
        if self.shared.shares.is_uneven() {
            self.shared.shares.even_out(&self.shared.ledger);
        }
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Rc<UmemState> {
        &self.shared
    }
}

impl std::fmt::Debug for Umem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Umem")
            .field("chunks", &self.chunks())
            .field("chunk_size", &self.chunk_size())
            .finish_non_exhaustive()
    }
}

impl UmemState {
    fn new(
        geometry: Geometry,
        backing: BackingStore,
        copybreak: u64,
        beside: Beside<Self>,
    ) -> Self {
        let chunks = geometry.chunks();
        let ledger = Ledger::new(chunks);
        let gaps = (0..chunks).filter(|&chunk| !geometry.is_usable(chunk));
        gaps.for_each(|chunk| ledger.leave_out(chunk));
        Self {
            ledger,
            shares: Shares::new(geometry.usable()),
            start: backing.region.start(),
            holders: Holders::default(),
            pool: Pool::new((0..chunks).filter(|&chunk| geometry.is_usable(chunk))),
            geometry,
            tags: Tags::new(chunks),
            backing: Arc::new(backing),
            next_xsk: Cell::new(0),
            detached: Cell::new(0),
            sockets: RefCell::default(),
            multi_buffer: Cell::new(false),
            copybreak,
            beside,
        }
    }

    /// A memory for copies of the frames of `umem`.
    pub(super) fn for_copies(
        umem: &Weak<Self>,
        geometry: Geometry,
        backing: BackingStore,
    ) -> Rc<Self> {
        Rc::new(Self::new(geometry, backing, 0, Beside::copies_of(umem)))
    }

    #[inline]
    pub(crate) fn region(&self) -> &Region {
        &self.backing.region
    }

    pub(crate) fn backing(&self) -> &Arc<BackingStore> {
        &self.backing
    }

    /// Takes a chunk from the pool, after the returns if the pool is empty.
    #[inline]
    pub(super) fn take_free(&self) -> Option<u32> {
        self.pool.take().or_else(|| {
            self.collect_returns();
            self.pool.take()
        })
    }

    /// Takes back what was posted to a fill ring that the kernel never used.
    pub(crate) fn take_back_all(&self, queue: QueueId) {
        self.ledger
            .close_fill(queue, Owner::Pool, |chunk| self.pool.put(chunk));
    }

    /// Writes off what the kernel has from the fill ring of `queue`: the ring
    /// closes, and the kernel may use the chunks a little longer.
    pub(crate) fn strand_posted(&self, queue: QueueId) {
        self.ledger.close_fill(queue, Owner::Stranded, |_| ());
    }

    /// Fill ring of `queue` → pool, for a received frame that nobody gets.
    pub(crate) fn drop_received(&self, addr: u64, queue: QueueId) -> Result<(), Violation> {
        let place = self.geometry.place(addr).ok_or(Violation)?;
        self.ledger.take_back(place.chunk, queue)?;
        self.pool.put(place.chunk);
        Ok(())
    }

    /// Application → pool.
    #[inline]
    pub(crate) fn recycle(&self, claim: &Claim) {
        self.ledger.recycle(claim);
        self.pool.put(claim.chunk());
    }

    /// Application → pool, for the parts of a frame from `first` on.
    #[cold]
    pub(crate) fn recycle_parts(&self, first: Next) {
        for part in self.backing.links.parts(first) {
            self.ledger.recycle_part(part.place.chunk);
            self.pool.put(part.place.chunk);
        }
    }

    /// As [`discard`](Self::discard), for a frame like the one dropped before. Returns
    /// whether it is.
    #[inline]
    pub(super) fn discard_run(&self, claim: &Claim) -> bool {
        self.pool
            .put_if(claim.chunk(), || self.ledger.discard_run(claim))
    }

    /// Application → pool, counted as dropped by the application.
    pub(crate) fn discard(&self, claim: &Claim) {
        self.ledger.discard(claim);
        self.pool.put(claim.chunk());
    }

    /// Application → application, on any thread, with the parts from `first` on.
    pub(crate) fn detach(&self, claim: &Claim, first: Next) {
        self.ledger.detach(claim);
        let chunks = 1 + self.count(first);
        self.note_detached(|detached| detached + chunks);
    }

    /// Application on any thread → application, with the parts from `first` on.
    pub(crate) fn attach(&self, chunk: u32, first: Next) -> Claim {
        let chunks = 1 + self.count(first);
        self.note_detached(|detached| detached - chunks);
        self.ledger.attach(chunk)
    }

    /// Changes the number of detached chunks. A UMEM counts those of its copies, too, so
    /// that its returns and theirs need one look.
    fn note_detached(&self, change: impl Fn(u32) -> u32) {
        self.detached.set(change(self.detached.get()));
        if let Some(umem) = self.beside.umem_of_copies() {
            umem.detached.set(change(umem.detached.get()));
        }
    }

    /// The number of parts from `first` on.
    fn count(&self, first: Next) -> u32 {
        self.backing.links.parts(first).map(|_| 1).sum()
    }

    /// Puts the detached chunks that came back into the pool, and those for copies into
    /// theirs. The chunks of a frame in several come back one by one.
    #[inline]
    pub(crate) fn collect_returns(&self) {
        if self.detached.get() > 0 {
            self.collect_some();
        }
    }

    #[cold]
    fn collect_some(&self) {
        for memory in self.beside.made() {
            memory.collect_returns();
        }
        while self.detached.get() > 0
            && let Some(chunk) = self.backing.returns.pop()
        {
            if self.ledger.is_part(chunk) {
                self.note_detached(|detached| detached - 1);
                self.ledger.recycle_part(chunk);
                self.pool.put(chunk);
            } else {
                let claim = self.attach(chunk, Next::NONE);
                self.discard(&claim);
            }
        }
    }

    /// The number of a new xsk, or `None` when 255 have been bound already.
    pub(crate) fn new_xsk(&self) -> Option<XskId> {
        let xsk = XskId::new(self.next_xsk.get())?;
        self.next_xsk.set(self.next_xsk.get() + 1);
        Some(xsk)
    }

    /// Takes back the number of an xsk that was never bound and has no chunks.
    pub(crate) fn forget_xsk(&self, xsk: XskId) {
        let last = self.next_xsk.get().checked_sub(1);
        if last.and_then(XskId::new) == Some(xsk) {
            self.next_xsk.set(self.next_xsk.get() - 1);
        }
    }

    /// The sockets that have the UMEM registered, in the order in which they were
    /// bound. They are bound still, but for those whose interface is gone.
    pub(crate) fn registrants(&self) -> Vec<Rc<OwnedFd>> {
        let mut sockets = self.sockets.borrow_mut();
        sockets.retain(|bound| bound.socket.strong_count() > 0);
        let open = sockets.iter().filter_map(|bound| bound.socket.upgrade());
        open.collect()
    }

    /// Whether the bound sockets take frames in several chunks, which the first
    /// of them decides for all.
    pub(crate) fn takes_multi_buffer(&self) -> bool {
        self.multi_buffer.get()
    }

    /// Remembers what the first bind of the UMEM decided.
    pub(crate) fn set_multi_buffer(&self, multi_buffer: bool) {
        self.multi_buffer.set(multi_buffer);
    }

    /// Whether a socket of the UMEM is bound to a queue of an interface in the
    /// calling thread's network namespace.
    pub(crate) fn is_bound_to(&self, interface: u32, queue: QueueIndex) -> bool {
        let is_there = |bound: &BoundSocket| {
            let bound_to = (bound.namespace, bound.interface, bound.queue);
            bound.socket.strong_count() > 0 && bound_to == (current_namespace(), interface, queue)
        };
        self.sockets.borrow().iter().any(is_there)
    }

    /// Remembers a socket that has been bound to a queue.
    pub(crate) fn add_socket(&self, socket: &Rc<OwnedFd>, interface: u32, queue: QueueIndex) {
        self.sockets.borrow_mut().push(BoundSocket {
            socket: Rc::downgrade(socket),
            namespace: current_namespace(),
            interface,
            queue,
        });
    }
}
