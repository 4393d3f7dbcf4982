//! The application's hooks on a simulated worker, whose clock the tests move.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::kernel::{InterfaceId, RingCapacity};
use crate::memory::{DetachedFrame, Frame, Umem, UmemConfig};
use crate::xsk::{Batch, SimulatedNic, XskConfig};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What was called, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Tick,
    Woken,
    Ready(WatchToken),
    Finish,
}

/// Notes what is called, does what it is told, and keeps what it receives until the end.
#[derive(Default)]
struct Note {
    calls: Vec<Called>,
    held: Vec<Frame>,
    /// Asked for in each tick: the next one, so long after.
    tick_again: Option<Duration>,
    /// Returned by `idle`, so long after now.
    until: Option<Duration>,
    /// Unwatched in `ready`, whatever is ready.
    unwatch: Vec<WatchToken>,
    idled: u32,
}

impl Application for Note {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        self.held.extend(batch);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        self.idled += 1;
        let until = self.until.map(|after| Idle::Until(out.now() + after));
        until.unwrap_or(Idle::Sleep)
    }

    fn tick(&mut self, now: std::time::Instant, out: &mut Outbox<'_>) {
        assert_eq!(now, out.now());
        self.calls.push(Called::Tick);
        if let Some(after) = self.tick_again {
            out.tick_at(now + after);
        }
    }

    fn woken(&mut self, _: &mut Outbox<'_>) {
        self.calls.push(Called::Woken);
    }

    fn ready(&mut self, token: WatchToken, out: &mut Outbox<'_>) {
        self.calls.push(Called::Ready(token));
        for token in self.unwatch.drain(..) {
            assert!(out.unwatch(token));
        }
    }

    fn finish(&mut self, out: &mut Outbox<'_>) {
        self.calls.push(Called::Finish);
        self.held.drain(..).for_each(|frame| out.send_back(frame));
    }
}

fn worker_of<A: Application>(
    make: impl FnOnce(&WorkerContext) -> A,
) -> (SimulatedWorker<A>, SimulatedNic) {
    let umem = Umem::new(&UmemConfig::new(64)).expect("memory for a UMEM");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let (worker, mut nics) = SimulatedWorker::new_with(&umem, &[config], make).expect("an xsk");
    (worker, nics.remove(0))
}

fn worker() -> (SimulatedWorker<Note>, SimulatedNic) {
    worker_of(|_| Note::default())
}

#[test]
fn tick_comes_when_it_is_due_whatever_the_load() {
    let (mut worker, mut nic) = worker_of(|context| {
        context.tick_at(context.now() + MILLISECOND);
        Note {
            tick_again: Some(MILLISECOND),
            ..Note::default()
        }
    });

    for _ in 0..30 {
        assert!(nic.deliver(b"load"));
        assert!(worker.round());
        worker.advance(MILLISECOND / 10);
    }

    assert_eq!(worker.application().idled, 0);
    // Due after 1, 2 and 3 ms, of which the last has not been looked at.
    assert_eq!(worker.application().calls, [Called::Tick; 2]);
    worker.round();
    assert_eq!(worker.application().calls, [Called::Tick; 3]);
}

#[test]
fn ticks_that_were_missed_are_one() {
    let (mut worker, _nic) = worker_of(|context| {
        (1..=5).for_each(|after| context.tick_at(context.now() + MILLISECOND * after));
        Note::default()
    });
    assert_eq!(worker.due(), Some(worker.now() + MILLISECOND));

    worker.advance(10 * MILLISECOND);

    worker.round();
    worker.round();
    assert_eq!(worker.application().calls, [Called::Tick]);
    assert_eq!(worker.due(), None);
}

#[test]
fn tick_that_asks_for_one_at_once_comes_once_a_round() {
    let (mut worker, _nic) = worker_of(|context| {
        context.tick_at(context.now());
        Note {
            tick_again: Some(Duration::ZERO),
            ..Note::default()
        }
    });

    assert!(worker.round(), "it goes on at once");
    assert!(worker.round());

    assert_eq!(worker.application().calls, [Called::Tick; 2]);
}

