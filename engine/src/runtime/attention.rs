//! What a worker attends to beside its xsks: what its application has asked for, and who
//! wakes it.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::runtime::Error;
use crate::runtime::clock::Clock;
use crate::runtime::waker::Alarm;
use crate::runtime::watched::{Interest, WatchToken, Watched};

/// Shared on one thread by the worker, its [`Outbox`](crate::Outbox) and the
/// [`WorkerContext`](crate::WorkerContext), so it changes through cells.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) clock: Clock,
    watched: Watched,
    /// When the next tick is due.
    tick: Cell<Option<Instant>>,
    /// When the last call of `idle` is to be repeated.
    idle_until: Cell<Option<Instant>>,
    /// Whether there is a tick or a descriptor, so that a round without looks once.
    is_asked: Cell<bool>,
}

impl Attention {
    pub(crate) fn new(alarm: Arc<Alarm>, clock: Clock) -> Self {
        Self {
            alarm,
            clock,
            watched: Watched::default(),
            tick: Cell::new(None),
            idle_until: Cell::new(None),
            is_asked: Cell::new(false),
        }
    }

    /// Asks for a tick at a time; the earliest that was asked for counts.
    pub(crate) fn tick_at(&self, due: Instant) {
        let earliest = self.tick.get().map_or(due, |before| before.min(due));
        self.tick.set(Some(earliest));
        self.is_asked.set(true);
    }

    /// Watches a descriptor.
    pub(crate) fn watch(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> Result<WatchToken, Error> {
        self.is_asked.set(true);
        self.watched.add(fd, interest)
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Notes that `idle` is to be called again at a time, or that it is not.
    #[inline]
    pub(crate) fn set_idle_until(&self, until: Option<Instant>) {
        if until.is_some() || self.idle_until.get().is_some() {
            self.idle_until.set(until);
        }
    }

    /// When the worker is to go on although nothing has come.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.tick
            .get()
            .into_iter()
            .chain(self.idle_until.get())
            .min()
    }

    /// Whether the worker is to go on now although nothing has come.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        let may_be_due = self.is_asked.get() || self.idle_until.get().is_some();
        may_be_due && self.due().is_some_and(|due| due <= self.clock.now())
    }

    /// Whether the application may have to be called, for a wake, a tick or a
    /// descriptor: costs next to nothing.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.is_asked.get() || self.alarm.is_woken()
    }

    pub(crate) fn next_tick(&self) -> Option<Instant> {
        self.tick.get()
    }

    /// The time now if a tick is due, which is then none that is asked for any more.
    /// Looks at the clock only if one is asked for.
    #[inline]
    pub(crate) fn take_tick(&self) -> Option<Instant> {
        let due = self.tick.get()?;
        let now = self.clock.now();
        if now < due {
            return None;
        }
        self.tick.set(None);
        self.is_asked.set(self.watched.is_any());
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn earliest_tick_counts_and_comes_once() {
        let attention = Attention::new(Arc::new(Alarm::without_descriptor()), Clock::simulated());
        let start = attention.clock.now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(attention.take_tick(), None, "nobody asked");

        [5, 3, 8]
            .into_iter()
            .for_each(|at| attention.tick_at(after(at)));

        assert_eq!(attention.next_tick(), Some(after(3)));
        attention.clock.advance(Duration::from_millis(2));
        assert_eq!(attention.take_tick(), None, "not yet");
        attention.clock.advance(Duration::from_millis(2));
        assert_eq!(attention.take_tick(), Some(after(4)));
        assert_eq!(attention.take_tick(), None);
    }

    #[test]
    fn tick_that_is_due_already_comes_at_once() {
        let attention = Attention::new(Arc::new(Alarm::without_descriptor()), Clock::simulated());
        let now = attention.clock.now();

        attention.tick_at(now);

        assert_eq!(attention.take_tick(), Some(now));
    }
}
