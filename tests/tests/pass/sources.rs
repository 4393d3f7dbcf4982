//! Which frames can be passed, and where to.

use std::net::UdpSocket;

use wharf::{DropReason, Frame, Idle, InterfaceId, TransmitError, Umem, UmemConfig};
use wharf_testbed::{PacketSocket, SERVER_IPV4, SequencedPayload, Testbed, require_privileges};
use wharf_tests::{SOON, quiet_flow, wait_until};

use super::*;

in_both_modes! {
    frames_that_were_detached_and_attached_again_are_passed,
    frames_of_one_interface_are_passed_to_another,
    several_workers_pass_what_they_receive,
}

/// Detaches each frame, attaches it again, and passes it.
struct PassDetached;

impl Application for PassDetached {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            let detached = frame.detach();
            let frame = out.umem().attach(detached).expect("it is of this UMEM");
            out.try_pass(frame).expect("there is room");
        }
    }
}

fn frames_that_were_detached_and_attached_again_are_passed(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassDetached).expect("it starts");
    let server = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    server.set_read_timeout(Some(SOON)).expect("a bound");
    let client = pair.client().run(|| UdpSocket::bind("0.0.0.0:4000"));
    let client = client.expect("the port is free");
    client.connect((SERVER_IPV4, 7)).expect("a route");

    for number in 0..200_u32 {
        client.send(&number.to_ne_bytes()).expect("it is sent");
        let mut bytes = [0; 100];
        let len = server.recv(&mut bytes).expect("it arrives");
        assert_eq!(bytes[..len], number.to_ne_bytes());
    }

    stop(engine, 200);
}

/// Passes the frames of each interface to the stack of the other.
struct PassAcross;

impl Application for PassAcross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for frame in batch {
            out.pass_to(frame, to);
        }
    }
}

fn frames_of_one_interface_are_passed_to_another(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let builder = Engine::builder().interface("left").interface("right");
    let engine = builder.attach(attach).frames(8192).passing();
    let engine = engine.start(|_| PassAcross).expect("it starts");
    let helpers = engine
        .report()
        .interfaces
        .iter()
        .map(|it| it.passage.clone());
    assert_eq!(
        helpers.collect::<Vec<_>>(),
        [Some("wharf0".to_owned()), Some("wharf1".to_owned())]
    );
    let mut tap = PacketSocket::open(wire.right()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let flow = quiet_flow(&wire, 4000);
    let frames: Vec<_> = (0..100_u32).map(|n| flow.frame(&n.to_ne_bytes())).collect();

    sender.send_batch(&frames).expect("the link takes them");

    let seen = tap.receive_count(frames.len(), SOON).expect("it lives");
    assert_eq!(seen, frames);
    let summary = stop(engine, 100);
    let passed = [0, 1].map(|id| {
        let totals = summary.stats.interface_totals(InterfaceId(id));
        totals.frames_passed_by_application
    });
    assert_eq!(passed, [0, 100], "it counts where the frame was passed to");
}

fn several_workers_pass_what_they_receive(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().queues(2).pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    assert_eq!(engine.report().workers.len(), 2);
    let server = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    server.set_read_timeout(Some(SOON)).expect("a bound");

    for number in 0..400_u16 {
        // Flows are spread by their ports.
        let port = 4000 + number % 40;
        let client = pair.client().run(|| UdpSocket::bind(("0.0.0.0", port)));
        let client = client.expect("the port is free");
        client
            .send_to(&number.to_ne_bytes(), (SERVER_IPV4, 7))
            .expect("a route");
        let mut bytes = [0; 100];
        let len = server.recv(&mut bytes).expect("it arrives");
        assert_eq!(bytes[..len], number.to_ne_bytes());
    }

    stop(engine, 400);
}

/// Makes datagrams to the server, and passes them to its stack.
struct Make {
    flow: wharf_testbed::UdpFlow,
    left: u64,
}

impl Application for Make {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.left == 0 {
            return Idle::Sleep;
        }
        if out.pass_room(InterfaceId(0)) > 0
            && let Some(mut frame) = out.allocate()
        {
            let sequence = self.left;
            let payload = SequencedPayload { flow: 7, sequence }.to_bytes(300);
            let bytes = self.flow.frame(&payload);
            let len = u32::try_from(bytes.len()).expect("a frame is short");
            let space = frame.grow_back(len).expect("a chunk holds a frame");
            space.copy_from_slice(&bytes);
            out.pass_to(frame, InterfaceId(0));
            self.left -= 1;
        }
        Idle::Again
    }
}

