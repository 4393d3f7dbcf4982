//! One worker: a thread pinned to a CPU that runs the application over its
//! [`XskSet`] until the engine stops: round after round, with a sleep where there is
//! nothing to do.
//!
//! Workers share nothing on the data path.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kernel::XskIndex;
use crate::kernel::sys::clock::thread_cpu_time;
use crate::kernel::sys::wait::PollSet;
use crate::memory::Audit;
use crate::runtime::Error;
use crate::runtime::Wait;
use crate::runtime::application::Application;
use crate::runtime::attention::Attention;
use crate::runtime::down_links::DownLinks;
use crate::runtime::events::{EventKind, Events};
use crate::runtime::publisher::{Labels, Publisher, SharedCounters, WorkerCounters};
use crate::runtime::shutdown::Shutdown;
use crate::runtime::stats::WorkerStats;
use crate::runtime::transmit_watchdog::{Finding, TransmitWatchdog};
use crate::runtime::waiting::Waiting;
use crate::runtime::xsk_set::{Round, XskSet};
use crate::xsk::Xsk;

/// Rounds between two looks at the clock.
const CLOCK_ROUNDS: u64 = 32;

/// Empty rounds between two looks at the clock while a tick is asked for: less than a
/// microsecond.
const TICK_ROUNDS: u64 = 8;

/// The longest sleep when nothing is under way. It bounds how late counters are
/// published and detached frames are collected.
const IDLE_SLEEP: Duration = Duration::from_millis(100);

/// The longest sleep while something is under way that no descriptor announces:
/// frames the kernel has not taken, or has not completed.
const BUSY_SLEEP: Duration = Duration::from_millis(1);

/// How long a stopping worker waits for frames in flight.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How long the RX rings must have been quiet before a stopping worker goes.
const DRAIN_QUIET: Duration = Duration::from_millis(5);

/// A worker's xsks, and all it needs to run them.
pub(crate) struct Worker {
    xsks: XskSet,
    attention: Rc<Attention>,
    waiting: Waiting,
    publisher: Publisher,
    links: Arc<DownLinks>,
    watchdog: TransmitWatchdog,
    events: Events,
    stats: WorkerStats,
}

/// What a worker does between two rounds for others than its application.
pub(crate) trait Duties {
    /// Whether there is something to do. Asked often.
    fn is_any(&self) -> bool;
    /// Does it.
    fn run(&mut self, worker: &mut Worker) -> Result<(), Error>;
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) worker: usize,
    pub(crate) cpu: Option<usize>,
    pub(crate) xsks: XskSet,
    pub(crate) wait: Wait,
    pub(crate) shared: SharedCounters,
    pub(crate) links: Arc<DownLinks>,
    pub(crate) transmit_watchdog: Option<Duration>,
    pub(crate) events: Events,
}

impl Worker {
    /// # Errors
    ///
    /// What a panic of the `metrics` recorder said.
    pub(crate) fn new(parts: WorkerParts) -> Result<Self, String> {
        let xsks = parts.xsks;
        let publisher = Publisher::new(parts.shared, labels(&xsks, 0))?;
        Ok(Self {
            attention: Rc::clone(xsks.attention()),
            xsks,
            waiting: Waiting::new(parts.wait),
            publisher,
            links: parts.links,
            watchdog: TransmitWatchdog::new(parts.transmit_watchdog),
            events: parts.events,
            stats: WorkerStats {
                worker: parts.worker,
                cpu: parts.cpu,
                ..WorkerStats::default()
            },
        })
    }

