//! Steering rules and flows on veth: who gets which frame, to the last one, while
//! rules change.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use wharf::{
    Action, Application, Attach, Batch, Engine, EngineBuilder, Expression, Flow, Outbox, Rule,
    RuleSet, XskIndex,
};
use wharf_testbed::{Entered, PacketSocket, Pair, SERVER_IPV4, Testbed, require_privileges};
use wharf_tests::{SOON, Stream, assert_conserved, in_both_modes, unanswered, wait_until};

in_both_modes! {
    rule_steers_one_port_and_leaves_the_others_to_the_kernel,
    rules_are_replaced_under_traffic_without_losing_a_frame,
    flows_come_and_go_under_traffic,
}

/// Drops every frame: what counts is that it came.
struct Take;

impl Application for Take {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }
}

fn on_server(pair: &Pair, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = pair.server().enter().expect("the host lives");
    let builder = Engine::builder().interface("eth0").attach(attach);
    (inside, builder.frames(8192))
}

fn udp_to(port: u16) -> Rule {
    (Expression::udp() & Expression::dst_port(port)).into()
}

fn dropping(expression: Expression) -> Rule {
    Rule::new(Action::Drop, expression)
}

fn rule_steers_one_port_and_leaves_the_others_to_the_kernel(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let rules = RuleSet::only([udp_to(7000), dropping(Expression::dst_port(7002))]);
    let engine = builder.rules(rules.clone()).start(|_| Take);
    let engine = engine.expect("it starts");
    let kernel = UdpSocket::bind((SERVER_IPV4, 7001)).expect("the port is free");
    kernel.set_read_timeout(Some(SOON)).expect("a bound");
    let socket = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let send = |port, count: usize| {
        let frame = pair.udp_flow(4000, port).frame(b"which way?");
        let frames = vec![frame; count];
        socket.send_batch(&frames).expect("it is sent");
    };

    for _ in 0..10 {
        send(7000, 50);
        send(7001, 30);
        send(7002, 20);
        // Neither the socket's buffer nor veth's queue overflows.
        for _ in 0..30 {
            kernel
                .recv(&mut [0; 64])
                .expect("it came through the kernel");
        }
    }

    let hits = || engine.rule_hits().expect("the kernel tells").remove(0);
    wait_until("all have arrived", SOON, || hits().rules == [500, 200]);
    assert_eq!(engine.rules(), rules);
    let hits = hits();
    assert!(hits.default >= 300, "{hits:?}");
    let summary = engine.stop();
    assert_conserved(&summary);
    let queue = summary.stats.totals();
    assert_eq!((queue.frames_in, queue.rx_frames), (500, 500));
    assert_eq!(queue.frames_dropped_by_rule, 200);
    assert_eq!(queue.frames_passed_no_xsk, 0);
    let seen = queue.frames_in + queue.frames_passed + queue.frames_dropped_by_rule;
    assert!(seen >= hits.frames(), "counts are complete: {queue:?}");
}

fn rules_are_replaced_under_traffic_without_losing_a_frame(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    // With either list a frame of the stream is redirected. A frame that met the
    // tables of one and the clauses of the other would be dropped.
    let filler = |ports: std::ops::Range<u16>| {
        ports.map(|port| dropping(Expression::udp() & Expression::src_port(port)))
    };
    let few = RuleSet::new([udp_to(7000)], Action::Drop);
    let many = RuleSet::new(filler(100..170).chain([udp_to(7000)]), Action::Drop);
    let engine = builder.rules(few.clone()).start(|_| Take);
    let engine = engine.expect("it starts");
    let flow = unanswered(pair.udp_flow(4000, 7000));
    let stream = Stream::start(pair.client_interface(), flow, 20_000);
    let of_stream = |engine: &Engine| {
        let hits = engine.rule_hits().expect("the kernel tells").remove(0);
        *hits.rules.last().expect("the rule is the last")
    };
    wait_until("the stream arrives", SOON, || of_stream(&engine) > 100);

    let mut last = 0;
    for round in 0..20 {
        let next = if round % 2 == 0 { &many } else { &few };
        engine.replace_rules(next).expect("it is replaced");
        let hits = of_stream(&engine);
        assert!(hits > last, "hits rise across a replacement");
        last = hits;
        let mut impossible = many.clone();
        impossible.default = Action::Redirect(XskIndex(9));
        engine
            .replace_rules(&impossible)
            .expect_err("there is one xsk");
        assert_eq!(&engine.rules(), next, "the old rules are in force");
        std::thread::sleep(Duration::from_millis(20));
    }

    let sent = stream.stop();
    wait_until("all have arrived", SOON, || of_stream(&engine) == sent);
    let hits = engine.rule_hits().expect("the kernel tells").remove(0);
    assert_eq!(hits.removed, 0, "nothing hit the fillers: {hits:?}");
    let summary = engine.stop();
    assert_conserved(&summary);
    assert_eq!(summary.stats.totals().frames_in, sent, "none was lost");
}

