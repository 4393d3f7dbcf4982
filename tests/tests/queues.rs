//! Queues that appear under a running forwarder, queues that it does not drive, and
//! interfaces with more queues to receive than to send: no frame goes past the rules,
//! and none sticks.

use std::thread::available_parallelism;

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{
    FlowChecker, Interface, PacketSocket, Testbed, Wire, require_privileges, require_program,
};
use wharf_tests::{
    ControlDirectory, Forward, Report, SOON, Stream, in_both_modes, number, quiet_flow, unanswered,
    wait_until,
};

in_both_modes! {
    queues_that_appear_are_driven,
    rules_hold_on_queues_that_appear,
    frames_for_a_queue_without_a_socket_become_what_was_asked,
    frames_leave_however_few_queues_send,
    frames_leave_however_few_queues_receive,
    start_under_load_lets_nothing_past,
    queues_that_appear_after_the_mtu_was_raised_are_driven,
    queues_that_appear_while_the_interface_is_down_are_driven_once_it_is_up,
    rules_come_again_for_queues_that_went_and_came_back_unseen,
}

/// Flows enough for the kernel to spread them over all queues.
const FLOWS: u16 = 64;

/// Frames of each.
const FRAMES: u64 = 10;

const ALL: u64 = FLOWS as u64 * FRAMES;

/// A wire whose interfaces have four queues and use `rx` and `tx` of them; `None` says
/// that the case is skipped.
fn wire(rx: u32, tx: u32) -> Option<Wire> {
    if !require_privileges() {
        return None;
    }
    let wire = Testbed::options().queues(4).wire().expect("a wire");
    for interface in interfaces(&wire) {
        interface.set_channels(rx, tx).expect("veth can");
    }
    Some(wire)
}

/// Those of the forwarder first: native XDP needs a queue to receive for each that the
/// other end sends on.
fn interfaces(wire: &Wire) -> [&Interface; 4] {
    [
        wire.left(),
        wire.right(),
        wire.client_interface(),
        wire.server_interface(),
    ]
}

fn use_all_queues(wire: &Wire) {
    for interface in interfaces(wire) {
        interface.set_channels(4, 4).expect("veth can");
    }
}

/// All flows, from the client towards the server.
fn frames(wire: &Wire) -> Vec<Vec<u8>> {
    let flows = (0..FLOWS).map(|flow| (flow, quiet_flow(wire, 4000 + flow)));
    flows
        .flat_map(|(flow, of)| of.sequenced(flow.into(), 64, 0..FRAMES))
        .collect()
}

/// The same the other way.
fn frames_back(wire: &Wire) -> Vec<Vec<u8>> {
    let flows = (0..FLOWS).map(|flow| (flow, wire.udp_flow(4000 + flow, 4433)));
    flows
        .map(|(flow, of)| (flow, unanswered(of.reversed())))
        .flat_map(|(flow, of)| of.sequenced(flow.into(), 64, 0..FRAMES))
        .collect()
}

/// Sends frames from one interface and sees all of them arrive on the other.
fn cross(from: &Interface, to: &Interface, frames: &[Vec<u8>]) {
    let mut receiver = PacketSocket::open_promiscuous(to).expect("a socket");
    let sender = PacketSocket::sender(from).expect("a socket");
    for burst in frames.chunks(64) {
        sender.send_batch(burst).expect("the link takes them");
    }
    let received = receiver.receive_count(frames.len(), SOON);
    let mut checker = FlowChecker::new();
    (0..FLOWS).for_each(|flow| checker.expect(flow.into(), FRAMES));
    for frame in received.expect("the interface stays") {
        checker.observe_frame(&frame);
    }
    assert_eq!(checker.total().lost, 0, "{}", checker.total());
}

fn cross_both_ways(wire: &Wire) {
    let (client, server) = (wire.client_interface(), wire.server_interface());
    cross(client, server, &frames(wire));
    cross(server, client, &frames_back(wire));
}

