//! Wakes a worker from any thread.
//!
//! A flag says that it was woken, an eventfd ends its sleep. Only the wake that sets the
//! flag writes to the eventfd, so wakes that the worker has not looked at yet cost an
//! atomic exchange each and no system call.
//!
//! # Ordering
//!
//! The exchange in [`Alarm::wake`] and the one in [`Alarm::take`] are both of the same
//! flag and acquire and release, so what a thread wrote before it woke the worker is
//! seen by the hook that runs for it, also where another thread had set the flag before.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::sys::wait::EventFd;

/// Wakes a worker, from any thread: [`WorkerContext::waker`](crate::WorkerContext::waker).
///
/// The worker then [collects](crate::Umem::attach) frames that were given back, and
/// calls [`Application::woken`](crate::Application::woken): within microseconds where it
/// sleeps or spins, after the round that runs where it is busy. Wakes before that are
/// one. It is harmless after the worker has ended.
///
/// ```
/// # use wharf::{Application, Batch, Outbox, RingCapacity, SimulatedWorker, Umem, UmemConfig, XskConfig};
/// # #[derive(Default)] struct Count(u32);
/// # impl Application for Count {
/// #     fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) { batch.for_each(drop); }
/// fn woken(&mut self, _: &mut Outbox<'_>) {
///     self.0 += 1;
/// }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let umem = Umem::new(&UmemConfig::new(256))?;
/// # let xsk = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
/// # let (mut worker, _nics) = SimulatedWorker::new(&umem, &[xsk], Count::default())?;
/// let waker = worker.context().waker();
/// std::thread::spawn(move || {
///     waker.wake();
///     waker.wake();
/// })
/// .join()
/// .expect("it only wakes");
///
/// worker.round();
/// assert_eq!(worker.application().0, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Waker(Arc<Alarm>);

impl Waker {
    pub(crate) fn new(alarm: Arc<Alarm>) -> Self {
        Self(alarm)
    }

    /// Wakes the worker. A system call, unless a wake before is still to be looked at.
    pub fn wake(&self) {
        self.0.wake();
    }
}

/// Ends a worker's sleep, and says whether a [`Waker`] did.
#[derive(Debug)]
pub(crate) struct Alarm {
    woken: AtomicBool,
    /// `None` where nobody sleeps.
    event: Option<EventFd>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            woken: AtomicBool::new(false),
            event: Some(EventFd::new()?),
        })
    }

    /// An alarm for a worker that never sleeps.
    pub(crate) fn without_descriptor() -> Self {
        Self {
            woken: AtomicBool::new(false),
            event: None,
        }
    }

    /// Ends a sleep for the application's sake.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// Ends a sleep for another reason, which whoever calls has written down before.
    pub(crate) fn ring(&self) {
        self.event.iter().for_each(EventFd::signal);
    }

    /// Lets the worker sleep again. It looks at all reasons to ring after that, and
    /// before it sleeps.
    pub(crate) fn reset(&self) {
        self.event.iter().for_each(EventFd::clear);
    }

    /// Whether a [`Waker`] woke the worker since the last call: a load if none did.
    /// If so, it is [`reset`](Self::reset).
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.is_woken() && self.take_wake()
    }

    /// Whether a [`Waker`] has woken the worker.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed)
    }

    #[cold]
    fn take_wake(&self) -> bool {
        // First, so that a wake after the exchange stays readable.
        self.reset();
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// What becomes readable as it rings.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.event.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernel::sys::wait::PollSet;

    fn rings(alarm: &Alarm) -> bool {
        let set = PollSet::new(alarm.descriptor().expect("a descriptor"));
        set.wait(Duration::ZERO).expect("a look")
    }

    #[test]
    fn wakes_before_the_worker_looks_are_one() {
        let alarm = Arc::new(Alarm::new().expect("an eventfd"));
        let waker = Waker::new(Arc::clone(&alarm));
        assert!(!alarm.take());

        waker.wake();
        waker.clone().wake();

        assert!(rings(&alarm));
        assert!(alarm.take());
        assert!(!alarm.take());
        assert!(!rings(&alarm), "reset");
    }

    #[test]
    fn wake_after_the_look_rings_again() {
        let alarm = Arc::new(Alarm::new().expect("an eventfd"));
        let waker = Waker::new(Arc::clone(&alarm));
        waker.wake();
        assert!(alarm.take());

        waker.wake();

        assert!(rings(&alarm));
        assert!(alarm.take());
    }

    #[test]
    fn ring_is_no_wake() {
        let alarm = Alarm::new().expect("an eventfd");

        alarm.ring();

        assert!(rings(&alarm));
        assert!(!alarm.take());
        alarm.reset();
        assert!(!rings(&alarm));
    }

    #[test]
    fn every_item_that_was_sent_before_a_wake_is_seen_by_a_look() {
        let alarm = Arc::new(Alarm::new().expect("an eventfd"));
        let (items, received) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (waker, items) = (Waker::new(Arc::clone(&alarm)), items.clone());
                std::thread::spawn(move || {
                    for _ in 0..5_000 {
                        items.send(()).expect("the other end is open");
                        waker.wake();
                    }
                })
            })
            .collect();
        drop(items);

        let mut seen = 0;
        while seen < 20_000 {
            let set = PollSet::new(alarm.descriptor().expect("a descriptor"));
            let is_ringing = set.wait(Duration::from_secs(30)).expect("a wait");
            assert!(is_ringing, "a wake was lost after {seen} items");
            if !alarm.take() {
                // Rung by a thread whose flag an earlier look took.
                alarm.reset();
            }
            seen += received.try_iter().count();
        }

        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("it ends"));
    }
}
