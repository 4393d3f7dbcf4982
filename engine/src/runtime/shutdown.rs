//! How an engine's threads learn that it is over, and the engine learns why.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::runtime::Error;
use crate::runtime::waker::Alarm;

/// What [`Error::InterfaceLost`] says of an interface that was set down.
pub(crate) const SET_DOWN: &str = "set down";
/// What [`Error::InterfaceLost`] says of an interface that is not there any more.
pub(crate) const REMOVED: &str = "deleted or moved to another network namespace";

/// A request to stop, and the first failure.
pub(crate) struct Shutdown {
    requested: AtomicBool,
    alarms: Vec<Arc<Alarm>>,
    failure: Mutex<Failure>,
    /// Notified of a failure and of the request.
    changed: Condvar,
}

#[derive(Default)]
struct Failure {
    happened: bool,
    error: Option<Error>,
}

impl Shutdown {
    /// For `workers` workers.
    pub(crate) fn new(workers: usize) -> Result<Self, Error> {
        // One more for the supervisor.
        let alarms: Result<_, _> = (0..=workers).map(|_| Alarm::new().map(Arc::new)).collect();
        Ok(Self {
            requested: AtomicBool::new(false),
            alarms: alarms.map_err(|source| Error::System {
                operation: "create an eventfd",
                source,
            })?,
            failure: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Asks all workers to stop, and wakes those that sleep.
    pub(crate) fn request(&self) {
        // Relaxed: the flag says nothing of other memory.
        self.requested.store(true, Ordering::Relaxed);
        self.alarms.iter().for_each(|alarm| alarm.ring());
        // The lock is taken so that a thread between its look at the flag and
        // its wait is not missed.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Wakes a worker that sleeps, without asking it to stop.
    pub(crate) fn wake(&self, worker: usize) {
        self.alarms[worker].ring();
    }

    /// Waits for [`request`](Self::request).
    pub(crate) fn wait_until_requested(&self) {
        let wait = self
            .changed
            .wait_while(self.lock(), |_| !self.is_requested());
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// What ends a worker's sleep.
    pub(crate) fn alarm(&self, worker: usize) -> &Arc<Alarm> {
        &self.alarms[worker]
    }

    /// The descriptor that becomes readable for the supervisor when it is to stop.
    pub(crate) fn supervisor_alarm(&self) -> BorrowedFd<'_> {
        let alarm = self.alarms.last().expect("one more than workers");
        alarm.descriptor().expect("it was made with one")
    }

    /// Records why the engine cannot go on. The first error counts.
    pub(crate) fn fail(&self, error: Error) {
        let mut failure = self.lock();
        if !failure.happened {
            failure.happened = true;
            failure.error = Some(error);
        }
        self.changed.notify_all();
    }

    /// Waits for a failure, and returns whether there is one.
    pub(crate) fn wait_for_failure(&self, timeout: Duration) -> bool {
        let wait = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |failure| !failure.happened);
        wait.unwrap_or_else(PoisonError::into_inner).0.happened
    }

    /// Takes the failure, if there was one.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.lock().error.take()
    }

    fn lock(&self) -> MutexGuard<'_, Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
