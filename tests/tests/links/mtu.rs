//! The MTU changes while the engine runs.

use wharf::{Counters, Event, EventKind, MultiBuffer};
use wharf_testbed::PacketSocket;

use super::*;

in_both_modes! {
    frames_too_long_for_a_chunk_are_said_and_counted,
    frames_too_long_are_told_from_those_without_a_chunk,
    frames_too_long_are_counted_as_no_chunk_where_a_queue_has_several_xsks,
    frames_in_several_chunks_are_forwarded_after_the_mtu_was_raised,
    frames_too_long_for_the_other_side_are_dropped_by_the_kernel,
    lowered_mtu_is_said,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;
/// Bytes of a frame that a chunk of 4096 takes.
const USABLE: usize = 4096 - 256;
/// Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;
const FRAMES: u64 = 300;

fn raise_all(wire: &Wire, mtu: u32) {
    let ends = [wire.client_interface(), wire.left(), wire.right()];
    for interface in ends.into_iter().chain([wire.server_interface()]) {
        interface.set_mtu(mtu).expect("veth takes it");
    }
}

/// Sends frames of this many bytes.
fn send(wire: &Wire, count: u64, length: usize) {
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let flow = quiet_flow(wire, 4000);
    let frames: Vec<_> = flow.sequenced(1, length - HEADERS, 0..count).collect();
    assert!(frames.iter().all(|frame| frame.len() == length));
    for frames in frames.chunks(50) {
        sender.send_batch(frames).expect("the link takes them");
    }
}

fn totals(run: &Run) -> Counters {
    run.engine.stats().totals()
}

/// The first event of a wire's interface.
fn mtu_event(run: &Run, interface: usize) -> Event {
    run.wait_for_labels(interface, &["mtu_changed"]);
    let events = run.events.borrow();
    let mut events = events.iter();
    let event = events.find(|event| event.interface == InterfaceId(interface));
    event.expect("it was said").clone()
}

fn frames_too_long_for_a_chunk_are_said_and_counted(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);

    raise_all(&wire, 9000);
    let said = mtu_event(&run, LEFT);
    send(&wire, FRAMES, USABLE + 1);
    send(&wire, FRAMES, 9014);
    send(&wire, FRAMES, USABLE);
    wait_until("all are counted", SOON, || {
        let totals = totals(&run);
        totals.tx_frames + totals.drops.total() >= 3 * FRAMES
    });

    let changed = EventKind::MtuChanged {
        before: 1500,
        after: 9000,
        longest_received: Some(3840),
    };
    assert_eq!(said.kind, changed);
    assert_eq!(mtu_event(&run, RIGHT).kind, changed);
    let counted = run.stop().stats.totals();
    assert_eq!(counted.drops.get(DropReason::RxTooLong), 2 * FRAMES);
    assert_eq!(counted.drops.total(), 2 * FRAMES, "{}", counted.drops);
    assert_eq!(counted.tx_frames, FRAMES);
}

/// Keeps all frames, so that the fill ring runs empty.
#[derive(Clone)]
struct Waits;

impl Application for Waits {
    fn receive(&mut self, _: Batch<'_>, _: &mut Outbox<'_>) {}
}

fn frames_too_long_are_told_from_those_without_a_chunk(attach: Attach) {
    let Some(wire) = wire() else { return };
    let few = |builder: EngineBuilder| builder.frames(256);
    let run = Run::start_with(&wire, attach, few, Waits);

    raise_all(&wire, 9000);
    send(&wire, FRAMES, 4000);
    send(&wire, 2 * FRAMES, 100);
    send(&wire, FRAMES, 4000);
    wait_until("all are counted", SOON, || {
        run.dropped(DropReason::RxTooLong) == 2 * FRAMES
            && run.dropped(DropReason::RxNoChunk) >= FRAMES
    });

    // Those in the RX ring are found at the end.
    let drops = run.stop().stats.totals().drops;
    assert_eq!(drops.get(DropReason::RxTooLong), 2 * FRAMES, "{drops}");
    assert_eq!(drops.total(), 4 * FRAMES, "{drops}");
}

fn frames_too_long_are_counted_as_no_chunk_where_a_queue_has_several_xsks(attach: Attach) {
    let Some(wire) = wire() else { return };
    let several = |builder: EngineBuilder| builder.xsks_per_queue(2);
    let run = Run::start_with(&wire, attach, several, Cross);

    raise_all(&wire, 9000);
    send(&wire, FRAMES, 4000);
    wait_until("all are counted", SOON, || {
        run.dropped(DropReason::RxNoChunk) == FRAMES
    });

    assert_eq!(run.dropped(DropReason::RxTooLong), 0);
    run.stop();
}

fn frames_in_several_chunks_are_forwarded_after_the_mtu_was_raised(attach: Attach) {
    let Some(wire) = wire() else { return };
    let always = |builder: EngineBuilder| builder.multi_buffer(MultiBuffer::Always);
    let run = Run::start_with(&wire, attach, always, Cross);

    raise_all(&wire, 9000);
    let said = mtu_event(&run, LEFT);
    send(&wire, FRAMES, 9014);
    wait_until("all are counted", SOON, || {
        let totals = totals(&run);
        totals.tx_frames + totals.drops.total() >= FRAMES
    });

    let changed = EventKind::MtuChanged {
        before: 1500,
        after: 9000,
        longest_received: None,
    };
    assert_eq!(said.kind, changed);
    let counted = run.stop().stats.totals();
    assert_eq!(counted.tx_frames, FRAMES, "{}", counted.drops);
}

fn frames_too_long_for_the_other_side_are_dropped_by_the_kernel(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);

    wire.client_interface()
        .set_mtu(3000)
        .expect("veth takes it");
    wire.left().set_mtu(3000).expect("veth takes it");
    let said = mtu_event(&run, LEFT);
    send(&wire, FRAMES, 3000);
    wait_until("all are counted", SOON, || {
        run.dropped(DropReason::TxKernel) == FRAMES
    });

    let changed = EventKind::MtuChanged {
        before: 1500,
        after: 3000,
        longest_received: None,
    };
    assert_eq!(said.kind, changed);
    assert_eq!(run.labels(RIGHT), [""; 0]);
    run.stop();
}

fn lowered_mtu_is_said(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);

    wire.left().set_mtu(1400).expect("veth takes it");
    let said = mtu_event(&run, LEFT);

    assert_eq!(
        said.to_string(),
        "the MTU of interface `left` changed from 1500 to 1400"
    );
    run.stop();
}