/// What the queues of an interface counted, by queue.
fn of_queues(report: &Report, interface: &str, count: &str) -> Vec<u64> {
    let queues = report.summary["queues"].as_array().expect("queues");
    let of_interface = queues.iter().filter(|one| one["interface"] == interface);
    of_interface.map(|queue| number(queue, count)).collect()
}

fn events(report: &Report, interface: &str, event: &str) -> usize {
    let is = |one: &&Value| one["interface"] == interface && one["event"] == event;
    report.events.iter().filter(is).count()
}

fn wait_until_driven(forward: &mut Forward) {
    for interface in ["left", "right"] {
        let said = format!("worker 0 drives queue 3 of interface `{interface}`");
        let waited = forward.process().wait_for_output(&said, SOON);
        waited.expect("it follows");
    }
}

fn queues_that_appear_are_driven(attach: Attach) {
    let Some(wire) = wire(1, 1) else { return };
    let mut forward = Forward::start(&wire, attach, &[]);

    use_all_queues(&wire);
    wait_until_driven(&mut forward);
    cross_both_ways(&wire);

    let report = forward.stop();
    report.assert_nothing_dropped();
    for interface in ["left", "right"] {
        let frames_in = of_queues(&report, interface, "frames_in");
        assert_eq!(frames_in.len(), 4);
        assert_eq!(frames_in.iter().sum::<u64>(), ALL);
        let busy = frames_in.iter().filter(|frames| **frames > 0).count();
        assert!(busy > 1, "the flows were spread: {frames_in:?}");
        assert!(events(&report, interface, "queues_changed") > 0);
        assert_eq!(events(&report, interface, "queue_served"), 3);
    }
}

fn rules_hold_on_queues_that_appear(attach: Attach) {
    let Some(wire) = wire(1, 1) else { return };
    let mut forward = Forward::start(&wire, attach, &["--match", "drop udp"]);

    use_all_queues(&wire);
    wait_until_driven(&mut forward);
    let seen = wire.left().counters().expect("it counts").rx_packets;
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    sender
        .send_batch(&frames(&wire))
        .expect("the link takes them");
    wait_until("all have arrived somewhere", SOON, || {
        wire.left().counters().expect("it counts").rx_packets >= seen + ALL
    });

    let report = forward.stop();
    assert_eq!(report.total("frames_dropped_by_rule"), ALL);
    assert_eq!(report.total("frames_passed"), 0);
    assert_eq!(report.summary["rules"]["rules"][0]["hits"], ALL);
    let dropped = of_queues(&report, "left", "frames_dropped_by_rule");
    assert!(dropped.iter().filter(|frames| **frames > 0).count() > 1);
}

/// They went and came back between two looks, so there are as many as before. A veth
/// whose program came in between runs it on those that it had then.
fn rules_come_again_for_queues_that_went_and_came_back_unseen(attach: Attach) {
    if !require_program("ethtool") {
        return;
    }
    let Some(wire) = wire(4, 1) else { return };
    let mut forward = Forward::start(&wire, attach, &["--match", "drop udp", "--queues", "1"]);
    let program = || {
        let attached = wire.left().xdp().expect("it exists");
        attached.expect("the forwarder's").program_id
    };
    let before = program();

    forward.process().signal(libc::SIGSTOP).expect("it runs");
    for queues in ["1", "4"] {
        let mut ethtool = wire.left().host().command("ethtool");
        ethtool.args(["-L", "left", "rx", queues]);
        ethtool.run_checked(SOON).expect("veth can");
    }
    forward.process().signal(libc::SIGCONT).expect("it runs");

    wait_until("its program has come again", SOON, || program() != before);
    forward.stop().assert_conserved();
}