#[test]
fn frames_that_the_application_made_are_passed() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let server = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    server.set_read_timeout(Some(SOON)).expect("a bound");
    let flow = pair.udp_flow(4000, 7);

    let engine = builder.start(move |_| Make { flow, left: 60 });

    let engine = engine.expect("it starts");
    for sequence in (1..=60).rev() {
        let mut bytes = [0; 1000];
        let len = server.recv(&mut bytes).expect("it arrives");
        let sent = SequencedPayload { flow: 7, sequence }.to_bytes(300);
        assert_eq!(bytes[..len], sent);
    }
    let summary = engine.stop();
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!(
        (totals.frames_made, totals.frames_passed_by_application),
        (60, 60)
    );
}

/// Passes where nothing can be passed.
struct PassNowhere;

impl Application for PassNowhere {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            assert!(!out.can_pass(InterfaceId(1)) && out.pass_room(InterfaceId(1)) == 0);
            let refused = out.try_pass_to(frame, InterfaceId(1));
            let refused = refused.expect_err("there is no such interface");
            assert!(matches!(refused, TransmitError::NoPassage(_)), "{refused}");
            out.pass_to(refused.into_frame(), InterfaceId(usize::MAX));
        }
    }
}

#[test]
fn frames_to_no_interface_or_of_an_engine_that_was_not_asked_are_dropped_and_counted() {
    if !require_privileges() {
        return;
    }
    for is_asked in [true, false] {
        let pair = Testbed::pair().expect("a pair");
        let _inside = pair.server().enter().expect("the host lives");
        let builder = Engine::builder().interface("eth0").frames(8192);
        let builder = if is_asked { builder.passing() } else { builder };
        let engine = builder.start(|_| PassNowhere).expect("it starts");
        let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");

        sender
            .send_batch(&unanswered_frames(&pair, 100))
            .expect("the link takes them");

        wait_until("they came", SOON, || {
            engine.stats().totals().rx_frames == 100
        });
        let summary = engine.stop();
        assert_conserved(&summary);
        let totals = summary.stats.totals();
        assert_eq!(totals.drops.get(DropReason::PassRefused), 100, "{totals:?}");
    }
}

/// Tries frames of another UMEM, and such as are no Ethernet frames.
struct PassOdd {
    is_done: Arc<AtomicU64>,
}

impl Application for PassOdd {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.is_done.swap(1, Ordering::Relaxed) == 1 {
            return Idle::Sleep;
        }
        let of = |umem: &Umem, bytes: u32| -> Frame {
            let mut frame = umem.allocate().expect("there is one");
            frame.grow_back(bytes).expect("a chunk has room").fill(0xff);
            frame
        };
        let other = Umem::new(&UmemConfig::new(64)).expect("there is memory");
        let umem = out.umem().clone();
        for (frame, is_foreign) in [(of(&other, 60), true), (of(&umem, 13), false)] {
            let refused = out.try_pass_to(frame, InterfaceId(0));
            let refused = refused.expect_err("it cannot be passed");
            let is_right = match refused {
                TransmitError::ForeignUmem(_) => is_foreign,
                TransmitError::ShortFirstChunk(_) => !is_foreign,
                _ => false,
            };
            assert!(is_right, "{refused}");
            out.pass_to(refused.into_frame(), InterfaceId(0));
        }
        out.pass_to(of(&umem, 14), InterfaceId(0));
        Idle::Again
    }
}

#[test]
fn frames_that_are_foreign_or_have_no_ethernet_header_are_refused() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let is_done = Arc::new(AtomicU64::new(0));
    let flag = Arc::clone(&is_done);
    let start = move |_: &_| PassOdd {
        is_done: Arc::clone(&flag),
    };

    let engine = builder.start(start).expect("it starts");

    wait_until("one is passed", SOON, || {
        engine.stats().totals().frames_passed_by_application == 1
    });
    let summary = engine.stop();
    summary.outcome.as_ref().expect("it was asked to stop");
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!(totals.drops.get(DropReason::PassRefused), 2, "{totals:?}");
}