#[test]
fn worker_may_sleep_until_the_time_that_idle_returned() {
    let (mut worker, _nic) = worker();
    worker.application().until = Some(3 * MILLISECOND);

    assert!(!worker.round());

    assert_eq!(worker.due(), Some(worker.now() + 3 * MILLISECOND));
    worker.application().until = Some(Duration::ZERO);
    assert!(worker.round(), "as with `Idle::Again`");
}

#[test]
fn wakes_before_the_first_round_are_one_and_come_first() {
    let (mut worker, _nic) = worker_of(|context| {
        context.waker().wake();
        context.tick_at(context.now());
        Note::default()
    });
    worker.context().waker().wake();

    worker.round();
    worker.round();

    assert_eq!(worker.application().calls, [Called::Woken, Called::Tick]);
}

#[test]
fn waker_is_harmless_when_the_worker_has_gone() {
    let (worker, _nic) = worker();
    let waker = worker.context().waker();
    assert!(worker.finish().is_conserved());

    waker.wake();
    thread::spawn(move || waker.wake())
        .join()
        .expect("it only wakes");
}

#[test]
fn application_may_wake_its_own_worker() {
    struct Again(u32);
    impl Application for Again {
        fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
            batch.for_each(drop);
        }
        fn woken(&mut self, out: &mut Outbox<'_>) {
            self.0 += 1;
            out.waker().wake();
        }
    }
    let (mut worker, _nic) = worker_of(|context| {
        context.waker().wake();
        Again(0)
    });

    worker.round();
    worker.round();

    assert_eq!(worker.application().0, 2, "once a round");
}

/// Hands its frames to a thread, and sends what comes back as it is woken.
struct Offload {
    to: Sender<DetachedFrame>,
    back: Receiver<DetachedFrame>,
}

impl Application for Offload {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for frame in batch {
            self.to.send(frame.detach()).expect("the thread is there");
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        for frame in self.back.try_iter() {
            let frame = out.umem().attach(frame).expect("it is of this UMEM");
            out.send(frame, InterfaceId(0));
        }
    }
}

#[test]
fn frames_come_back_from_a_thread_and_are_sent_in_the_round_after_the_wake() {
    let (to, from_worker) = channel::<DetachedFrame>();
    let (to_worker, back) = channel();
    let (mut worker, mut nic) = worker_of(|_| Offload { to, back });
    let waker = worker.context().waker();
    let thread = thread::spawn(move || {
        for mut frame in from_worker.iter().take(3) {
            frame[0] = b'B';
            to_worker.send(frame).expect("the worker is there");
            waker.wake();
        }
    });
    assert!((0..3).all(|_| nic.deliver(b"bytes")));
    worker.round();

    thread.join().expect("it has sent all");
    worker.round();

    let sent: Vec<_> = std::iter::from_fn(|| nic.transmitted()).collect();
    assert_eq!(sent, [b"Bytes"; 3]);
    worker.round();
    assert!(worker.finish().is_conserved());
}

#[test]
fn wake_takes_back_the_frames_that_threads_dropped() {
    struct HandOver(Sender<DetachedFrame>);
    impl Application for HandOver {
        fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
            batch.for_each(|frame| self.0.send(frame.detach()).expect("it is kept"));
        }
    }
    let (to, kept) = channel();
    let (mut worker, mut nic) = worker_of(|_| HandOver(to));
    worker.round();
    // More than there are chunks: the floor stays with the NIC.
    for _ in 0..100 {
        assert!(nic.deliver(b"starve"));
        worker.round();
    }
    let waker = worker.context().waker();
    let frames = thread::spawn(move || {
        let frames = kept.try_iter().count();
        waker.wake();
        frames
    });
    let frames = frames.join().expect("it only drops");

    worker.round();

    assert!(frames > 0);
    // The audit posts none.
    assert_eq!(worker.context().umem.audit().fill, 64);
}

