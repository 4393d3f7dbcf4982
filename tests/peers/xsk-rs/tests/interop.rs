//! Wharf and xsk-rs send to each other over a veth pair: every frame arrives
//! once, in order and as it was, and no chunk is lost at either end.
//!
//! The XDP program of Wharf's end runs in the driver and behind it; the other
//! end has libxdp's, in the driver. Both ends run at once, on threads of their
//! own, and their rings wrap many times.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wharf::{
    Application, Attach, Batch, DropReason, Engine, Outbox, Steering, SteeringConfig,
    SteeringErrorKind,
};
use wharf_peer_xsk_rs::{Patience, Peer, Program, Station, WINDOW};
use wharf_testbed::{
    FlowChecker, PacketSocket, Pair, SequencedPayload, Testbed, UdpFlow, require_privileges,
};

/// Makes a test of each function, once with Wharf's XDP program in the driver
/// and once behind it.
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod native {
            $(#[test] fn $name() { super::$name(wharf::Attach::Native); })+
        }
        mod generic {
            $(#[test] fn $name() { super::$name(wharf::Attach::Generic); })+
        }
    };
}

in_both_modes! {
    frames_of_xsk_rs_reach_wharf_whole_and_in_order,
    frames_of_wharf_reach_xsk_rs_whole_and_in_order,
    wharf_reflects_what_xsk_rs_sends,
    xsk_rs_reflects_what_wharf_sends,
    program_of_wharf_steers_to_a_socket_of_xsk_rs,
    xsk_rs_on_an_interface_of_wharf_is_refused_and_wharf_goes_on,
}

/// Frames of each test, all lengths among them: the rings wrap 78 times.
const FRAMES: u64 = 20_000;

const FLOW: u32 = 1;

/// How long either end looks for frames before it looks around.
const MOMENT: Duration = Duration::from_millis(20);

/// Frames with payloads of 16 to 1472 bytes, which fill the MTU of 1500.
fn frames(flow: UdpFlow, sequences: Range<u64>) -> impl Iterator<Item = Vec<u8>> {
    sequences.map(move |sequence| {
        let len = 16 + usize::try_from(sequence * 7 % 1457).expect("small");
        flow.frame(
            &SequencedPayload {
                flow: FLOW,
                sequence,
            }
            .to_bytes(len),
        )
    })
}

/// Sends all frames through `send`, and `flush`es when the window closes:
/// `arrived` opens it.
fn send_all<End>(
    end: &mut End,
    frames: impl Iterator<Item = Vec<u8>>,
    arrived: &AtomicU64,
    send: impl Fn(&mut End, &[u8]),
    flush: impl Fn(&mut End),
) {
    let mut patience = Patience::new("frames sent do not arrive");
    for (sent, frame) in (0_u64..).zip(frames) {
        if sent % 32 == 0 {
            flush(end);
        }
        while sent - arrived.load(Ordering::Relaxed) >= WINDOW {
            flush(end);
            patience.pause();
        }
        patience.renew();
        send(end, &frame);
    }
    flush(end);
}

/// Checks `FRAMES` frames that `receive` hands out, and counts them in
/// `arrived`.
fn receive_all(arrived: &AtomicU64, mut receive: impl FnMut(&mut dyn FnMut(&[u8])) -> u64) {
    let mut checker = FlowChecker::new();
    checker.expect(FLOW, FRAMES);
    let mut patience = Patience::new("frames do not arrive");
    while arrived.load(Ordering::Relaxed) < FRAMES {
        let received = receive(&mut |frame| {
            checker.observe_frame(frame);
        });
        arrived.fetch_add(received, Ordering::Relaxed);
        if received > 0 {
            patience.renew();
        }
        patience.check();
    }
    assert_perfect(&checker);
}

#[track_caller]
fn assert_perfect(checker: &FlowChecker) {
    assert!(checker.report(FLOW).is_perfect(), "{}", checker.total());
    assert_eq!(
        (checker.foreign(), checker.unattributed_corruption()),
        (0, 0)
    );
}

