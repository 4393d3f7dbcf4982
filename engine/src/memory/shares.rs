//! How the queues of a UMEM share its chunks, while queues appear and go.
//!
//! Queues that receive have equal shares of what those with a lower limit of their own
//! leave; so none can take what the others need, however much its application holds.
//!
//! Nothing takes back a chunk that is posted to a fill ring. So when queues appear, those
//! that were there come down to their share as frames arrive, and until then the new ones
//! make do with what is left.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ledger::{Ledger, QueueId};
use super::limits::{ChunkLimits, LimitsError};

/// The shares of all queues of a UMEM.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Chunks of the UMEM.
    chunks: u32,
    members: RefCell<Vec<Rc<Share>>>,
    /// Chunks that no queue has a share of.
    set_aside: Cell<u32>,
    /// Receiving queues that there will be soon, with those that there are.
    expected: Cell<u32>,
    /// Chunks for each of those to come, while there are too few for all shares.
    for_each: Cell<u32>,
    /// Whether some have another limit yet than their share.
    is_uneven: Cell<bool>,
}

/// What one queue may have.
#[derive(Debug)]
pub(crate) struct Share {
    queue: QueueId,
    /// Whether frames come in on the queue: others need nothing.
    receives: Cell<bool>,
    /// The most that was asked for.
    most: Cell<Option<u32>>,
    asked_floor: Cell<Option<u32>>,
    /// The floor where none was asked for, of which half the limit is the most.
    usual_floor: u32,
    /// Chunks that may be charged to the queue.
    limit: Cell<u32>,
    /// Chunks that stay with the kernel to receive into.
    floor: Cell<u32>,
    /// As many as the kernel has to keep so that nobody has to look at any limit.
    easy_floor: Cell<u64>,
    /// Whether there are limits to look at whatever the kernel keeps.
    is_watched: Cell<bool>,
}

/// More chunks than there are, with those of a batch on top.
const NEVER: u64 = 1 << 40;

/// Chunks that a queue can do with while it has no more.
const LEAST_CHUNKS: u32 = 64;

impl Share {
    /// Chunks that may be charged to the queue now.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Chunks that stay with the kernel to receive into.
    #[inline]
    pub(crate) fn floor(&self) -> u32 {
        self.floor.get()
    }

    /// As many chunks as the kernel has to keep so that nobody has to look at any limit.
    #[inline]
    pub(crate) fn easy_floor(&self) -> u64 {
        self.easy_floor.get()
    }

    /// Has limits looked at for each batch from now on.
    pub(crate) fn watch(&self) {
        self.is_watched.set(true);
        self.easy_floor.set(NEVER);
    }

    fn set_limit(&self, limit: u32) {
        self.limit.set(limit);
        let floor = match self.asked_floor.get() {
            Some(floor) if floor < limit => floor,
            Some(floor) => floor.min(limit / 2),
            None => self.usual_floor.min(limit / 2),
        };
        self.floor.set(floor);
        if !self.is_watched.get() {
            self.easy_floor.set(floor.into());
        }
    }
}

impl Shares {
    /// Shares of `chunks`, of which no queue has one yet.
    pub(crate) fn new(chunks: u32) -> Self {
        Self {
            chunks,
            members: RefCell::default(),
            set_aside: Cell::new(0),
            expected: Cell::new(0),
            for_each: Cell::new(0),
            is_uneven: Cell::new(false),
        }
    }

    /// Gives no queue a share of `chunks`.
    pub(crate) fn set_aside(&self, chunks: u32) {
        self.set_aside.set(chunks);
    }

    /// Leaves shares for as many receiving queues as there are, and `more`.
    pub(crate) fn expect(&self, more: u32, ledger: &Ledger) {
        let receiving = self.here();
        self.expected.set(receiving.saturating_add(more));
        self.even_out(ledger);
        let half = self.unspoken(ledger) / 2;
        self.for_each.set(half / more.max(1));
    }

    /// Adds a queue, whose floor is `usual_floor` unless `limits` has another.
    ///
    /// Where the chunks do not suffice for all shares yet, it and the others that are
    /// expected get half of what is not spoken for, so that there is something for those
    /// that come after them, too.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if its share does not suffice for what was asked for.
    pub(crate) fn join(
        &self,
        queue: QueueId,
        limits: &ChunkLimits,
        usual_floor: u32,
        receives: bool,
        ledger: &Ledger,
    ) -> Result<Rc<Share>, LimitsError> {
        let share = Rc::new(Share {
            queue,
            receives: Cell::new(receives),
            most: Cell::new(limits.most),
            asked_floor: Cell::new(limits.floor),
            usual_floor,
            limit: Cell::new(0),
            floor: Cell::new(0),
            easy_floor: Cell::new(0),
            is_watched: Cell::new(false),
        });
        self.members.borrow_mut().push(Rc::clone(&share));
        let target = self.target(&share, ledger);
        if receives && let Err(error) = limits.check_share(target) {
            self.leave(queue, ledger);
            return Err(error);
        }
        if !self.even_out(ledger) && receives {
            let some = if self.here() <= self.expected.get() {
                self.for_each.get()
            } else {
                self.unspoken(ledger) / 2
            };
            share.set_limit(some.max(LEAST_CHUNKS).min(target));
        }
        Ok(share)
    }