    /// Runs the application until the engine stops.
    ///
    /// # Errors
    ///
    /// When an interface is gone, or the `metrics` recorder panicked.
    pub(crate) fn run(
        &mut self,
        application: &mut impl Application,
        duties: &mut impl Duties,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut next_look = 0;
        // Since the last one that did something, or slept.
        let mut empty_rounds = 0_u64;
        loop {
            if self.xsks.take_wake(application) {
                self.do_duties(duties)?;
            }
            // After the alarm may have been reset, which it is for this as well.
            if shutdown.is_requested() {
                return Ok(());
            }
            self.stats.rounds += 1;
            if self.stats.rounds >= next_look {
                next_look = self.stats.rounds + CLOCK_ROUNDS;
                self.xsks.follow(&self.links);
                if self.publisher.is_due() {
                    self.publish()?;
                }
                self.do_duties(duties)?;
                self.xsks.take_ready(application)?;
            }
            if empty_rounds.is_multiple_of(TICK_ROUNDS) {
                self.xsks.take_tick(application);
            }
            if self.xsks.round_or_idle(application)? == Round::Progress {
                self.waiting.progress();
                empty_rounds = 0;
            } else if self.waiting.sleeps(Instant::now) {
                self.sleep()?;
                self.waiting.woke(Instant::now);
                self.do_duties(duties)?;
                self.xsks.take_ready(application)?;
                empty_rounds = 0;
            } else {
                empty_rounds += 1;
                std::hint::spin_loop();
            }
        }
    }

    fn do_duties(&mut self, duties: &mut impl Duties) -> Result<(), Error> {
        if duties.is_any() {
            duties.run(self)?;
        }
        Ok(())
    }

    /// Drives more xsks of the worker's UMEM, each with the name of its interface.
    ///
    /// # Errors
    ///
    /// When the `metrics` recorder panicked.
    pub(crate) fn add(&mut self, xsks: Vec<(String, Xsk)>) -> Result<(), Error> {
        let first = self.xsks.receiving().len();
        self.xsks.add(xsks);
        let added = self.publisher.add(labels(&self.xsks, first));
        added.map_err(|message| Error::WorkerPanicked {
            worker: self.stats.worker,
            message,
        })
    }

    /// The xsks that it drives.
    pub(crate) fn xsks(&mut self) -> &mut XskSet {
        &mut self.xsks
    }

    /// Lets the application send what it holds, once it gets no more.
    pub(crate) fn let_finish(&mut self, application: &mut impl Application) {
        self.xsks.finish(application);
    }

