//! One worker: a thread pinned to a CPU, with a UMEM and a queue or more of each
//! interface, that runs the application over them. Each xsk of a queue is served
//! as a queue of its own.
//!
//! ```text
//!   a round:  completions → fill rings → receive a batch of each queue
//!             → the application → one wake-up per queue
//! ```
//!
//! Workers share nothing on the data path.

use std::time::{Duration, Instant};

use crate::kernel::KernelStatistics;
use crate::kernel::XskIndex;
use crate::kernel::sys::wait::{PollSet, thread_cpu_time};
use crate::memory::{Audit, Umem};
use crate::runtime::Error;
use crate::runtime::Wait;
use crate::runtime::application::{Application, Idle, Outbox, Refusals, Routes, Stop};
use crate::runtime::counters::{Labels, Published, Publisher};
use crate::runtime::shutdown::Shutdown;
use crate::runtime::stats::{DropReason, Drops, WorkerStats, XskStats};
use crate::xsk::{self, WakeError, XskRx, XskTx};

/// Empty rounds before an adaptive worker sleeps. A round over two empty queues
/// takes some 50 ns, so this is a few tens of microseconds: longer than the gap
/// between frames at 100,000 a second, shorter than what a sleep costs.
const SPIN_ROUNDS: u32 = 512;

/// Rounds between two looks at the clock.
const CLOCK_ROUNDS: u64 = 32;

/// The longest sleep when nothing is under way. It bounds how late counters are
/// published and detached frames are collected.
const IDLE_SLEEP: Duration = Duration::from_millis(100);

/// The longest sleep while something is under way that no descriptor tells of:
/// frames the kernel has not taken, or has not given back.
const BUSY_SLEEP: Duration = Duration::from_millis(1);

/// How long a stopping worker waits for frames in flight.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How long the RX rings must have been quiet before a stopping worker goes.
const DRAIN_QUIET: Duration = Duration::from_millis(5);

/// What a round did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Progress,
    Nothing,
}

/// A worker's queues, and all it needs to run them. Field order is drop order:
/// queues go before the handle of their UMEM.
pub(crate) struct Worker {
    rx: Vec<XskRx>,
    tx: Vec<XskTx>,
    /// Interface names in the order of `tx`, for errors.
    names: Vec<String>,
    /// Queues on which the kernel does not send any more: their interface is gone or
    /// down, or it refused a frame. Nothing more comes back.
    dead: Vec<bool>,
    refusals: Vec<Refusals>,
    routes: Routes,
    poll: PollSet,
    umem: Umem,
    batch_size: u32,
    wait: Wait,
    publisher: Publisher,
    stats: WorkerStats,
    /// The kernel's counters as last read.
    kernel: Vec<KernelStatistics>,
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) worker: usize,
    pub(crate) cpu: Option<usize>,
    pub(crate) umem: Umem,
    pub(crate) queues: Vec<(String, xsk::Xsk)>,
    pub(crate) batch_size: u32,
    pub(crate) wait: Wait,
    pub(crate) board: crate::runtime::counters::Board,
}

impl Worker {
    pub(crate) fn new(parts: WorkerParts, shutdown: &Shutdown) -> Self {
        let (names, queues): (Vec<_>, Vec<_>) = parts.queues.into_iter().unzip();
        let (rx, tx): (Vec<_>, Vec<_>) = queues.into_iter().map(xsk::Xsk::into_halves).unzip();
        let stop = |(rx, tx): (&XskRx, &XskTx)| Stop {
            interface: rx.interface(),
            queue: rx.queue(),
            xsk: rx.xsk(),
            sends: tx.sends(),
        };
        let stops: Vec<_> = rx.iter().zip(&tx).map(stop).collect();
        let shared = rx.iter().any(|rx| rx.xsk() != XskIndex(0));
        let labels = names.iter().zip(&rx).map(|(name, rx)| Labels {
            interface: name.clone(),
            queue: rx.queue().get(),
            xsk: shared.then_some(rx.xsk().0),
        });
        let publisher = Publisher::new(parts.board, labels);
        let mut poll = PollSet::default();
        rx.iter()
            .filter_map(XskRx::socket)
            .for_each(|fd| poll.push(fd));
        poll.push(shutdown.alarm(parts.worker));
        Self {
            dead: vec![false; tx.len()],
            refusals: vec![Refusals::default(); tx.len()],
            routes: Routes::new(&stops),
            kernel: vec![KernelStatistics::default(); tx.len()],
            rx,
            tx,
            names,
            poll,
            umem: parts.umem,
            batch_size: parts.batch_size,
            wait: parts.wait,
            publisher,
            stats: WorkerStats {
                worker: parts.worker,
                cpu: parts.cpu,
                ..WorkerStats::default()
            },
        }
    }