/// `None` says that the case is skipped.
fn pair() -> Option<Pair> {
    require_privileges().then(|| Testbed::pair().expect("a pair"))
}

fn peer(pair: &Pair, program: Program) -> Peer {
    Peer::open(pair.client_interface(), program).expect("xsk-rs binds")
}

fn frames_of_xsk_rs_reach_wharf_whole_and_in_order(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut station = Station::open(pair.server_interface(), attach);
    let arrived = AtomicU64::new(0);

    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = peer(&pair, Program::Foreign);
            let frames = frames(pair.udp_flow(4000, 4433), 0..FRAMES);
            send_all(&mut peer, frames, &arrived, Peer::send, Peer::flush);
            peer.settle();
        });
        receive_all(&arrived, |look| station.receive(MOMENT, look));
    });

    station.settle(FRAMES, 0);
}

fn frames_of_wharf_reach_xsk_rs_whole_and_in_order(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut station = Station::open(pair.server_interface(), attach);
    let arrived = AtomicU64::new(0);
    let (ready, is_ready) = mpsc::channel();

    thread::scope(|scope| {
        let (pair, arrived) = (&pair, &arrived);
        scope.spawn(move || {
            let mut peer = peer(pair, Program::Libxdp);
            ready.send(()).expect("the sender waits");
            receive_all(arrived, |look| peer.receive(MOMENT, look));
            peer.settle();
        });
        is_ready.recv().expect("xsk-rs comes up");
        let frames = frames(pair.udp_flow(4000, 4433).reversed(), 0..FRAMES);
        send_all(&mut station, frames, arrived, Station::send, Station::flush);
    });

    station.settle(0, FRAMES);
}

/// Sends every frame back where it came from.
struct Reflect;

impl Application for Reflect {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            out.send_back(frame);
        }
    }
}

fn wharf_reflects_what_xsk_rs_sends(attach: Attach) {
    let Some(pair) = pair() else { return };
    let engine = pair.server().run(|| {
        let builder = Engine::builder().interface("eth0").attach(attach);
        builder.frames(1024).start(|_| Reflect).expect("it starts")
    });

    thread::scope(|scope| {
        scope.spawn(|| exchange_with_reflector(&pair));
    });

    let summary = engine.stop();
    summary.outcome.as_ref().expect("it was asked to stop");
    assert!(summary.is_conserved(), "{summary:?}");
    assert!(!summary.audits.is_empty());
    let totals = summary.stats.totals();
    let counts = (totals.frames_in, totals.rx_frames, totals.tx_frames);
    assert_eq!(counts, (FRAMES, FRAMES, FRAMES));
    assert_eq!(totals.rx_bytes, totals.tx_bytes);
    let dropped = DropReason::ALL.map(|reason| totals.drops.get(reason));
    assert!(dropped.iter().all(|frames| *frames == 0), "{totals:?}");
    let mut workers = summary.stats.workers.iter();
    assert!(workers.all(|worker| worker.violations == 0));
}

/// xsk-rs sends, and checks what comes back.
fn exchange_with_reflector(pair: &Pair) {
    let mut peer = peer(pair, Program::Libxdp);
    let mut frames = frames(pair.udp_flow(4000, 4433), 0..FRAMES);
    let (mut sent, arrived) = (0, AtomicU64::new(0));
    receive_all(&arrived, |look| {
        let room = WINDOW - (sent - arrived.load(Ordering::Relaxed));
        for frame in frames.by_ref().take(usize::try_from(room).expect("small")) {
            peer.send(&frame);
            sent += 1;
        }
        peer.flush();
        peer.receive(MOMENT, look)
    });
    peer.settle();
}