fn flows_come_and_go_under_traffic(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let rules = RuleSet::new([], Action::Drop);
    let engine = builder.rules(rules).flow_capacity(100).start(|_| Take);
    let engine = engine.expect("it starts");
    let udp = unanswered(pair.udp_flow(4000, 7000));
    let flow = Flow {
        protocol: 17,
        source: udp.source(),
        destination: udp.destination(),
    };
    let hits = || engine.rule_hits().expect("the kernel tells").remove(0);
    let stream = Stream::start(pair.client_interface(), udp, 5_000);
    wait_until("the stream is dropped", SOON, || hits().default > 100);
    assert_eq!(hits().flows, 0);

    engine
        .insert_flow(&flow, Action::REDIRECT)
        .expect("there is room");
    assert_eq!(engine.flow_count(), 1);
    wait_until("the flow is taken", SOON, || hits().flows > 100);
    assert!(
        engine.remove_flow(&flow).expect("it is removed"),
        "it was there"
    );
    assert!(
        !engine.remove_flow(&flow).expect("it is asked"),
        "it is gone"
    );
    assert_eq!(engine.flow_count(), 0);
    let default = hits().default;
    wait_until("the stream is dropped again", SOON, || {
        hits().default > default + 100
    });

    let sent = stream.stop();
    wait_until("all have arrived", SOON, || {
        let hits = hits();
        hits.flows + hits.default >= sent
    });
    let flows = hits().flows;
    let summary = engine.stop();
    assert_conserved(&summary);
    let queue = summary.stats.totals();
    assert_eq!(queue.frames_in, flows, "the flow's, and no others");
    assert!(queue.frames_in + queue.frames_dropped_by_rule >= sent);
    assert_eq!(queue.frames_passed, 0);
}

#[test]
fn flow_without_room_changes_no_interface() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let builder = Engine::builder().interface("left").interface("right");
    let engine = builder.flow_capacity(2).start(|_| Take).expect("it starts");
    let flow = |port| Flow {
        protocol: 6,
        source: SocketAddr::from(([10, 0, 0, 1], port)),
        destination: SocketAddr::from(([10, 0, 0, 2], 80)),
    };
    let mixed = Flow {
        source: SocketAddr::from(([0_u16; 8], 1)),
        ..flow(1)
    };

    for port in [1, 2] {
        engine
            .insert_flow(&flow(port), Action::Pass)
            .expect("there is room");
    }
    engine
        .insert_flow(&flow(2), Action::Drop)
        .expect("it was there");
    let full = engine
        .insert_flow(&flow(3), Action::Pass)
        .expect_err("two fit");
    let mixed = engine
        .insert_flow(&mixed, Action::Pass)
        .expect_err("two versions");

    assert!(full.to_string().contains("has room for 2 flows"), "{full}");
    assert!(mixed.to_string().contains("two IP versions"), "{mixed}");
    assert_eq!(engine.flow_count(), 2);
    let hits = engine.rule_hits().expect("the kernel tells");
    assert_eq!(hits.len(), 2);
}