    /// Runs the application until the engine stops.
    ///
    /// # Errors
    ///
    /// When an interface is gone or down.
    pub(crate) fn run(
        &mut self,
        application: &mut impl Application,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut empty_rounds = 0;
        let mut next_look = 0;
        while !shutdown.is_requested() {
            self.stats.rounds += 1;
            if self.stats.rounds >= next_look {
                next_look = self.stats.rounds + CLOCK_ROUNDS;
                if self.publisher.is_due() {
                    self.publish();
                }
            }
            if self.round(application)? == Round::Progress {
                empty_rounds = 0;
                continue;
            }
            if self.idle(application)? == Idle::Again {
                empty_rounds = 0;
            } else {
                empty_rounds += 1;
            }
            let spins = match self.wait {
                Wait::Spin => true,
                Wait::Adaptive => empty_rounds < SPIN_ROUNDS,
                Wait::Poll => empty_rounds == 0,
            };
            if spins {
                std::hint::spin_loop();
            } else {
                self.sleep()?;
            }
        }
        Ok(())
    }

    /// Handles what is still on its way after the program was detached: runs the
    /// application over frames in the RX rings, and waits until the kernel has
    /// sent what it was given, for a second at the most.
    pub(crate) fn drain(&mut self, application: &mut impl Application) {
        let started = Instant::now();
        let mut active = started;
        loop {
            let round = self.round(application);
            let now = Instant::now();
            if matches!(round, Ok(Round::Progress)) {
                active = now;
            }
            let in_flight = self
                .tx
                .iter()
                .zip(&self.dead)
                .any(|(tx, dead)| !dead && tx.in_flight() > 0);
            let quiet = now.duration_since(active) >= DRAIN_QUIET;
            if (quiet && !in_flight) || now.duration_since(started) >= DRAIN_TIME {
                return;
            }
            if !matches!(round, Ok(Round::Progress)) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Takes the audit, publishes the last counters and closes the queues.
    pub(crate) fn finish(mut self) -> Audit {
        self.rx.iter_mut().for_each(XskRx::abandon);
        let audit = self.umem.audit();
        let mut counters = self.counters();
        for (stats, tx) in counters.queues.iter_mut().zip(&self.tx) {
            let unfinished = u64::from(tx.in_flight());
            stats.drops.set(DropReason::TxUnfinished, unfinished);
            stats.tx_in_flight = 0;
        }
        self.publisher.publish_last(counters);
        audit
    }

    fn round(&mut self, application: &mut impl Application) -> Result<Round, Error> {
        let mut round = Round::Nothing;
        for tx in &mut self.tx {
            if tx.complete() > 0 {
                round = Round::Progress;
            }
        }
        for source in 0..self.rx.len() {
            let rx = &mut self.rx[source];
            rx.top_up();
            let before = rx.counters().frames;
            let batch = rx.receive(self.batch_size);
            if batch.is_empty() {
                continue;
            }
            let mut out = Outbox {
                umem: &self.umem,
                queues: &mut self.tx,
                refusals: &mut self.refusals,
                source,
                routes: self.routes.row(source),
            };
            application.receive(batch, &mut out);
            if self.rx[source].counters().frames != before {
                round = Round::Progress;
            }
        }
        self.wake()?;
        Ok(round)
    }

    fn idle(&mut self, application: &mut impl Application) -> Result<Idle, Error> {
        let mut out = Outbox {
            umem: &self.umem,
            queues: &mut self.tx,
            refusals: &mut self.refusals,
            source: 0,
            routes: self.routes.row(0),
        };
        let idle = application.idle(&mut out);
        self.wake()?;
        Ok(idle)
    }

    fn wake(&mut self) -> Result<(), Error> {
        self.wake_with(XskTx::wake)
    }

    fn wake_with(&mut self, wake: fn(&mut XskTx) -> Result<(), WakeError>) -> Result<(), Error> {
        let mut outcome = Ok(());
        for (place, tx) in self.tx.iter_mut().enumerate() {
            // Once it has said no, asking again does harm: Linux 6.18 adds an
            // entry to the completion ring each time that it refuses a frame's
            // metadata.
            if self.dead[place] {
                continue;
            }
            let Err(error) = wake(tx) else { continue };
            self.dead[place] = true;
            let interface = self.names[place].clone();
            outcome = Err(match error {
                WakeError::Down => Error::InterfaceLost {
                    interface,
                    what: crate::runtime::shutdown::SET_DOWN,
                },
                WakeError::Gone => Error::InterfaceLost {
                    interface,
                    what: crate::runtime::shutdown::REMOVED,
                },
                WakeError::Other(source) => Error::Send { interface, source },
            });
        }
        outcome
    }

    /// Sleeps until a frame arrives, the engine stops, or it is time to look
    /// after what is under way.
    ///
    /// In copy mode, waiting on a socket sends what is in its TX ring and
    /// swallows the error that tells of a lost frame, so a socket whose ring is
    /// not empty is left out; so is one whose frames the application does not
    /// take now, which would end the wait at once.
    fn sleep(&mut self) -> Result<(), Error> {
        let mut timeout = IDLE_SLEEP;
        for (place, (rx, tx)) in self.rx.iter_mut().zip(&mut self.tx).enumerate() {
            let awaited = tx.pending() == 0 && !rx.has_frames();
            self.poll.set_active(place, awaited);
            if !awaited || tx.in_flight() > 0 {
                timeout = BUSY_SLEEP;
            }
        }
        if self.publisher.is_due() {
            self.publish();
        } else {
            // What has been counted since is published at the end of the sleep.
            timeout = timeout.min(self.publisher.due_in() + Duration::from_millis(1));
        }
        self.stats.sleeps += 1;
        self.poll.wait(timeout).map_err(|source| Error::System {
            operation: "wait for frames",
            source,
        })?;
        self.wake_with(XskTx::wake_regardless)
    }

    fn publish(&mut self) {
        let counters = self.counters();
        self.publisher.publish(counters);
    }

    fn counters(&mut self) -> Published {
        for (rx, kernel) in self.rx.iter().zip(&mut self.kernel) {
            // A counter that cannot be read stays what it was.
            *kernel = rx.kernel_statistics().unwrap_or(*kernel);
        }
        let made = self.tx.iter().map(|tx| tx.counters().made);
        let refused = self.refusals.iter().map(|refusals| refusals.made);
        self.stats.frames_made = made.chain(refused).sum();
        let queues = self.rx.iter().zip(&self.tx);
        self.stats.violations = queues.map(|(rx, tx)| xsk::violations(rx, tx)).sum();
        self.stats.cpu_time = thread_cpu_time();
        Published {
            worker: self.stats.clone(),
            queues: (0..self.rx.len())
                .map(|place| self.queue_stats(place))
                .collect(),
        }
    }

    fn queue_stats(&self, place: usize) -> XskStats {
        let (rx, tx) = (&self.rx[place], &self.tx[place]);
        let (received, sent) = (rx.counters(), tx.counters());
        let kernel = self.kernel[place];
        let refusals = self.refusals[place];
        let mut drops = Drops::default();
        drops.set(DropReason::RxNoChunk, kernel.rx_dropped);
        drops.set(DropReason::RxRingFull, kernel.rx_ring_full);
        drops.set(DropReason::RxThrottled, received.throttled);
        drops.set(DropReason::RxInvalid, received.invalid);
        drops.set(DropReason::Application, rx.discarded());
        drops.set(DropReason::TxRingFull, refusals.ring_full);
        drops.set(DropReason::TxRefused, refusals.refused);
        drops.set(DropReason::TxKernel, sent.dropped_by_kernel);
        drops.set(DropReason::TxInvalid, kernel.tx_invalid_descs);
        XskStats {
            interface: rx.interface(),
            queue: rx.queue().get(),
            xsk: rx.xsk().0,
            worker: self.stats.worker,
            // What the XDP program counted is the engine's to add.
            frames_in: 0,
            frames_passed: 0,
            frames_passed_no_xsk: 0,
            frames_dropped_by_rule: 0,
            rx_frames: received.frames,
            rx_bytes: received.bytes,
            tx_frames: sent
                .completed
                .saturating_sub(sent.dropped_by_kernel + kernel.tx_invalid_descs),
            tx_bytes: sent.bytes,
            tx_in_flight: u64::from(tx.in_flight()),
            drops,
            tx_wakeups: sent.wakeups,
            kernel,
        }
    }
}