    /// Removes a queue, which has no chunks any more.
    pub(crate) fn leave(&self, queue: QueueId, ledger: &Ledger) {
        self.members.borrow_mut().retain(|it| it.queue != queue);
        self.even_out(ledger);
    }

    /// Whether a queue could have what is asked for.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if its share does not suffice for that.
    pub(crate) fn check(
        &self,
        share: &Share,
        limits: &ChunkLimits,
        ledger: &Ledger,
    ) -> Result<(), LimitsError> {
        if !share.receives.get() {
            return Ok(());
        }
        let most = share.most.replace(limits.most);
        let target = self.target(share, ledger);
        share.most.set(most);
        limits.check_share(target)
    }

    /// Sets what is asked for a queue.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check). Nothing has changed then.
    pub(crate) fn set(
        &self,
        share: &Share,
        limits: &ChunkLimits,
        ledger: &Ledger,
    ) -> Result<(), LimitsError> {
        self.check(share, limits, ledger)?;
        share.most.set(limits.most);
        share.asked_floor.set(limits.floor);
        // The floor changes even where the limit does not.
        share.set_limit(share.limit());
        self.even_out(ledger);
        Ok(())
    }

    /// Notes whether frames come in on a queue. The shares follow with the next
    /// [`even_out`](Self::even_out).
    pub(crate) fn set_receives(&self, share: &Share, receives: bool) {
        if share.receives.replace(receives) != receives {
            self.is_uneven.set(true);
        }
    }

    /// Whether some queues have another limit than their share.
    #[inline]
    pub(crate) fn is_uneven(&self) -> bool {
        self.is_uneven.get()
    }

    /// Gives all queues their share, if the chunks suffice for all, else lowers those
    /// that have more. Returns whether they suffice.
    pub(crate) fn even_out(&self, ledger: &Ledger) -> bool {
        let members = self.members.borrow();
        let equal = self.equal(&members, ledger);
        let target = |share: &Share| target(share, equal);
        let receiving = members.iter().filter(|it| it.receives.get());
        let needed = receiving.map(|it| u64::from(ledger.charged(it.queue).max(target(it))));
        let to_come = (self.expected.get()).saturating_sub(count_receiving(&members));
        let needed = needed.sum::<u64>() + u64::from(to_come) * u64::from(equal);
        let suffices = needed <= self.available(ledger).into();
        for share in members.iter() {
            let target = target(share);
            share.set_limit(if suffices {
                target
            } else {
                target.min(share.limit())
            });
        }
        self.is_uneven.set(!suffices);
        suffices
    }

    fn target(&self, share: &Share, ledger: &Ledger) -> u32 {
        target(share, self.equal(&self.members.borrow(), ledger))
    }

    /// Chunks for all queues that receive: without those that lie in the fill rings of
    /// others.
    fn available(&self, ledger: &Ledger) -> u32 {
        let members = self.members.borrow();
        let others = members.iter().filter(|it| !it.receives.get());
        let shared = self.chunks.saturating_sub(self.set_aside.get());
        // One by one: what is charged is any number while the kernel lies.
        others.fold(shared, |left, it| {
            left.saturating_sub(ledger.charged(it.queue))
        })
    }

    /// Those of them that no queue has or may have.
    fn unspoken(&self, ledger: &Ledger) -> u32 {
        let members = self.members.borrow();
        let receiving = members.iter().filter(|it| it.receives.get());
        receiving.fold(self.available(ledger), |left, it| {
            left.saturating_sub(ledger.charged(it.queue).max(it.limit()))
        })
    }

    /// Queues that receive.
    fn here(&self) -> u32 {
        count_receiving(&self.members.borrow())
    }

    /// The share of a receiving queue without a limit of its own.
    fn equal(&self, members: &[Rc<Share>], ledger: &Ledger) -> u32 {
        let receiving = members.iter().filter(|it| it.receives.get());
        let mut limited: Vec<_> = receiving.filter_map(|it| it.most.get()).collect();
        limited.sort_unstable();
        let mut sharers = count_receiving(members).max(self.expected.get()).max(1);
        let mut left = self.available(ledger);
        for most in limited {
            if sharers == 1 || most >= left / sharers {
                break;
            }
            left -= most;
            sharers -= 1;
        }
        left / sharers
    }
}

fn count_receiving(members: &[Rc<Share>]) -> u32 {
    let receiving = members.iter().filter(|it| it.receives.get());
    u32::try_from(receiving.count()).unwrap_or(u32::MAX)
}

fn target(share: &Share, equal: u32) -> u32 {
    match share.most.get() {
        _ if !share.receives.get() => 0,
        Some(most) => most.min(equal),
        None => equal,
    }
}
