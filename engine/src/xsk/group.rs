//! What the xsks of one queue share: its fill ring and its completion ring.
//!
//! The kernel has one of each per queue, whichever of its xsks a frame goes to
//! or comes from. So a chunk is lent to the queue, and nobody knows to which xsk
//! until it is received: the limit on chunks and the floor of the fill ring are
//! the queue's. A completion is the queue's too, and whoever takes it settles it
//! for the xsk that sent the frame, as the ledger knows.
//!
//! [`FillSide`] belongs to the receiving halves, [`CompletionSide`] to the sending
//! ones, and each lives until the last of them goes. The rings are mapped through
//! the socket of one xsk, which keeps it open; when that xsk goes, through
//! another's.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::kernel::XskIndex;
use crate::memory;
use crate::memory::Unusual;
use crate::memory::ledger::{QueueId, XskId};
use crate::xsk::ring::{CompletionRing, FillRing};
use crate::xsk::{remap_completion, remap_fill};

/// The fill ring of a queue, and the accounts that go with it.
pub(super) struct FillSide {
    umem: Rc<memory::UmemState>,
    group: QueueId,
    ring: RefCell<FillRing>,
    /// Chunks that may be charged to the queue.
    limit: u32,
    /// Chunks that stay with the kernel to receive into.
    pub(super) floor: u32,
    /// Chunks ever lent.
    lent: Cell<u64>,
    /// Lent chunks that came back, as far as the receiving halves have said.
    returned: Cell<u64>,
    users: RefCell<Users<()>>,
}

/// The completion ring of a queue.
pub(super) struct CompletionSide {
    umem: Rc<memory::UmemState>,
    group: QueueId,
    ring: RefCell<CompletionRing>,
    users: RefCell<Users<Sender>>,
}

/// Whose frames are completed.
struct Sender {
    member: XskId,
    account: Rc<Returned>,
}

/// What came back of the frames of one xsk.
#[derive(Default)]
pub(super) struct Returned {
    /// Chunks.
    pub(super) chunks: Cell<u64>,
    /// Of those, the ones before the last of a frame in several.
    pub(super) parts: Cell<u64>,
}

/// What one look at the completion ring found.
#[derive(Clone, Copy, Default)]
pub(super) struct Completed {
    /// Frames of any xsk of the queue, closed ones left out.
    pub(super) frames: u32,
    /// Entries that failed a check.
    pub(super) invalid: u32,
}

impl FillSide {
    /// A fill ring that is mapped through the queue's first xsk.
    pub(super) fn new(
        umem: &Rc<memory::UmemState>,
        group: QueueId,
        ring: FillRing,
        limit: u32,
        floor: u32,
    ) -> Self {
        Self {
            umem: Rc::clone(umem),
            group,
            ring: RefCell::new(ring),
            limit,
            floor,
            lent: Cell::new(0),
            returned: Cell::new(0),
            users: RefCell::new(Users::new()),
        }
    }

    /// Adds an xsk of the queue.
    pub(super) fn join(&self, xsk: XskIndex) {
        self.users.borrow_mut().join(xsk, ());
    }

    /// Tells of an xsk's socket, which a simulated one has not.
    pub(super) fn set_socket(&self, xsk: XskIndex, socket: &Rc<OwnedFd>) {
        self.users.borrow_mut().set_socket(xsk, socket);
    }

    /// Removes an xsk, so that its socket can close.
    pub(super) fn leave(&self, xsk: XskIndex) {
        let remap = |socket: &OwnedFd| remap_fill(&mut self.ring.borrow_mut(), socket);
        self.users.borrow_mut().leave(xsk, remap);
    }

    /// Lends the kernel as many chunks as the ring, the limit and the pool allow,
    /// and gives their number.
    pub(super) fn lend(&self) -> u32 {
        let lent = self.lend_through(&mut self.ring.borrow_mut());
        self.lent.set(self.lent.get() + u64::from(lent));
        lent
    }

    /// A function of its own, so that the compiler knows that nobody else sees
    /// the ring.
    fn lend_through(&self, ring: &mut FillRing) -> u32 {
        let wanted = ring.capacity().min(self.room());
        let free = ring.free(wanted).min(wanted);
        let lent = self.umem.lend(self.group, free, |addr| {
            ring.give(addr).expect("the fill ring has a free slot");
        });
        ring.publish();
        lent
    }