    /// Handles what is still on its way after the program was detached: runs the
    /// application over frames in the RX rings, and waits until the kernel has
    /// sent what it has, for a second at the most.
    pub(crate) fn drain(&mut self, application: &mut impl Application) {
        let started = Instant::now();
        let mut active = started;
        loop {
            let round = self.xsks.attend(application).and_then(|()| {
                // What the hooks sent is woken for here.
                self.xsks.round(application)
            });
            let now = Instant::now();
            if matches!(round, Ok(Round::Progress)) {
                active = now;
            }
            let in_flight = self.xsks.has_frames_in_flight();
            let quiet = now.duration_since(active) >= DRAIN_QUIET;
            if (quiet && !in_flight) || now.duration_since(started) >= DRAIN_TIME {
                return;
            }
            if !matches!(round, Ok(Round::Progress)) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Has the application read what became of all that it sent and wants reported.
    pub(crate) fn end_transmissions(&mut self, application: &mut impl Application) {
        self.xsks.end_transmissions(application);
    }

    /// Takes the audit, publishes the last counters and closes the queues. Beside the
    /// audit, an error is what a panic of the `metrics` recorder said.
    pub(crate) fn finish(mut self) -> (Audit, Result<(), String>) {
        let audit = self.xsks.abandon();
        let last = WorkerCounters {
            xsks: self.xsks.last_counters(self.stats.worker),
            worker: self.worker_stats(),
        };
        (audit, self.publisher.publish_last(last))
    }

    /// Sleeps until a frame arrives, a tick is due, the worker is woken,
    /// a watched descriptor is ready, the engine stops, or it is time to look after what
    /// is under way.
    ///
    /// In copy mode, waiting on a socket sends what is in its TX ring and
    /// swallows the error that reports a lost frame, so a socket whose ring is
    /// not empty is left out; so is one whose frames the application does not
    /// take now, which would end the wait at once.
    fn sleep(&mut self) -> Result<(), Error> {
        let attention = Rc::clone(&self.attention);
        let now = attention.clock.now();
        let due_in = attention
            .due()
            .map(|due| due.saturating_duration_since(now));
        if due_in == Some(Duration::ZERO) {
            return Ok(());
        }
        let mut timeout = due_in.unwrap_or(IDLE_SLEEP).min(IDLE_SLEEP);
        if self.publisher.is_due() {
            self.publish()?;
        } else {
            // What has been counted since is published at the end of the sleep.
            timeout = timeout.min(self.publisher.due_in() + Duration::from_millis(1));
        }
        if self.xsks.is_passing() {
            timeout = timeout.min(BUSY_SLEEP);
        }
        let alarm = attention.alarm.descriptor();
        let mut descriptors = PollSet::new(alarm.expect("an engine's worker has one"));
        if let Some(watched) = attention.watched().descriptor() {
            descriptors.push(watched);
        }
        for (rx, tx) in self.xsks.halves() {
            let (pending, has_frames) = (tx.pending() > 0, rx.has_frames());
            let awaited = !pending && !has_frames;
            // Nothing comes back from where nothing is sent.
            let is_sending = tx.takes_frames() && (pending || tx.in_flight() > 0);
            if has_frames || is_sending {
                timeout = timeout.min(BUSY_SLEEP);
            }
            if let Some(socket) = rx.socket().filter(|_| awaited) {
                descriptors.push(socket);
            }
        }
        self.stats.sleeps += 1;
        let is_rung = descriptors.wait(timeout).map_err(|source| Error::System {
            operation: "wait for frames",
            source,
        })?;
        if is_rung {
            attention.alarm.reset();
        }
        self.xsks.follow(&self.links);
        self.xsks.wake_regardless()
    }

    fn publish(&mut self) -> Result<(), Error> {
        // As often is often enough.
        self.xsks.even_out();
        self.watch_transmissions()?;
        let counters = WorkerCounters {
            xsks: self.xsks.counters(self.stats.worker),
            worker: self.worker_stats(),
        };
        let published = self.publisher.publish(counters);
        published.map_err(|message| Error::WorkerPanicked {
            worker: self.stats.worker,
            message,
        })
    }

    /// Wakes the kernel where it keeps frames and finishes none, and reports that.
    fn watch_transmissions(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let seen = self.xsks.transmissions();
        let look = |(position, seen)| (position, self.watchdog.look(position, seen, now));
        let found = seen.enumerate().map(look);
        let found: Vec<_> = found.filter(|(_, it)| *it != Finding::Nothing).collect();
        for (position, finding) in found {
            let worker = self.stats.worker;
            let (interface, stall) = self.xsks.stall(position);
            let kind = match finding {
                Finding::Nothing => continue,
                Finding::Wake => {
                    self.xsks.wake_regardless()?;
                    continue;
                }
                Finding::Stalled(after) => EventKind::TransmitStalled {
                    worker,
                    after,
                    stall,
                },
                Finding::Resumed(after) => EventKind::TransmitResumed {
                    worker,
                    after,
                    stall,
                },
            };
            self.events.report(interface, kind);
        }
        Ok(())
    }

    fn worker_stats(&mut self) -> WorkerStats {
        self.stats.violations = self.xsks.violations();
        self.stats.cpu_time = thread_cpu_time();
        self.stats.clone()
    }
}

/// The labels of the xsks from the one at `first` on.
fn labels(xsks: &XskSet, first: usize) -> Vec<Labels> {
    let shared = xsks.receiving().iter().any(|rx| rx.xsk() != XskIndex(0));
    let labels = xsks.named().skip(first).map(|(name, rx)| Labels {
        interface: name.to_owned(),
        queue: rx.queue().get(),
        xsk: shared.then_some(rx.xsk().0),
    });
    labels.collect()
}
