//! What an application is called for beside frames: wakes, ticks, descriptors, the end.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use wharf::{DetachedFrame, Interest, OnLinkDown, WatchToken, WorkerContext};

use super::*;

in_both_modes! {
    frames_come_back_from_a_thread_that_takes_its_time,
    ticks_come_under_load_and_while_the_interface_is_down,
    held_frames_are_sent_when_the_engine_stops,
}

/// Hands its frames to a thread, and sends what comes back.
struct Offload {
    to: Sender<DetachedFrame>,
    back: Receiver<DetachedFrame>,
}

impl Application for Offload {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            swap(&mut frame, 26, 30, 4);
            swap(&mut frame, 34, 36, 2);
            self.to.send(frame.detach()).expect("the thread is there");
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        for frame in self.back.try_iter() {
            let frame = out.umem().attach(frame).expect("it is of this UMEM");
            out.send_back(frame);
        }
    }
}

fn frames_come_back_from_a_thread_that_takes_its_time(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    for wait in [Wait::Poll, Wait::Adaptive, Wait::Spin] {
        let (_inside, builder) = on_server(&pair, attach);
        let started = builder.cpus([0]).wait(wait).start_with(|_| {
            move |context: &WorkerContext| {
                let (to, from_worker) = channel::<DetachedFrame>();
                let (to_worker, back) = channel();
                let waker = context.waker();
                std::thread::spawn(move || {
                    for frame in from_worker {
                        std::thread::sleep(Duration::from_micros(500));
                        if to_worker.send(frame).is_err() {
                            return;
                        }
                        waker.wake();
                    }
                });
                Offload { to, back }
            }
        });
        let engine = started.expect("it starts");
        let socket = pair
            .client()
            .run(|| UdpSocket::bind("0.0.0.0:0").expect("a port"));
        socket.connect((SERVER_IPV4, 7)).expect("a route");
        socket.set_read_timeout(Some(SOON)).expect("a bound");

        // With the 100 ms of a sleep each, they would take longer than the bound.
        let started = Instant::now();
        for sequence in 0..200 {
            let sent = SequencedPayload { flow: 1, sequence }.to_bytes(64);
            socket.send(&sent).expect("the kernel sends");
            let mut returned = [0; 2000];
            let len = socket.recv(&mut returned).expect("it comes back");
            assert_eq!(returned[..len], sent, "datagram {sequence}");
        }
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());

        let summary = stop(engine);
        assert_nothing_dropped(&summary);
        summary.outcome.expect("it was asked to stop");
    }
}

/// Counts its ticks, each of which asks for the next, and sends what it receives across.
struct Ticks {
    count: Arc<AtomicU64>,
    interval: Duration,
}

impl Ticks {
    fn new(context: &WorkerContext, count: &Arc<AtomicU64>) -> Self {
        let interval = Duration::from_millis(1);
        context.tick_at(context.now() + interval);
        Self {
            count: Arc::clone(count),
            interval,
        }
    }
}

impl Application for Ticks {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.send(frame, InterfaceId(1)));
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox<'_>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        out.tick_at(now + self.interval);
    }
}

fn wait_for_ticks(ticks: &AtomicU64, more: u64) {
    let before = ticks.load(Ordering::Relaxed);
    wait_until("ticks come", SOON, || {
        ticks.load(Ordering::Relaxed) >= before + more
    });
}

fn ticks_come_under_load_and_while_the_interface_is_down(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let ticks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ticks);
    let engine = builder
        .promiscuous()
        .start(move |context| Ticks::new(context, &counted))
        .expect("it starts");
    wait_for_ticks(&ticks, 100);

    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 200_000);
    wait_for_frames_in(&engine, 1000);
    wait_for_ticks(&ticks, 100);
    wire.right().set_down().expect("it can be");
    wait_for_ticks(&ticks, 100);
    wire.left().set_down().expect("it can be");
    wait_for_ticks(&ticks, 100);
    drop(stream);

    assert_conserved(&stop(engine));
}

#[test]
fn worker_sleeps_no_longer_than_idle_returned() {
    struct Until(Arc<AtomicU64>);
    impl Application for Until {
        fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
            batch.for_each(drop);
        }
        fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
            self.0.fetch_add(1, Ordering::Relaxed);
            Idle::Until(out.now() + Duration::from_millis(1))
        }
    }
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let idled = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&idled);
    let builder = builder.wait(Wait::Poll);
    let started = builder.start(move |_| Until(Arc::clone(&counted)));
    let engine = started.expect("it starts");

    // Sleeps that go on to the next publication would take longer than the bound.
    wait_for_ticks(&idled, 500);

    let summary = stop(engine);
    assert_conserved(&summary);
    assert!(summary.stats.workers[0].sleeps > 100, "it does not spin");
}