    pub(super) fn wants_wakeup(&self) -> bool {
        self.ring.borrow().wants_wakeup()
    }

    /// Notes that `chunks` more of those lent came back.
    pub(super) fn note_returned(&self, chunks: u64) {
        self.returned.set(self.returned.get() + chunks);
    }

    /// As if so many had been lent and come back before.
    #[cfg(test)]
    pub(super) fn count_as_lent_and_returned(&self, chunks: u64) {
        self.lent.set(self.lent.get() + chunks);
        self.returned.set(self.returned.get() + chunks);
    }

    /// Chunks lent that have not come back.
    pub(super) fn with_kernel(&self) -> u64 {
        self.lent.get() - self.returned.get()
    }

    /// Chunks that may still be charged. Frames that the application made are
    /// charged when it sends them, whatever the limit.
    pub(super) fn room(&self) -> u32 {
        self.limit.saturating_sub(self.charged())
    }

    /// Chunks charged to the queue.
    pub(super) fn charged(&self) -> u32 {
        self.umem.ledger.charged(self.group)
    }

    /// The ring's faults, for the first of the xsks to count.
    pub(super) fn faults(&self, xsk: XskIndex) -> u64 {
        if self.users.borrow().is_first(xsk) {
            self.ring.borrow().faults()
        } else {
            0
        }
    }

    /// The lowest number at which no xsk of the queue is.
    pub(super) fn free_index(&self, sending: &CompletionSide) -> XskIndex {
        let (receivers, senders) = (self.users.borrow(), sending.users.borrow());
        let taken = |&xsk: &XskIndex| receivers.has(xsk) || senders.has(xsk);
        (0..=u8::MAX)
            .map(XskIndex)
            .find(|xsk| !taken(xsk))
            .expect("a UMEM has at most 255 xsks")
    }

    /// Xsks of which a half uses the queue now.
    pub(super) fn xsks(&self, sending: &CompletionSide) -> usize {
        let (receivers, senders) = (self.users.borrow(), sending.users.borrow());
        let only_send = senders.list.iter().filter(|user| !receivers.has(user.xsk));
        receivers.list.len() + only_send.count()
    }
}

impl Drop for FillSide {
    fn drop(&mut self) {
        self.umem.strand_lent(self.group);
    }
}

impl CompletionSide {
    /// A completion ring that is mapped through the queue's first xsk.
    pub(super) fn new(umem: &Rc<memory::UmemState>, group: QueueId, ring: CompletionRing) -> Self {
        Self {
            umem: Rc::clone(umem),
            group,
            ring: RefCell::new(ring),
            users: RefCell::new(Users::new()),
        }
    }

    /// Adds an xsk of the queue, and gives the account of what came back of its
    /// frames.
    pub(super) fn join(&self, xsk: XskIndex, member: XskId) -> Rc<Returned> {
        let account = Rc::<Returned>::default();
        let sender = Sender {
            member,
            account: Rc::clone(&account),
        };
        self.users.borrow_mut().join(xsk, sender);
        account
    }

    /// Tells of an xsk's socket, which a simulated one has not.
    pub(super) fn set_socket(&self, xsk: XskIndex, socket: &Rc<OwnedFd>) {
        self.users.borrow_mut().set_socket(xsk, socket);
    }

    /// Removes an xsk, so that its socket can close. Its frames are written off
    /// before, but come home if the kernel completes them.
    pub(super) fn leave(&self, xsk: XskIndex) {
        let remap = |socket: &OwnedFd| remap_completion(&mut self.ring.borrow_mut(), socket);
        self.users.borrow_mut().leave(xsk, remap);
    }

    /// Takes back the chunks of all frames that the kernel is done with.
    pub(super) fn take_all(&self) -> Completed {
        self.take_from(&mut self.ring.borrow_mut())
    }

