//! Several xsks on one queue, and rules that say which of them gets a frame.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wharf::{
    Action, Application, Attach, Batch, Engine, Expression, InterfaceId, Outbox, RingCapacity,
    Rule, RuleSet, XskIndex,
};
use wharf_testbed::{FlowChecker, PacketSocket, Testbed, require_privileges};
use wharf_tests::{SOON, assert_nothing_dropped, in_both_modes, unanswered};

in_both_modes! {
    each_xsk_of_an_engine_gets_the_flow_that_a_rule_names,
}

/// Frames of each flow.
const COUNT: u64 = 2000;

fn to_xsk(xsk: u8, expression: impl Into<Expression>) -> Rule {
    Rule::new(Action::Redirect(XskIndex(xsk)), expression)
}

/// What an xsk of an interface got, in order.
type Seen = Arc<Mutex<Vec<(InterfaceId, XskIndex, Vec<u8>)>>>;

/// Notes which xsk got a frame, and sends it across.
struct Note(Seen);

impl Application for Note {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let (interface, xsk) = (batch.interface(), batch.xsk());
        for frame in batch {
            let note = (interface, xsk, frame.to_vec());
            self.0.lock().expect("nobody panicked").push(note);
            out.send(frame, InterfaceId(1 - interface.0));
        }
    }
}

fn each_xsk_of_an_engine_gets_the_flow_that_a_rule_names(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let port = |port| Expression::udp() & Expression::dst_port(port);
    let by_port = [to_xsk(1, port(7001)), to_xsk(2, port(7002))];
    let rules = RuleSet::new(by_port, Action::REDIRECT);
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let engine = Engine::builder()
        .interface("left")
        .interface("right")
        .attach(attach)
        .rules(rules)
        .xsks_per_queue(3)
        .frames(8192)
        .ring_size(RingCapacity::new(512).expect("a power of two"))
        .start(move |_| Note(Arc::clone(&notes)))
        .expect("it starts");
    let bound: Vec<_> = engine.report().workers[0]
        .queues
        .iter()
        .map(|report| (report.id.0, report.queue.get(), report.xsk.0))
        .collect();
    let expected: Vec<_> = (0..2)
        .flat_map(|id| (0..3).map(move |xsk| (id, 0, xsk)))
        .collect();
    assert_eq!(bound, expected);
    // The first gets what no rule names.
    let flows = [7000, 7001, 7002].map(|port| unanswered(wire.udp_flow(4000, port)));
    let frames: Vec<_> = (0..COUNT)
        .flat_map(|sequence| {
            let numbered = (0..).zip(&flows);
            numbered.flat_map(move |(id, flow)| flow.sequenced(id, 60, sequence..sequence + 1))
        })
        .collect();

    let mut arrived = Vec::new();
    // No more on their way than a ring holds, however slow the worker is.
    for burst in frames.chunks(300) {
        sender.send_batch(burst).expect("the link takes them");
        let some = receiver.receive_count(burst.len(), SOON);
        arrived.extend(some.expect("the link stays"));
    }
    let started = Instant::now();
    let summary = engine.stop();
    assert!(started.elapsed() < Duration::from_secs(3));

    assert_nothing_dropped(&summary);
    let mut checker = FlowChecker::new();
    (0..3).for_each(|flow| checker.expect(flow, COUNT));
    arrived.iter().for_each(|frame| {
        checker.observe_frame(frame);
    });
    assert!(checker.total().is_perfect(), "{}", checker.total());
    let seen = seen.lock().expect("nobody panicked");
    for xsk in 0..3_u8 {
        let id = u32::from(xsk);
        let mut checker = FlowChecker::new();
        checker.expect(id, COUNT);
        for (interface, _, frame) in seen.iter().filter(|note| note.1 == XskIndex(xsk)) {
            assert_eq!(*interface, InterfaceId(0));
            checker.observe_frame(frame);
        }
        assert!(checker.total().is_perfect(), "{}", checker.total());
        assert_eq!(checker.flows().collect::<Vec<_>>(), [id]);
    }
    // Each xsk is counted by itself, and what came in on one left on the one of
    // the same number.
    let stats: Vec<_> = summary.stats.xsks.iter().collect();
    assert_eq!(stats.len(), 6);
    for (place, stats) in stats.into_iter().enumerate() {
        let (interface, xsk) = (place / 3, place % 3);
        assert_eq!(
            (stats.interface.0, usize::from(stats.xsk)),
            (interface, xsk)
        );
        let counters = stats.counters;
        let counted = (counters.frames_in, counters.rx_frames, counters.tx_frames);
        let expected = if interface == 0 {
            (COUNT, COUNT, 0)
        } else {
            (0, 0, COUNT)
        };
        assert_eq!(counted, expected, "{stats:?}");
    }
}
