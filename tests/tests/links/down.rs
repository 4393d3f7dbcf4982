//! An interface of the engine is set down and up again, and it waits.

use std::time::Instant;

use wharf::Idle;
use wharf_testbed::PacketSocket;

use super::*;

in_both_modes! {
    sending_interface_set_down_and_up_is_said_and_waited_for,
    receiving_interface_set_down_and_up_is_said_and_waited_for,
    traffic_flows_after_five_flaps,
    engine_that_never_sleeps_goes_on_too,
    application_that_waits_for_room_goes_on_too,
    all_workers_go_on,
    frames_that_the_application_makes_are_counted_too,
    engine_ends_in_order_while_an_interface_is_down,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;

fn sending_interface_set_down_and_up_is_said_and_waited_for(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let stream = stream(&wire);
    run.wait_for_traffic();

    for times in 1..3 {
        wire.right().set_down().expect("it can be");
        run.wait_for_drops(DropReason::TxLinkDown);
        wire.right().set_up().expect("it can be");
        run.wait_for_labels(RIGHT, &["link_down", "link_up"].repeat(times));
        run.wait_for_traffic();
    }

    drop(stream);
    assert_eq!(run.labels(LEFT), [""; 0]);
    let summary = run.stop();
    let drops = summary.stats.totals().drops;
    assert_eq!(drops.get(DropReason::RxRingFull), 0, "{drops}");
}

fn receiving_interface_set_down_and_up_is_said_and_waited_for(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let before = stream(&wire);
    run.wait_for_traffic();

    wire.left().set_down().expect("it can be");
    run.wait_for_labels(LEFT, &["link_down"]);
    drop(before);
    wire.left().set_up().expect("it can be");
    run.wait_for_labels(LEFT, &["link_down", "link_up"]);
    wire.client_interface()
        .wait_for_carrier(SOON)
        .expect("both ends are up");
    let after = stream(&wire);
    run.wait_for_traffic();

    drop(after);
    assert_eq!(run.labels(RIGHT), [""; 0]);
    run.stop();
}

fn traffic_flows_after_five_flaps(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let stream = stream(&wire);
    run.wait_for_traffic();

    for _ in 0..5 {
        wire.right().set_down().expect("it can be");
        wire.right().set_up().expect("it can be");
    }

    run.wait_for_labels(RIGHT, &["link_down", "link_up"].repeat(5));
    run.wait_for_traffic();
    drop(stream);
    run.stop();
}

fn engine_that_never_sleeps_goes_on_too(attach: Attach) {
    let Some(wire) = wire() else { return };
    let spins = |builder: EngineBuilder| builder.wait(wharf::Wait::Spin).cpus([0]);
    let run = Run::start_with(&wire, attach, spins, Cross);
    let stream = stream(&wire);
    run.wait_for_traffic();

    wire.right().set_down().expect("it can be");
    run.wait_for_drops(DropReason::TxLinkDown);
    wire.right().set_up().expect("it can be");
    run.wait_for_traffic();

    drop(stream);
    run.stop();
}

/// Takes no more frames than there is room for on the other interface.
#[derive(Clone)]
struct Patient;

impl Application for Patient {
    fn receive(&mut self, mut batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        while out.room(to) > 0
            && let Some(frame) = batch.next()
        {
            out.send(frame, to);
        }
    }
}

fn application_that_waits_for_room_goes_on_too(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start_with(&wire, attach, |builder| builder, Patient);
    let stream = stream(&wire);
    run.wait_for_traffic();

    wire.right().set_down().expect("it can be");
    run.wait_for_labels(RIGHT, &["link_down"]);
    // Its frames wait in the RX ring, which has the chunks of the queue.
    run.wait_for_drops(DropReason::RxNoChunk);
    wire.right().set_up().expect("it can be");
    run.wait_for_traffic();

    drop(stream);
    assert_eq!(run.dropped(DropReason::TxLinkDown), 0);
    run.stop();
}

fn all_workers_go_on(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let each = |builder: EngineBuilder| builder.xsks_per_queue(2);
    let run = Run::start_with(&wire, attach, each, Cross);
    let stream = stream(&wire);
    run.wait_for_traffic();

    wire.right().set_down().expect("it can be");
    wire.left().set_down().expect("it can be");
    run.wait_for_labels(LEFT, &["link_down"]);
    run.wait_for_labels(RIGHT, &["link_down"]);
    drop(stream);
    wire.left().set_up().expect("it can be");
    wire.right().set_up().expect("it can be");
    run.wait_for_labels(LEFT, &["link_down", "link_up"]);
    run.wait_for_labels(RIGHT, &["link_down", "link_up"]);
    wire.client_interface()
        .wait_for_carrier(SOON)
        .expect("both ends are up");
    let stream = super::stream(&wire);
    run.wait_for_traffic();

    drop(stream);
    run.stop();
}

/// Sends a frame of its own whenever there is nothing else to do.
#[derive(Clone)]
struct Makes;

impl Application for Makes {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if let Some(mut frame) = out.allocate() {
            frame.grow_back(60).expect("there is room").fill(0xa5);
            out.send(frame, InterfaceId(RIGHT));
        }
        Idle::Sleep
    }
}

fn frames_that_the_application_makes_are_counted_too(attach: Attach) {
    let Some(wire) = wire() else { return };
    let polls = |builder: EngineBuilder| builder.wait(wharf::Wait::Spin).cpus([0]);
    let run = Run::start_with(&wire, attach, polls, Makes);
    run.wait_for_traffic();

    wire.right().set_down().expect("it can be");
    run.wait_for_drops(DropReason::TxLinkDown);
    wire.right().set_up().expect("it can be");
    run.wait_for_traffic();

    let totals = run.stop().stats.totals();
    assert!(totals.frames_made > 1000, "{totals:?}");
}

/// What the kernel had when the interface went down is unfinished, and is not waited
/// for.
fn engine_ends_in_order_while_an_interface_is_down(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let stream = stream(&wire);
    run.wait_for_traffic();
    wire.right().set_down().expect("it can be");
    run.wait_for_drops(DropReason::TxLinkDown);
    drop(stream);

    let stopping = Instant::now();
    let summary = run.stop();

    let elapsed = stopping.elapsed();
    assert!(elapsed < Duration::from_secs(3), "it took {elapsed:?}");
    let unfinished = summary.stats.totals().drops.get(DropReason::TxUnfinished);
    assert!(
        unfinished <= 128,
        "{unfinished} are more than of two rounds"
    );
    wire.right().set_up().expect("it can be");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frame = quiet_flow(&wire, 4000).frame(b"to nobody");
    sender.send(&frame).expect("the link is as it was");
}
