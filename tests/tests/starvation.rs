//! Applications that keep frames, on veth: none starves its neighbours, reception goes on
//! as soon as something is let go, and every lost frame is in a counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use wharf::{
    Amount, Application, Attach, Batch, Counters, DetachedFrame, DropReason, Engine, EngineBuilder,
    Frame, InterfaceId, LimitPolicy, Limits, LimitsError, Outbox, RingCapacity, Snapshot, Waker,
    XskStats,
};
use wharf_testbed::{Pacer, PacketSocket, Pair, Testbed, require_privileges};
use wharf_tests::{
    SOON, assert_balanced, assert_conserved, in_both_modes, quiet_flow, unanswered, wait_until,
};

in_both_modes! {
    modest_queue_loses_nothing_beside_one_whose_frames_are_all_kept,
    modest_xsk_loses_nothing_beside_one_of_its_queue_whose_frames_are_all_kept,
    reception_resumes_when_an_application_that_held_everything_lets_go,
    reception_resumes_when_other_threads_let_go,
    limits_change_while_traffic_runs,
}

const CHUNKS: u32 = 1024;
const RING: u32 = 256;
/// Frames that are sent ahead of a receiver that is to lose none.
const WINDOW: usize = 64;

fn frames(count: u32) -> Option<Amount> {
    Some(Amount::Frames(count))
}

fn settings(builder: EngineBuilder, attach: Attach) -> EngineBuilder {
    builder
        .attach(attach)
        .frames(CHUNKS)
        .ring_size(RingCapacity::new(RING).expect("a power of two"))
}

/// An engine on the server's interface.
fn on_server(pair: &Pair, attach: Attach) -> (wharf_testbed::Entered, EngineBuilder) {
    let inside = pair.server().enter().expect("the host lives");
    let builder = Engine::builder().interface("eth0");
    (inside, settings(builder, attach))
}

/// Sends `count` frames from the client, slowly enough for any receiver.
fn send(pair: &Pair, port: u16, count: u64) {
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let flow = unanswered(pair.udp_flow(4000, port));
    let frames = flow.sequenced(u32::from(port), 64, 0..count);
    sender
        .send_paced(&mut Pacer::per_second(20_000), frames)
        .expect("the link takes them");
}

/// Sends frames, of which never more than a window are ahead of what is `taken`: none is
/// lost, however busy the machine is.
fn send_slowly(sender: &PacketSocket, frames: &[Vec<u8>], taken: &AtomicUsize) {
    let before = taken.load(Ordering::Relaxed);
    let mut sent = 0;
    for burst in frames.chunks(WINDOW / 4) {
        sent += burst.len();
        wait_until("frames are taken", SOON, || {
            sent <= taken.load(Ordering::Relaxed) - before + WINDOW
        });
        sender.send_batch(burst).expect("the link takes them");
    }
    wait_until("all frames are taken", SOON, || {
        taken.load(Ordering::Relaxed) - before == frames.len()
    });
}

/// Frames that the kernel or the xsks dropped before the application got them.
fn lost_on_the_way_in(counters: &Counters) -> u64 {
    let reasons = [
        DropReason::RxNoChunk,
        DropReason::RxRingFull,
        DropReason::RxThrottled,
    ];
    reasons
        .map(|reason| counters.drops.get(reason))
        .iter()
        .sum()
}

/// Frames that reached the xsks, or that were dropped before, so far.
fn arrived(now: &Snapshot) -> u64 {
    let totals = now.totals();
    totals.rx_frames + lost_on_the_way_in(&totals)
}

/// Keeps what comes in on the first interface, or for the first xsk, for ever, and drops
/// what comes elsewhere.
struct Greedy {
    kept: Vec<Frame>,
    modest: Arc<AtomicUsize>,
}

impl Application for Greedy {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        if batch.interface() == InterfaceId(0) && batch.xsk().0 == 0 {
            self.kept.extend(batch);
        } else {
            let count = batch.map(drop).count();
            self.modest.fetch_add(count, Ordering::Relaxed);
        }
    }
}

