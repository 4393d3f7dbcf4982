//! A worker without an engine: an application over simulated xsks.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::memory::Umem;
use crate::runtime::application::{Application, WorkerContext};
use crate::runtime::attention::Attention;
use crate::runtime::clock::Clock;
use crate::runtime::config::{ConfigError, DEFAULT_BATCH_SIZE};
use crate::runtime::stats::{Snapshot, Summary, WorkerStats, XskStats};
use crate::runtime::waker::Alarm;
use crate::runtime::xsk_set::{Round, XskSet};
use crate::xsk::{SimulatedNic, Xsk, XskConfig};

/// A worker on simulated xsks, to test an [`Application`] without a kernel and
/// without privileges. It runs the code that a worker of an [`Engine`](crate::Engine)
/// runs, one round at a time, on the calling thread; frames come from and go to a
/// [`SimulatedNic`] for each xsk. Its clock stands still until it is
/// [advanced](Self::advance).
///
/// ```
/// use wharf::{Application, Batch, InterfaceId, Outbox, RingCapacity};
/// use wharf::{SimulatedWorker, Umem, UmemConfig, XskConfig};
///
/// /// Sends what comes in on the first interface out on the second.
/// struct Forward;
///
/// impl Application for Forward {
///     fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
///         for frame in batch {
///             out.send(frame, InterfaceId(1));
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let umem = Umem::new(&UmemConfig::new(1024))?;
/// let config = |interface| XskConfig {
///     interface: InterfaceId(interface),
///     ..XskConfig::new(RingCapacity::new(256).expect("a power of two"))
/// };
/// let xsks = [config(0), config(1)];
/// let (mut worker, mut nics) = SimulatedWorker::new(&umem, &xsks, Forward)?;
///
/// assert!(nics[0].deliver(b"a packet of bytes"));
/// assert!(worker.round());
/// assert_eq!(nics[1].transmitted().as_deref(), Some(&b"a packet of bytes"[..]));
/// assert!(worker.round(), "the chunk comes back");
/// assert!(!worker.round(), "nothing is left to do");
///
/// assert!(worker.finish().is_conserved());
/// # Ok(())
/// # }
/// ```
pub struct SimulatedWorker<A> {
    application: A,
    xsks: XskSet,
    context: WorkerContext,
    rounds: u64,
    started: Instant,
    has_stopped: bool,
}

impl<A: Application> SimulatedWorker<A> {
    /// Frames that an application receives at once, as an engine does by
    /// [default](crate::EngineBuilder::DEFAULT_BATCH_SIZE).
    const BATCH_SIZE: u32 = DEFAULT_BATCH_SIZE;

    /// A worker with a simulated queue of `umem` for each of `configs`, and the NICs
    /// on their other sides: one for each xsk, in order. A queue has as many xsks as
    /// its [configuration](XskConfig::xsks) says.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when there are no xsks, [`Error::Umem`] when there is no
    /// memory for their rings, and [`Error::Xsk`] when they are too many.
    pub fn new(
        umem: &Umem,
        configs: &[XskConfig],
        application: A,
    ) -> Result<(Self, Vec<SimulatedNic>), Error> {
        Self::new_with(umem, configs, |_| application)
    }

    /// As [`new`](Self::new), with an application that is made from its context, as an
    /// engine's [factory](crate::EngineBuilder::start) does. The worker has no CPU, and its
    /// queues have no reports.
    ///
    /// # Errors
    ///
    /// As those of [`new`](Self::new).
    pub fn new_with(
        umem: &Umem,
        configs: &[XskConfig],
        application: impl FnOnce(&WorkerContext) -> A,
    ) -> Result<(Self, Vec<SimulatedNic>), Error> {
        if configs.is_empty() {
            return Err(ConfigError::Zero { what: "xsks" }.into());
        }
        let (mut xsks, mut nics) = (Vec::new(), Vec::new());
        for config in configs {
            let (first, nic) = Xsk::simulated(umem, config)?;
            let others: Vec<_> = (1..config.xsks.max(1))
                .map(|_| nic.share())
                .collect::<Result<_, _>>()?;
            xsks.push(first);
            nics.push(nic);
            for (xsk, nic) in others {
                xsks.push(xsk);
                nics.push(nic);
            }
        }
        let named = xsks.into_iter().map(|xsk| ("simulated".to_owned(), xsk));
        let alarm = Arc::new(Alarm::without_descriptor());
        let attention = Rc::new(Attention::new(alarm, Clock::simulated()));
        let xsks = XskSet::new(
            umem.clone(),
            named.collect(),
            Self::BATCH_SIZE,
            Rc::clone(&attention),
        );
        let context = WorkerContext {
            worker: 0,
            cpu: None,
            umem: umem.clone(),
            queues: Vec::new(),
            attention,
        };
        let worker = Self {
            application: application(&context),
            xsks,
            context,
            rounds: 0,
            started: Instant::now(),
            has_stopped: false,
        };
        Ok((worker, nics))
    }