#[test]
fn watched_descriptor_is_called_for_until_it_is_read_or_unwatched() {
    let (mut worker, _nic) = worker();
    let (mut peer, own) = UnixStream::pair().expect("a pair");
    let token = worker
        .context()
        .watch(&own, Interest::Readable)
        .expect("a socket");
    worker.round();
    assert_eq!(worker.application().calls, []);

    peer.write_all(b"x").expect("room for a byte");
    worker.round();
    worker.round();

    assert_eq!(worker.application().calls, [Called::Ready(token); 2]);
    worker.application().unwatch = vec![token];
    worker.round();
    worker.round();
    assert_eq!(worker.application().calls, [Called::Ready(token); 3]);
}

#[test]
fn peer_that_has_gone_makes_a_watched_descriptor_ready() {
    let (mut worker, _nic) = worker();
    let (peer, own) = UnixStream::pair().expect("a pair");
    let context = worker.context();
    let token = context.watch(&own, Interest::Readable).expect("a socket");
    // The worker has its own.
    drop(own);
    worker.round();
    assert_eq!(worker.application().calls, []);

    drop(peer);
    worker.round();

    assert_eq!(worker.application().calls, [Called::Ready(token)]);
}

#[test]
fn descriptor_that_another_call_unwatched_is_not_called_for() {
    let (mut worker, _nic) = worker();
    let (own, _peer) = UnixStream::pair().expect("a pair");
    let watch = |_| {
        let context = worker.context();
        context.watch(&own, Interest::Writable).expect("a socket")
    };
    let tokens: Vec<_> = (0..2).map(watch).collect();
    worker.application().unwatch.clone_from(&tokens);

    worker.round();
    worker.round();

    assert_eq!(worker.application().calls.len(), 1);
}

#[test]
fn more_descriptors_than_one_look_takes_are_all_called_for() {
    let (mut worker, _nic) = worker();
    let (own, _peer) = UnixStream::pair().expect("a pair");
    let watch = |_| {
        let context = worker.context();
        context.watch(&own, Interest::Both).expect("a socket")
    };
    let tokens: Vec<_> = (0..100).map(watch).collect();

    for _ in 0..4 {
        worker.round();
    }

    let calls = &worker.application().calls;
    let missing = tokens
        .iter()
        .filter(|token| !calls.contains(&Called::Ready(**token)));
    assert_eq!(missing.count(), 0);
}

#[test]
fn file_that_is_always_ready_is_refused() {
    let (worker, _nic) = worker();
    let file = std::fs::File::open("/proc/self/exe").expect("this program");

    let refused = worker.context().watch(&file, Interest::Readable);

    let error = refused.expect_err("always ready");
    assert!(matches!(error, Error::AlwaysReady), "{error}");
    assert!(error.to_string().contains("always ready"), "{error}");
}

#[test]
fn held_frames_are_sent_as_the_worker_stops() {
    let (mut worker, mut nic) = worker();
    assert!(nic.deliver(b"held"));
    worker.round();
    assert_eq!(nic.transmitted(), None);

    worker.stop();
    worker.round();

    assert_eq!(nic.transmitted().as_deref(), Some(&b"held"[..]));
    worker.round();
    assert_eq!(worker.application().calls, [Called::Finish]);
    let summary = worker.finish();
    assert!(summary.is_conserved(), "{summary:?}");
    assert_eq!(summary.stats.totals().tx_frames, 1);
}

#[test]
fn context_that_is_kept_outlives_the_worker() {
    let (worker, _nic) = worker();
    let context = worker.context().clone();
    let summary = worker.finish();
    assert!(summary.is_conserved(), "{summary:?}");

    context.waker().wake();
    context.tick_at(context.now());
    let (own, _peer) = UnixStream::pair().expect("a pair");
    context.watch(&own, Interest::Both).expect("a socket");
}