fn modest_queue_loses_nothing_beside_one_whose_frames_are_all_kept(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let builder = Engine::builder().interface("left").interface("right");
    let modest = Arc::new(AtomicUsize::new(0));
    let engine = settings(builder, attach)
        .cpus([0])
        .start({
            let modest = Arc::clone(&modest);
            move |_| Greedy {
                kept: Vec::new(),
                modest: Arc::clone(&modest),
            }
        })
        .expect("it starts");
    let greedy = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let other = PacketSocket::sender(wire.server_interface()).expect("a socket");
    let there = quiet_flow(&wire, 4000);
    let back = unanswered(wire.udp_flow(4000, 4433).reversed());

    // More than all chunks, by far, to the one that keeps them.
    for round in 0..4 {
        let numbers = round * 1000..(round + 1) * 1000;
        let frames = there.sequenced(1, 64, numbers.clone());
        greedy
            .send_paced(&mut Pacer::per_second(20_000), frames)
            .expect("the link takes them");
        let frames: Vec<_> = back.sequenced(2, 64, numbers).collect();
        send_slowly(&other, &frames, &modest);
    }

    let summary = engine.stop();
    assert_balanced(&summary);
    let right = summary.stats.interface_totals(InterfaceId(1));
    assert_eq!(right.rx_frames, 4000);
    assert_eq!(
        right.drops.total(),
        right.drops.get(DropReason::Application)
    );
    let left = summary.stats.interface_totals(InterfaceId(0));
    assert_eq!((left.frames_in, left.limit_reached), (4000, 1));
    // It has all that its queue may have, but for the floor, and no more.
    let share = u64::from((CHUNKS - CHUNKS / 8) / 2);
    assert_eq!(left.rx_frames, share - u64::from(RING / 8));
    assert_eq!(left.rx_frames + lost_on_the_way_in(&left), 4000);
}

fn modest_xsk_loses_nothing_beside_one_of_its_queue_whose_frames_are_all_kept(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let modest = Arc::new(AtomicUsize::new(0));
    let rules = "redirect:1 udp port 5000\ndefault redirect";
    let rules = rules.parse().expect("rules");
    let engine = builder
        .xsks_per_queue(2)
        .rules(rules)
        .start({
            let modest = Arc::clone(&modest);
            move |_| Greedy {
                kept: Vec::new(),
                modest: Arc::clone(&modest),
            }
        })
        .expect("it starts");

    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let flow = unanswered(pair.udp_flow(4000, 5000));
    for round in 0..4 {
        send(&pair, 4433, 1000);
        let frames: Vec<_> = flow
            .sequenced(5000, 64, round * 1000..(round + 1) * 1000)
            .collect();
        // The xsks share the fill ring, so all frames have to be there.
        send_slowly(&sender, &frames, &modest);
    }
    let held = |xsk: &XskStats| (xsk.limits.held, xsk.usage.held);
    wait_until("the greedy one has all that it may have", SOON, || {
        let (most, held) = held(&engine.stats().xsks[0]);
        most == held
    });

    let summary = engine.stop();
    assert_balanced(&summary);
    let [greedy, modest] = summary.stats.xsks.as_slice() else {
        panic!("two xsks: {:?}", summary.stats.xsks);
    };
    assert_eq!(modest.counters.rx_frames, 4000);
    assert_eq!(lost_on_the_way_in(&modest.counters), 0);
    assert_eq!(u64::from(greedy.limits.held), greedy.counters.rx_frames);
    let lost = lost_on_the_way_in(&greedy.counters);
    assert_eq!(lost, 4000 - greedy.counters.rx_frames);
}

/// Keeps all that it gets until it is woken, and once more from then on.
struct Hoard(Vec<Frame>);

impl Application for Hoard {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        self.0.extend(batch);
    }

    fn woken(&mut self, _: &mut Outbox<'_>) {
        self.0.clear();
    }
}

/// A hoarding engine, and what makes it let go.
fn hoarding(builder: EngineBuilder) -> (Engine, Waker) {
    let (sender, wakers) = channel();
    let engine = builder
        .start(move |context| {
            sender.send(context.waker()).expect("the test listens");
            Hoard(Vec::new())
        })
        .expect("it starts");
    let waker = wakers.recv().expect("one worker");
    (engine, waker)
}