    /// A function of its own, so that the compiler knows that nobody else sees
    /// the ring.
    #[inline(never)]
    fn take_from(&self, ring: &mut CompletionRing) -> Completed {
        let mut all = Completed::default();
        let (umem, group) = (&*self.umem, self.group);
        // Frames of one xsk mostly complete in a row.
        let (mut whose, mut frames) = (XskId::NONE, 0);
        for _ in 0..ring.available() {
            let Some(addr) = ring.take() else { break };
            match umem.complete(addr, group) {
                Ok(member) => {
                    if member != whose {
                        all.frames += self.settle(whose, frames);
                        (whose, frames) = (member, 0);
                    }
                    frames += 1;
                }
                Err(Unusual::Part(member)) => self.settle_part(member),
                Err(Unusual::Stranded) => {}
                Err(Unusual::Violation) => all.invalid += 1,
            }
        }
        ring.release();
        all.frames += self.settle(whose, frames);
        all
    }

    /// Counts `frames` for the xsk that sent them, and gives their number; zero
    /// for an xsk that has closed.
    #[inline(never)]
    fn settle(&self, whose: XskId, frames: u32) -> u32 {
        let count = |account: &Returned| add(&account.chunks, frames);
        if self.with_account(whose, count) {
            frames
        } else {
            0
        }
    }

    /// Counts a chunk before the last of its frame.
    #[cold]
    fn settle_part(&self, whose: XskId) {
        self.with_account(whose, |account| {
            add(&account.chunks, 1);
            add(&account.parts, 1);
        });
    }

    /// Has `count` change the account of an xsk, unless it has closed.
    fn with_account(&self, whose: XskId, count: impl FnOnce(&Returned)) -> bool {
        let users = self.users.borrow();
        let sent = |user: &&User<Sender>| user.account.member == whose;
        let found = users.list.iter().find(sent);
        found.map(|user| count(&user.account.account)).is_some()
    }

    /// Entries that wait in the ring.
    pub(super) fn available(&self) -> u32 {
        self.ring.borrow_mut().available()
    }

    /// The ring's faults, for the first of the xsks to count.
    pub(super) fn faults(&self, xsk: XskIndex) -> u64 {
        if self.users.borrow().is_first(xsk) {
            self.ring.borrow().faults()
        } else {
            0
        }
    }
}

fn add(count: &Cell<u64>, more: u32) {
    count.set(count.get() + u64::from(more));
}

/// The xsks that use a ring, each with its account.
struct Users<T> {
    list: Vec<User<T>>,
    /// The one whose socket the ring is mapped through, unless that has gone.
    mapped_through: Option<XskIndex>,
}

struct User<T> {
    xsk: XskIndex,
    socket: Option<Rc<OwnedFd>>,
    account: T,
}

impl<T> Users<T> {
    fn new() -> Self {
        Self {
            list: Vec::new(),
            mapped_through: None,
        }
    }

    /// Adds an xsk. The ring is mapped through the first that joins.
    fn join(&mut self, xsk: XskIndex, account: T) {
        if self.list.is_empty() {
            self.mapped_through = Some(xsk);
        }
        self.list.push(User {
            xsk,
            socket: None,
            account,
        });
    }

    fn set_socket(&mut self, xsk: XskIndex, socket: &Rc<OwnedFd>) {
        for user in self.list.iter_mut().filter(|user| user.xsk == xsk) {
            user.socket = Some(Rc::clone(socket));
        }
    }

    /// Removes an xsk. If the ring is mapped through its socket, `remap` maps it
    /// through another; where the kernel does not allow that, the mapping stays,
    /// and the socket is open as long.
    fn leave(&mut self, xsk: XskIndex, remap: impl FnOnce(&OwnedFd) -> bool) {
        self.list.retain(|user| user.xsk != xsk);
        if self.mapped_through != Some(xsk) {
            return;
        }
        self.mapped_through = None;
        let heir = self
            .list
            .iter()
            .find_map(|user| Some((user.xsk, user.socket.as_deref()?)));
        if let Some((heir, socket)) = heir
            && remap(socket)
        {
            self.mapped_through = Some(heir);
        }
    }

    fn has(&self, xsk: XskIndex) -> bool {
        self.list.iter().any(|user| user.xsk == xsk)
    }

    fn is_first(&self, xsk: XskIndex) -> bool {
        self.list.first().is_some_and(|user| user.xsk == xsk)
    }
}