fn xsk_rs_reflects_what_wharf_sends(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut station = Station::open(pair.server_interface(), attach);
    let (mut sent, arrived) = (0, AtomicU64::new(0));
    let (ready, is_ready) = mpsc::channel();
    let over = AtomicBool::new(false);

    thread::scope(|scope| {
        let (pair, over) = (&pair, &over);
        let reflecting = scope.spawn(move || {
            let mut peer = peer(pair, Program::Libxdp);
            ready.send(()).expect("the sender waits");
            let mut reflected = 0;
            let mut patience = Patience::new("xsk-rs has nothing to reflect");
            while reflected < FRAMES && !over.load(Ordering::Relaxed) {
                let frames = peer.reflect(MOMENT);
                reflected += frames;
                if frames > 0 {
                    patience.renew();
                }
                patience.check();
            }
            peer.settle();
            reflected
        });
        is_ready.recv().expect("xsk-rs comes up");
        let mut frames = frames(pair.udp_flow(4000, 4433).reversed(), 0..FRAMES);
        receive_all(&arrived, |look| {
            let room = WINDOW - (sent - arrived.load(Ordering::Relaxed));
            for frame in frames.by_ref().take(usize::try_from(room).expect("small")) {
                station.send(&frame);
                sent += 1;
            }
            station.flush();
            station.receive(MOMENT, look)
        });
        over.store(true, Ordering::Relaxed);
        assert_eq!(reflecting.join().expect("xsk-rs is content"), FRAMES);
    });

    station.settle(FRAMES, FRAMES);
}

fn program_of_wharf_steers_to_a_socket_of_xsk_rs(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.client().enter().expect("the host lives");
    let interface = wharf::Interface::by_name("eth0").expect("it exists");
    let mut steering =
        Steering::attach(&interface, attach, 1, &SteeringConfig::default()).expect("veth has XDP");
    let mut peer = peer(&pair, Program::Foreign);
    let inserted = steering.insert_fd(0, wharf::XskIndex(0), peer.socket());
    inserted.expect("it is an xsk");
    let sender = PacketSocket::sender(pair.server_interface()).expect("a socket");
    let frames: Vec<_> = frames(pair.udp_flow(4000, 4433).reversed(), 0..100).collect();

    sender.send_batch(&frames).expect("the link takes them");

    let (mut received, mut checker) = (0, FlowChecker::new());
    checker.expect(FLOW, 100);
    let patience = Patience::new("steered frames do not arrive");
    while received < 100 {
        received += peer.receive(MOMENT, |frame| {
            checker.observe_frame(frame);
        });
        patience.check();
    }
    assert_perfect(&checker);
    let counts = steering.counts(0).expect("there is a slot");
    assert_eq!((counts.redirected, counts.passed_no_xsk), (100, 0));
    steering.detach();
    peer.settle();
}

fn xsk_rs_on_an_interface_of_wharf_is_refused_and_wharf_goes_on(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut station = Station::open(pair.server_interface(), attach);
    let before = pair.server_interface().xdp().expect("it exists");

    let refused = Peer::open(pair.server_interface(), Program::Libxdp);

    let error = refused.expect_err("the interface has a program and an xsk");
    assert!(error.contains("busy"), "{error}");
    assert_eq!(pair.server_interface().xdp().expect("it exists"), before);
    let frame = pair.udp_flow(4000, 4433).frame(b"still there?");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    sender.send(&frame).expect("the link takes it");
    let patience = Patience::new("the frame does not arrive");
    while station.receive(MOMENT, |found| assert_eq!(found, frame)) == 0 {
        patience.check();
    }
    station.settle(1, 0);
}

#[test]
fn wharf_on_an_interface_of_xsk_rs_is_refused_and_names_the_program() {
    let Some(pair) = pair() else { return };
    let mut peer = peer(&pair, Program::Libxdp);
    let interface = wharf::Interface::by_name("eth0").expect("it exists");
    let before = pair.client_interface().xdp().expect("it exists");

    let error = Steering::attach(&interface, Attach::Auto, 1, &SteeringConfig::default())
        .expect_err("occupied");

    assert!(
        matches!(error.kind(), SteeringErrorKind::Occupied(_)),
        "{error:?}"
    );
    let error = error.to_string();
    assert!(error.contains("`xsk_def_prog`"), "{error}");
    assert!(before.is_some());
    assert_eq!(pair.client_interface().xdp().expect("it exists"), before);
    peer.settle();
    drop(peer);
    let after = pair.client_interface().xdp().expect("it exists");
    assert_eq!(after, None, "xsk-rs has left nothing");
}