fn reception_resumes_when_an_application_that_held_everything_lets_go(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    // With and without a limit of its own, so that all that there is is held.
    let cases = LimitPolicy::ALL.map(|policy| [(policy, None), (policy, frames(100))]);
    for (policy, held) in cases.into_iter().flatten() {
        let (_inside, builder) = on_server(&pair, attach);
        let limits = Limits {
            held,
            policy,
            ..Limits::default()
        };
        let (engine, waker) = hoarding(builder.limits(limits));
        let mut sent = 0;
        for _ in 0..5 {
            let reached = engine.stats().totals().limit_reached;
            send(&pair, 4433, 2 * u64::from(CHUNKS));
            sent += 2 * u64::from(CHUNKS);
            wait_until("it holds all that it can get", SOON, || {
                engine.stats().totals().limit_reached > reached
            });
            let before = engine.stats().totals().rx_frames;

            waker.wake();

            // Those before it has let go may be lost still.
            wait_until("reception resumes", SOON, || {
                send(&pair, 4433, 10);
                sent += 10;
                engine.stats().totals().rx_frames >= before + 50
            });
            waker.wake();
            wait_until("frames that waited are taken", SOON, || {
                let xsks = engine.stats().xsks;
                xsks.iter().all(|xsk| !xsk.usage.is_limited) || {
                    waker.wake();
                    false
                }
            });
        }
        waker.wake();
        wait_until("every frame is counted", SOON, || {
            waker.wake();
            arrived(&engine.stats()) == sent
        });
        let summary = engine.stop();
        assert_conserved(&summary);
        let totals = summary.stats.totals();
        assert_eq!(totals.frames_in, sent, "{policy}, {held:?}");
        if policy == LimitPolicy::Backpressure && held.is_some() {
            assert!(totals.rx_held_back > 0, "{totals:?}");
            // The ring takes less than the queue has above its floor.
            assert_eq!(totals.drops.get(DropReason::RxThrottled), 0, "{totals:?}");
        }
    }
}

/// Sends every frame to another thread.
struct Travel(Sender<DetachedFrame>);

impl Application for Travel {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for frame in batch {
            // Dropped if the other thread has gone.
            let _ = self.0.send(frame.detach());
        }
    }
}

fn reception_resumes_when_other_threads_let_go(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let limits = Limits {
        held: frames(64),
        policy: LimitPolicy::Backpressure,
        ..Limits::default()
    };
    let (sender, receiver) = channel();
    let engine = builder
        .limits(limits)
        .start(move |_| Travel(sender.clone()))
        .expect("it starts");

    send(&pair, 4433, 200);
    wait_until("they wait", SOON, || {
        engine.stats().totals().rx_held_back == 200 - 64
    });
    for taken in 1..=200 {
        let frame = receiver.recv_timeout(SOON).expect("one more comes");
        drop(frame);
        if taken % 50 == 0 {
            assert_eq!(engine.stats().totals().drops.total() % taken, 0);
        }
    }

    let summary = engine.stop();
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!(
        (totals.rx_frames, totals.drops.get(DropReason::Application)),
        (200, 200)
    );
}

fn limits_change_while_traffic_runs(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let (engine, waker) = hoarding(builder);
    let over = Arc::new(AtomicBool::new(false));
    let held = |most| Limits {
        held: frames(most),
        ..Limits::default()
    };

    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                send(&pair, 4433, 200);
            }
        });
        for most in [10, 200, 1, 90] {
            engine.set_limits(held(most)).expect("they fit");
            waker.wake();
            wait_until("as many are held as may be", SOON, || {
                let xsk = engine.stats().xsks[0];
                xsk.limits.held == most && xsk.usage.held == most
            });
        }
        for (limits, error) in [
            (held(0), "must not be 0"),
            (held(CHUNKS), "exceeds the 896 chunks"),
            (held(CHUNKS + 1), "more than the 1024 chunks"),
        ] {
            let refused = engine.set_limits(limits).expect_err("they do not fit");
            assert!(refused.to_string().contains(error), "{refused}");
            let one = engine.set_interface_limits(InterfaceId(0), limits);
            assert_eq!(one, Err::<(), LimitsError>(refused));
        }
        assert_eq!(engine.stats().xsks[0].limits.held, 90);
        over.store(true, Ordering::Relaxed);
    });

    assert_balanced(&engine.stop());
}