fn frames_for_a_queue_without_a_socket_become_what_was_asked(attach: Attach) {
    for no_socket in ["pass", "drop"] {
        let Some(wire) = wire(4, 4) else { return };
        let control = ControlDirectory::new();
        let options = ["--queues", "1", "--no-socket", no_socket];
        let forward = control.forward(&wire, attach, &options);
        let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");

        sender
            .send_batch(&frames(&wire))
            .expect("the link takes them");
        let hits = |name: &str| number(&control.listing()[name], "hits");
        wait_until("every frame is decided", SOON, || {
            hits("default") + hits("no_xsk") == ALL
        });

        let (default, no_xsk) = (hits("default"), hits("no_xsk"));
        let report = forward.stop();
        report.assert_nothing_dropped();
        assert_eq!(
            report.total("frames_in"),
            default,
            "a hit is what became of it"
        );
        assert!(no_xsk > 0 && default > 0, "{default} {no_xsk}");
        let (passed, dropped) = match no_socket {
            "pass" => (no_xsk, 0),
            _ => (0, no_xsk),
        };
        assert_eq!(report.total("frames_passed"), passed);
        assert_eq!(report.total("frames_passed_no_xsk"), passed);
        assert_eq!(report.total("frames_dropped_no_xsk"), dropped);
    }
}

/// A wire whose right interface has other queues than the rest, and two workers if there
/// are CPUs for them: everything arrives, both ways.
fn cross_shapes(attach: Attach, shapes: &[(u32, u32)]) {
    for &(rx, tx) in shapes {
        let Some(wire) = wire(4, 4) else { return };
        // The far end receives on as many as this one sends on, and the other way round.
        wire.server_interface()
            .set_channels(4, rx)
            .expect("veth can");
        wire.right().set_channels(rx, tx).expect("veth can");
        let forward = Forward::start(&wire, attach, &[]);

        cross_both_ways(&wire);

        let report = forward.stop();
        report.assert_nothing_dropped();
        let workers = report.summary["workers"].as_array().expect("workers").len();
        let cpus = available_parallelism().expect("Linux says").get();
        let senders = usize::try_from(tx).expect("a few");
        assert_eq!(workers, cpus.min(senders).min(4), "{rx} RX, {tx} TX");
    }
}

fn frames_leave_however_few_queues_send(attach: Attach) {
    cross_shapes(attach, &[(4, 1), (2, 1), (4, 2)]);
}

fn frames_leave_however_few_queues_receive(attach: Attach) {
    cross_shapes(attach, &[(1, 4), (1, 1), (2, 4)]);
}

fn start_under_load_lets_nothing_past(attach: Attach) {
    let Some(wire) = wire(4, 4) else { return };
    let flow = quiet_flow(&wire, 4000);
    let stream = Stream::start(wire.client_interface(), flow, 50_000);

    let arrived = || {
        wire.server_interface()
            .counters()
            .expect("it counts")
            .rx_packets
    };
    let before = arrived();

    let forward = Forward::start(&wire, attach, &["--no-socket", "drop"]);
    wait_until("frames are forwarded", SOON, || arrived() > before + 100);
    drop(stream);

    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.total("frames_passed"), 0, "{}", report.summary);
    assert!(report.total("frames_in") > 0);
}

fn queues_that_appear_after_the_mtu_was_raised_are_driven(attach: Attach) {
    let Some(wire) = wire(1, 1) else { return };
    let mut forward = Forward::start(&wire, attach, &[]);

    for interface in interfaces(&wire) {
        interface.set_mtu(9000).expect("veth takes it");
    }
    use_all_queues(&wire);
    wait_until_driven(&mut forward);
    cross(
        wire.client_interface(),
        wire.server_interface(),
        &frames(&wire),
    );

    forward.stop().assert_nothing_dropped();
}

fn queues_that_appear_while_the_interface_is_down_are_driven_once_it_is_up(attach: Attach) {
    let Some(wire) = wire(1, 1) else { return };
    let mut forward = Forward::start(&wire, attach, &[]);

    wire.left().set_down().expect("it exists");
    use_all_queues(&wire);
    let waited = forward.process();
    let waited = waited.wait_for_output("no worker drives queue 3 of interface `left`", SOON);
    waited.expect("it says so");
    wire.left().set_up().expect("it exists");
    wait_until_driven(&mut forward);
    wire.left().wait_for_carrier(SOON).expect("its peer is up");
    cross(
        wire.client_interface(),
        wire.server_interface(),
        &frames(&wire),
    );

    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(
        of_queues(&report, "left", "frames_in").iter().sum::<u64>(),
        ALL
    );
}
