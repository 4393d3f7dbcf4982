//! Frames that the kernel keeps are noticed.

use std::time::Duration;

use wharf::{Attach, Engine, EventKind};
use wharf_tests::{Forward, assert_balanced, in_both_modes, number, wait_until};

use super::*;

in_both_modes! {
    stuck_frames_are_reported_once_and_so_is_that_they_move,
    forwarder_says_that_its_frames_are_stuck,
}

/// How long nothing may come back.
const PATIENCE: Duration = Duration::from_millis(300);

fn stuck_frames_are_reported_once_and_so_is_that_they_move(attach: Attach) {
    let Some(dam) = Dam::new() else { return };
    let inside = dam.sender.enter().expect("the host lives");
    let log = Log::default();
    let engine = Engine::builder()
        .interface(UP)
        .frames(1024)
        .attach(attach)
        .transmit_watchdog(Some(PATIENCE))
        .start({
            let log = log.clone();
            move |_| Send {
                left: FRAMES,
                log: log.clone(),
            }
        })
        .expect("it starts");
    let mut events = Vec::new();
    let mut wait_for = |last: &str| {
        wait_until("it is said", SOON, || {
            events.extend(engine.events());
            let is_last = |event: &wharf::Event| event.kind.label() == last;
            events.last().is_some_and(is_last)
        });
    };

    wait_for("transmit_stalled");
    dam.open();
    wait_for("transmit_resumed");
    wait_until("all are back", SOON, || log.reported() == FRAMES);

    let summary = engine.stop();
    drop(inside);
    let EventKind::TransmitStalled { after, stall, .. } = &events[0].kind else {
        panic!("something else happened: {events:?}");
    };
    assert!(*after >= PATIENCE, "{events:?}");
    let stuck = u64::from(stall.in_flight);
    assert!((1..FRAMES).contains(&stuck), "{events:?}");
    assert_eq!((stall.queue, stall.xsk, stall.pending), (0, 0, 0));
    // Every stall is said once, and so is its end.
    let labels = events.iter().map(|event| event.kind.label());
    let expected = ["transmit_stalled", "transmit_resumed"].into_iter().cycle();
    assert!(
        labels
            .zip(expected)
            .all(|(label, expected)| label == expected)
    );
    log.assert_complete();
    assert_eq!(log.lock().aborted, 0);
    assert_balanced(&summary);
}

fn forwarder_says_that_its_frames_are_stuck(attach: Attach) {
    let Some(dam) = Dam::new() else { return };
    let client = Host::new("client").expect("a host");
    let link = Link::between(&client, &dam.sender).names("eth0", "in");
    let link = link.create().expect("a link");
    let names = ["in", UP];
    let command = wharf_tests::wharf_in(&dam.sender);
    let mut forward = Forward::start_between(command, names, attach, &["--tx-watchdog", "0.3"]);
    let socket = wharf_testbed::PacketSocket::sender(link.near()).expect("a socket");
    let mut frame = vec![0; 1000];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    socket.send_batch(&vec![frame; 12]).expect("it sends");

    let said = forward
        .process()
        .wait_for_output("has finished none of", SOON);
    said.expect("it says so");
    let report = forward.stop();
    let labels: Vec<_> = report.events.iter().map(|event| &event["event"]).collect();
    assert_eq!(labels[0], "transmit_stalled");
    let event = &report.events[0];
    assert_eq!(event["interface"], UP);
    let (stuck, pending) = (number(event, "in_flight"), number(event, "pending"));
    assert!((1..=12).contains(&stuck) && pending == 0, "{event}");
    assert!(report.dropped("tx_unfinished") > 0, "{:?}", report.summary);
    report.assert_conserved();
}