    /// The most frames that the application receives at once;
    /// [`DEFAULT_BATCH_SIZE`](crate::EngineBuilder::DEFAULT_BATCH_SIZE) unless this
    /// is called. Zero counts as one.
    #[must_use]
    pub fn batch_size(mut self, frames: u32) -> Self {
        self.xsks.set_batch_size(frames.max(1));
        self
    }

    /// One round of a worker's loop: the hooks of what has come or is due, the batches
    /// of each xsk, and the application's [`idle`](Application::idle) if no xsk had
    /// anything to do. Returns whether there was something, or `idle` asked for the
    /// [next round](crate::Idle::Again) at once: where this returns `false`, an engine's
    /// worker may go to sleep, until [`due`](Self::due) at the most.
    ///
    /// [Watched](WorkerContext::watch) descriptors are looked at in every round.
    ///
    /// # Panics
    ///
    /// When the application does, or the kernel cannot say which watched descriptors
    /// are ready.
    #[inline]
    pub fn round(&mut self) -> bool {
        self.rounds += 1;
        let application = &mut self.application;
        let attended = self.xsks.attend(application);
        attended.expect("the kernel knows what is ready");
        let round = self.xsks.round_or_idle(application);
        let round = round.expect("a simulated xsk needs no waking");
        round == Round::Progress || self.context.attention.is_due()
    }

    /// The application's call when the engine stops ([`Application::finish`]), once.
    /// Rounds after it are those in which an engine's worker drains. Where
    /// this is not called, [`finish`](Self::finish) does it.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.has_stopped, true) {
            self.xsks.finish(&mut self.application);
        }
    }

    /// What the application knows of the worker, and how other threads wake it.
    #[must_use]
    pub fn context(&self) -> &WorkerContext {
        &self.context
    }

    /// The time by the worker's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.context.now()
    }

    /// Moves the worker's clock. What is due then is called for in the next round.
    pub fn advance(&mut self, by: Duration) {
        self.context.attention.clock.advance(by);
    }

    /// When the next round is due although no frame has come: the next
    /// [tick](crate::Outbox::tick_at), or what the last call of `idle`
    /// [asked for](crate::Idle::Until).
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.context.attention.due()
    }

    /// The application.
    pub fn application(&mut self) -> &mut A {
        &mut self.application
    }

    /// The counters now. What the XDP program counts of an engine's xsks is counted
    /// at the RX ring here.
    pub fn stats(&mut self) -> Snapshot {
        let xsks = self.xsks.counters(0);
        self.snapshot(xsks)
    }

    /// Ends as an engine's worker does, and drops the application. Frames that the
    /// NICs have not sent are [unfinished](crate::DropReason::TxUnfinished).
    pub fn finish(mut self) -> Summary {
        self.stop();
        let Self {
            mut application,
            mut xsks,
            context,
            rounds,
            started,
            ..
        } = self;
        xsks.end_transmissions(&mut application);
        drop((application, context));
        let audit = xsks.abandon();
        let counters = xsks.last_counters(0);
        Summary {
            stats: snapshot(&xsks, counters, rounds, started.elapsed()),
            rule_hits: Vec::new(),
            audits: vec![audit],
            workers: 1,
            outcome: Ok(()),
        }
    }

    fn snapshot(&self, counters: Vec<XskStats>) -> Snapshot {
        snapshot(&self.xsks, counters, self.rounds, self.started.elapsed())
    }
}

fn snapshot(
    xsks: &XskSet,
    mut counters: Vec<XskStats>,
    rounds: u64,
    elapsed: Duration,
) -> Snapshot {
    for xsk in &mut counters {
        xsk.counters.frames_in = xsk.counters.received_or_dropped();
    }
    let worker = WorkerStats {
        rounds,
        violations: xsks.violations(),
        ..WorkerStats::default()
    };
    Snapshot {
        elapsed,
        queues: Vec::new(),
        xsks: counters,
        workers: vec![worker],
    }
}