/// What [`Holds`] noted.
#[derive(Default)]
struct Noted {
    held: AtomicU64,
    finished: AtomicU64,
    ticks_after: AtomicU64,
}

/// Holds what it receives until the end.
struct Holds {
    frames: Vec<Frame>,
    noted: Arc<Noted>,
}

impl Application for Holds {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        self.frames.extend(batch);
        let held = self.frames.len() as u64;
        self.noted.held.store(held, Ordering::Relaxed);
    }

    fn finish(&mut self, out: &mut Outbox<'_>) {
        self.noted.finished.fetch_add(1, Ordering::Relaxed);
        let frames = self.frames.drain(..);
        frames.for_each(|frame| out.send(frame, InterfaceId(1)));
        out.tick_at(out.now());
    }

    fn tick(&mut self, _: Instant, _: &mut Outbox<'_>) {
        self.noted.ticks_after.fetch_add(1, Ordering::Relaxed);
    }
}

/// An engine of one worker that holds the frames that it has received.
fn holding(builder: EngineBuilder, wire: &Wire) -> (Engine, Arc<Noted>) {
    let noted = Arc::new(Noted::default());
    let shared = Arc::clone(&noted);
    let engine = builder.start_with(|_| {
        let noted = Arc::clone(&shared);
        move |_: &WorkerContext| Holds {
            frames: Vec::new(),
            noted,
        }
    });
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(wire, 4000).sequenced(1, 64, 0..100).collect();
    sender.send_batch(&frames).expect("the link takes them");
    wait_until("they are held", SOON, || {
        noted.held.load(Ordering::Relaxed) == 100
    });
    (engine.expect("it starts"), noted)
}

fn held_frames_are_sent_when_the_engine_stops(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let (engine, noted) = holding(builder, &wire);

    let summary = stop(engine);

    assert_nothing_dropped(&summary);
    assert_eq!(summary.stats.totals().tx_frames, 100);
    assert_eq!(noted.finished.load(Ordering::Relaxed), 1);
    assert_eq!(
        noted.ticks_after.load(Ordering::Relaxed),
        1,
        "while it drains"
    );
}

#[test]
fn application_finishes_when_the_engine_fails() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let (engine, noted) = holding(builder.on_link_down(OnLinkDown::End), &wire);

    wire.left().set_down().expect("it can be");
    wait_until("the engine notices", SOON, || {
        !engine.wait(Duration::from_millis(10))
    });
    let summary = stop(engine);

    assert_conserved(&summary);
    summary.outcome.as_ref().expect_err("it was set down");
    assert_eq!(noted.finished.load(Ordering::Relaxed), 1);
    assert_eq!(summary.stats.totals().tx_frames, 100);
}

/// Panics in the hook of this name, and counts how often it is finished.
struct PanicsIn {
    hook: &'static str,
    finished: Arc<AtomicU64>,
}

impl PanicsIn {
    fn enter(&self, hook: &str) {
        assert!(self.hook != hook, "in {hook}");
    }
}

impl Application for PanicsIn {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.send(frame, InterfaceId(1)));
    }

    fn woken(&mut self, _: &mut Outbox<'_>) {
        self.enter("woken");
    }

    fn tick(&mut self, _: Instant, _: &mut Outbox<'_>) {
        self.enter("tick");
    }

    fn ready(&mut self, _: WatchToken, _: &mut Outbox<'_>) {
        self.enter("ready");
    }

    fn finish(&mut self, _: &mut Outbox<'_>) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.enter("finish");
    }
}

