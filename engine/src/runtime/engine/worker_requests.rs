//! What is asked of running workers: to follow interfaces whose queues change, and to
//! change limits.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::interface_id::InterfaceId;
use crate::kernel::{InterfaceIndex, QueueIndex};
use crate::memory::{Limits, LimitsError};
use crate::runtime::shutdown::Shutdown;
use crate::steering::Slot;

/// A worker's xsk, for the XDP program to redirect to.
pub(super) struct Socket {
    pub(super) interface: InterfaceId,
    pub(super) slot: Slot,
    pub(super) bound_to: InterfaceIndex,
    pub(super) fd: OwnedFd,
}

/// What a worker does between two rounds.
pub(super) enum Request {
    Follow(Follow),
    Limit(Limit),
}

/// Asks a worker to change the limits of its xsks.
pub(super) struct Limit {
    /// The interface whose xsks are meant; `None` for all.
    pub(super) interface: Option<InterfaceId>,
    pub(super) limits: Limits,
    pub(super) reply: Sender<Result<(), LimitsError>>,
}

/// Asks a worker to follow an interface.
pub(super) struct Follow {
    pub(super) interface: InterfaceId,
    /// The queues that it has from now on.
    pub(super) rx: u32,
    pub(super) tx: u32,
    /// Queues to drive from now on, none of which has an xsk.
    pub(super) drive: Vec<QueueIndex>,
    /// Gets an answer for each of them, and is dropped when all is done.
    pub(super) reply: Sender<(QueueIndex, Driven)>,
}

/// The sockets of a queue that is driven now, or why it is not.
pub(super) type Driven = Result<Vec<Socket>, String>;

/// The requests to one worker. A clone is another handle to the same ones.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Pending>);

#[derive(Default)]
struct Pending {
    is_any: AtomicBool,
    requests: Mutex<Vec<Request>>,
}

impl Requests {
    /// Asks the worker, and wakes it.
    pub(super) fn send(&self, request: Request, worker: usize, shutdown: &Shutdown) {
        let mut requests = self
            .0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        requests.push(request);
        // Before the worker is woken, which may look at once. Relaxed, as the lock
        // orders the rest.
        self.0.is_any.store(true, Ordering::Relaxed);
        shutdown.wake(worker);
    }

    /// Whether there are any: a load, which costs next to nothing.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_any.load(Ordering::Relaxed)
    }

    /// Takes them, oldest first.
    pub(super) fn take(&self) -> Vec<Request> {
        let mut requests = self
            .0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.is_any.store(false, Ordering::Relaxed);
        std::mem::take(&mut requests)
    }
}
