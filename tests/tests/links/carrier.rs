//! The other end of an interface goes down and comes back.

use super::*;

in_both_modes! {
    lost_carrier_is_said_once_and_frames_are_counted,
    traffic_flows_after_five_flaps_of_the_far_end,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;

fn lost_carrier_is_said_once_and_frames_are_counted(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let stream = stream(&wire);
    run.wait_for_traffic();

    wire.server_interface().set_down().expect("it can be");
    run.wait_for_labels(RIGHT, &["carrier_lost"]);
    run.wait_for_drops(DropReason::TxKernel);
    wire.server_interface().set_up().expect("it can be");
    run.wait_for_labels(RIGHT, &["carrier_lost", "carrier_back"]);
    run.wait_for_traffic();

    drop(stream);
    assert_eq!(run.labels(LEFT), [""; 0]);
    assert_eq!(run.labels(RIGHT), ["carrier_lost", "carrier_back"]);
    assert_eq!(run.dropped(DropReason::TxLinkDown), 0);
    run.stop();
}

fn traffic_flows_after_five_flaps_of_the_far_end(attach: Attach) {
    let Some(wire) = wire() else { return };
    let run = Run::start(&wire, attach);
    let stream = stream(&wire);
    run.wait_for_traffic();

    for _ in 0..5 {
        wire.server_interface().set_down().expect("it can be");
        wire.server_interface().set_up().expect("it can be");
    }

    run.wait_for_traffic();
    // The kernel itself passes over some that follow each other too fast
    // (`linkwatch_fire_event` in `net/core/link_watch.c`).
    wait_until("the last is said", SOON, || {
        run.labels(RIGHT).len().is_multiple_of(2)
    });
    drop(stream);
    let labels = run.labels(RIGHT);
    let pairs = ["carrier_lost", "carrier_back"].repeat(labels.len() / 2);
    assert_eq!(labels, pairs);
    run.stop();
}
