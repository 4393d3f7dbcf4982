//! The end of an interface or a process while frames are held.

use std::time::Duration;

use wharf::Attach;
use wharf_testbed::require_privileges;
use wharf_tests::{ControlDirectory, SOON, assert_no_program, wait_until};

use super::{did, send, wire};

/// A forwarder that holds so many frames of the client.
fn holding(
    wire: &wharf_testbed::Wire,
    control: &ControlDirectory,
    impairment: &str,
    frames: u64,
) -> wharf_tests::Forward {
    let forward = control.forward(wire, Attach::Native, &["--impair", impairment]);
    send(wire, frames);
    wait_until("they are held", SOON, || {
        did(&control.impairments(), "held_frames") == frames
    });
    forward
}

#[test]
fn held_frames_are_dropped_and_counted_where_the_interface_is_down() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = holding(&wire, &control, "delay 3s", 50);

    wire.right().set_down().expect("it goes down");
    wait_until("they are due", SOON, || {
        did(&control.impairments(), "held_frames") == 0
    });

    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.dropped("tx_link_down"), 50);
}

#[test]
fn held_frames_are_accounted_for_where_the_interface_goes() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = holding(&wire, &control, "delay 100s", 50);

    wire.server_link().delete().expect("it goes");

    let (status, report) = forward.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(report.summary["conserved"], true, "{}", report.summary);
    assert_eq!(
        report.total("frames_in"),
        report.total("tx_frames") + report.total("dropped_frames") + report.total("held_frames")
    );
}

#[test]
fn killed_forwarder_leaves_nothing_of_what_it_held() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = holding(&wire, &control, "delay 100s", 50);

    forward.kill();

    wait_until("the kernel has cleaned up", SOON, || {
        let interface = wire.left();
        interface
            .status()
            .is_ok_and(|status| !status.is_promiscuous)
    });
    std::thread::sleep(Duration::from_millis(100));
    assert_no_program(wire.left());
    assert_no_program(wire.right());
    assert!(require_privileges());
}