#[test]
fn panic_in_a_hook_ends_the_engine_in_order() {
    if !require_privileges() {
        return;
    }
    for hook in ["woken", "tick", "ready", "finish"] {
        let wire = Testbed::wire().expect("a wire");
        let (_inside, builder) = on_wire(&wire, Attach::Auto);
        let finished = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&finished);
        let (mut peer, own) = UnixStream::pair().expect("a pair");
        let (waker, wakers) = channel();
        let started = builder.promiscuous().start_with(|_| {
            let finished = Arc::clone(&counted);
            let own = own.try_clone().expect("a descriptor");
            let waker = waker.clone();
            move |context: &WorkerContext| {
                context.watch(&own, Interest::Readable).expect("a socket");
                waker.send(context.waker()).expect("it is wanted");
                context.tick_at(context.now() + Duration::from_millis(20));
                PanicsIn { hook, finished }
            }
        });
        let engine = started.expect("it starts");
        let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
        let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..10).collect();
        sender.send_batch(&frames).expect("the link takes them");
        let waker = wakers.recv_timeout(SOON).expect("a waker");
        waker.wake();
        peer.write_all(b"x").expect("room for a byte");
        if hook != "finish" {
            wait_until("the engine notices", SOON, || {
                !engine.wait(Duration::from_millis(10))
            });
        }

        let summary = stop(engine);

        waker.wake();
        assert_conserved(&summary);
        let error = summary.outcome.as_ref().expect_err("it panicked");
        let Error::ApplicationPanicked { worker: 0, message } = error else {
            panic!("not a panic of worker 0: {error}");
        };
        assert_eq!(*message, format!("in {hook}"));
        let expected = u64::from(hook == "finish");
        assert_eq!(finished.load(Ordering::Relaxed), expected, "{hook}");
        assert_no_program(wire.left());
    }
}

/// Notes what a watched socket has for it.
struct Reads {
    from: UnixStream,
    bytes: Arc<AtomicU64>,
}

impl Application for Reads {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.send(frame, InterfaceId(1)));
    }

    fn ready(&mut self, token: WatchToken, out: &mut Outbox<'_>) {
        let mut buffer = [0; 64];
        match std::io::Read::read(&mut self.from, &mut buffer) {
            Ok(0) => assert!(out.unwatch(token)),
            Ok(count) => drop(self.bytes.fetch_add(count as u64, Ordering::Relaxed)),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn watched_descriptor_is_read_whether_the_worker_sleeps_or_is_busy() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let bytes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&bytes);
    let (mut peer, own) = UnixStream::pair().expect("a pair");
    own.set_nonblocking(true).expect("it can be");
    let mut own = Some(own);
    let started = builder.cpus([0]).promiscuous().start_with(|_| {
        // There is one worker.
        let from = own.take().expect("one is enough");
        let bytes = Arc::clone(&counted);
        move |context: &WorkerContext| {
            context.watch(&from, Interest::Readable).expect("a socket");
            Reads { from, bytes }
        }
    });
    let engine = started.expect("it starts");
    let mut expect = |total| {
        peer.write_all(b"x").expect("room for a byte");
        wait_until("it is read", SOON, || {
            bytes.load(Ordering::Relaxed) == total
        });
    };
    expect(1);

    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 200_000);
    wait_for_frames_in(&engine, 1000);
    (2..50).for_each(&mut expect);
    drop(stream);
    // Its end is ready for ever, but for the application.
    drop(peer);
    wait_for_sleeps(&engine);

    assert_conserved(&stop(engine));
}

/// Waits until the worker sleeps again and again.
fn wait_for_sleeps(engine: &Engine) {
    let sleeps = || engine.stats().workers[0].sleeps;
    let before = sleeps();
    wait_until("the worker sleeps", SOON, || sleeps() > before + 3);
}

#[test]
fn each_worker_gets_what_was_moved_to_it() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let (said, says) = channel();
    let mut names = vec!["second", "first"];

    let started = builder.cpus([0, 1]).start_with(|worker| {
        let (name, said) = (names.pop().expect("two workers"), said.clone());
        move |context: &WorkerContext| {
            assert_eq!(context.worker, worker);
            said.send((worker, name)).expect("the test listens");
            Reflect
        }
    });

    let engine = started.expect("it starts");
    let mut all: Vec<_> = says.try_iter().collect();
    all.sort_unstable();
    assert_eq!(all, [(0, "first"), (1, "second")]);
    assert_conserved(&stop(engine));
}

#[test]
fn panic_of_the_factory_fails_the_start() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);

    let started = builder.cpus([0, 1]).start_with(|worker| {
        assert!(worker != 1, "nothing for worker 1");
        |_: &WorkerContext| Reflect
    });

    let error = started.expect_err("there is no application");
    let Error::ApplicationPanicked { worker: 1, message } = &error else {
        panic!("not a panic of worker 1: {error}");
    };
    assert_eq!(message, "nothing for worker 1");
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}