impl<A> std::fmt::Debug for SimulatedWorker<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedWorker")
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{InterfaceId, RingCapacity};
    use crate::memory::UmemConfig;
    use crate::runtime::application::Idle;
    use crate::runtime::drops::DropReason;
    use crate::runtime::outbox::Outbox;
    use crate::xsk::{Batch, Completions, Outcome};

    const RING: u32 = 64;

    fn config(interface: usize) -> XskConfig {
        XskConfig {
            interface: InterfaceId(interface),
            ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
        }
    }

    fn umem() -> Umem {
        Umem::new(&UmemConfig::new(512)).expect("memory for a UMEM")
    }

    /// Sends each frame to the interface that its first byte names; drops those that
    /// name 9.
    struct Sort;

    impl Application for Sort {
        fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
            for frame in batch {
                match frame[0] {
                    9 => drop(frame),
                    to => out.send(frame, InterfaceId(to.into())),
                }
            }
        }
    }

    #[test]
    fn frames_leave_where_the_application_sends_them() {
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0), config(1)], Sort).expect("two xsks");
        for to in [1, 0, 1, 9, 7] {
            assert!(nics[0].deliver(&[to, 2, 3]));
        }

        assert!(worker.round());

        let mut sent = |nic: usize| -> Vec<_> {
            std::iter::from_fn(|| nics[nic].transmitted().map(|bytes| bytes[0])).collect()
        };
        assert_eq!(sent(0), [0]);
        assert_eq!(sent(1), [1, 1]);
        assert!(worker.round(), "completions");
        assert!(!worker.round());
        let summary = worker.finish();
        assert!(summary.is_conserved(), "{summary:?}");
        let totals = summary.stats.totals();
        assert_eq!((totals.frames_in, totals.tx_frames), (5, 3));
        assert_eq!(totals.drops.get(DropReason::Application), 1);
        assert_eq!(totals.drops.get(DropReason::TxRefused), 1, "no interface 7");
    }

    #[test]
    fn frames_that_the_nic_never_sent_are_unfinished_at_the_end() {
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0)], Sort).expect("an xsk");
        assert!(nics[0].deliver(&[0]));
        worker.round();

        let summary = worker.finish();

        assert!(summary.is_conserved(), "{summary:?}");
        let drops = summary.stats.totals().drops;
        assert_eq!(drops.get(DropReason::TxUnfinished), 1);
    }

    #[test]
    fn every_xsk_of_a_queue_has_a_nic() {
        let shared = XskConfig {
            xsks: 3,
            ..config(0)
        };
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[shared, config(1)], Sort).expect("four xsks");
        assert_eq!(nics.len(), 4);
        assert!(nics[2].deliver(&[1]));

        worker.round();

        assert_eq!(nics[3].transmitted().as_deref(), Some(&[1][..]));
        let received = worker.stats().xsks;
        let received: Vec<_> = received.iter().map(|xsk| xsk.counters.rx_frames).collect();
        assert_eq!(received, [0, 0, 1, 0]);
    }

    #[test]
    fn idle_application_may_ask_for_the_next_round() {
        struct Greet(u32);
        impl Application for Greet {
            fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
                batch.for_each(drop);
            }
            fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
                if self.0 == 0 {
                    return Idle::Sleep;
                }
                self.0 -= 1;
                let mut frame = out.allocate().expect("a free chunk");
                frame.grow_back(4).expect("room").fill(7);
                out.send(frame, InterfaceId(0));
                Idle::Again
            }
        }
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0)], Greet(2)).expect("an xsk");

        let rounds: Vec<_> = (0..3).map(|_| worker.round()).collect();

        assert_eq!(rounds, [true, true, false]);
        assert_eq!(nics[0].transmitted().as_deref(), Some(&[7; 4][..]));
        assert_eq!(nics[0].transmitted().as_deref(), Some(&[7; 4][..]));
        assert_eq!(worker.application().0, 0);
        let summary = worker.finish();
        assert!(summary.is_conserved(), "{summary:?}");
        assert_eq!(summary.stats.totals().frames_made, 2);
    }

    #[test]
    fn application_that_forgets_its_batches_goes_on_receiving() {
        struct Forget;
        impl Application for Forget {
            fn receive(&mut self, mut batch: Batch<'_>, _: &mut Outbox<'_>) {
                batch.by_ref().for_each(drop);
                std::mem::forget(batch);
            }
        }
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0)], Forget).expect("an xsk");

        for _ in 0..3 {
            // As many as the RX ring has slots.
            assert!((0..RING).all(|_| nics[0].deliver(&[0])));
            worker.round();
            worker.round();
        }

        let summary = worker.finish();
        assert!(summary.is_conserved(), "{summary:?}");
        assert_eq!(summary.stats.totals().frames_in, u64::from(3 * RING));
    }

    /// Sends each frame back with the next cookie, and notes what it reads; it reads `most`
    /// in a call.
    struct Tag {
        next: u64,
        most: usize,
        read: Vec<(u64, Outcome)>,
    }

    impl Application for Tag {
        fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
            for frame in batch {
                let sent = out.send_tagged(frame, self.next, InterfaceId(0));
                self.next += u64::from(sent);
            }
        }
        fn completed(&mut self, completions: Completions<'_>, _: &mut Outbox<'_>) {
            assert!(!completions.is_empty(), "it is not called for nothing");
            let read = completions.take(self.most);
            self.read.extend(read.map(|it| (it.cookie, it.outcome)));
        }
    }

    #[test]
    fn completions_reach_the_application_and_what_it_leaves_comes_again() {
        let tag = Tag {
            next: 0,
            most: 2,
            read: Vec::new(),
        };
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0)], tag).expect("an xsk");
        assert!((0..5).all(|_| nics[0].deliver(&[0])));
        worker.round();
        assert!(worker.application().read.is_empty());
        while nics[0].transmitted().is_some() {}

        let read: Vec<_> = (0..4)
            .map(|_| (worker.round(), worker.application().read.len()))
            .collect();

        assert_eq!(read, [(true, 2), (true, 4), (true, 5), (false, 5)]);
        let cookies = worker.application().read.iter().map(|read| read.0);
        assert!(cookies.eq(0..5));
    }

    #[test]
    fn what_was_to_be_reported_is_reported_at_the_end() {
        struct Ends<'a>(Tag, &'a std::cell::RefCell<Vec<(u64, Outcome)>>);
        impl Application for Ends<'_> {
            fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
                self.0.receive(batch, out);
            }
            fn completed(&mut self, completions: Completions<'_>, out: &mut Outbox<'_>) {
                self.0.completed(completions, out);
                let mut frame = out.allocate().expect("a free chunk");
                frame.grow_back(4).expect("room").fill(7);
                assert!(!out.send_tagged(frame, 99, InterfaceId(0)), "it is over");
            }
        }
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.1.borrow_mut().append(&mut self.0.read);
            }
        }
        let read = std::cell::RefCell::default();
        let tag = Tag {
            next: 0,
            most: usize::MAX,
            read: Vec::new(),
        };
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[config(0)], Ends(tag, &read)).expect("an xsk");
        assert!((0..3).all(|_| nics[0].deliver(&[0])));
        worker.round();
        assert!(nics[0].transmitted().is_some());

        let summary = worker.finish();

        let expected = [
            (0, Outcome::Sent),
            (1, Outcome::Aborted),
            (2, Outcome::Aborted),
        ];
        assert_eq!(*read.borrow(), expected);
        assert!(summary.is_conserved(), "{summary:?}");
        let totals = summary.stats.totals();
        assert_eq!((totals.tx_frames, totals.frames_made), (1, 1));
        assert_eq!(totals.drops.get(DropReason::TxUnfinished), 2);
        assert_eq!(totals.drops.get(DropReason::TxRefused), 1);
    }

    #[test]
    fn cookies_without_a_place_are_dropped_and_counted() {
        struct Never(u64);
        impl Application for Never {
            fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
                for frame in batch {
                    self.0 += u64::from(out.send_tagged(frame, 0, InterfaceId(0)));
                }
            }
            fn completed(&mut self, completions: Completions<'_>, _: &mut Outbox<'_>) {
                assert_eq!(completions.peek_all().count(), completions.len());
            }
        }
        let two = XskConfig {
            completions: Some(2),
            ..config(0)
        };
        let (mut worker, mut nics) =
            SimulatedWorker::new(&umem(), &[two], Never(0)).expect("an xsk");
        for _ in 0..4 {
            assert!(nics[0].deliver(&[0]));
            worker.round();
            nics[0].transmitted();
        }

        assert_eq!(worker.application().0, 2);
        let summary = worker.finish();
        assert!(summary.is_conserved(), "{summary:?}");
        let drops = summary.stats.totals().drops;
        assert_eq!(drops.get(DropReason::TxCompletionsFull), 2);
    }

    #[test]
    fn worker_without_xsks_is_refused() {
        let error = SimulatedWorker::new(&umem(), &[], Sort).map(drop);

        assert!(matches!(
            error,
            Err(Error::Config(ConfigError::Zero { .. }))
        ));
    }
}
