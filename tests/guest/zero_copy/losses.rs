//! What the forwarder or an interface does not survive, under traffic in zero
//! copy.

use wharf::Attach;
use wharf_testbed::{ChildGuard, MacAddress, UdpFlow};
use wharf_tests::{Stream, wait_until};

use crate::LIMIT;
use crate::end::flow;
use crate::wire::{GuestWire, assert_zero_copy};

/// Frames from the near end that every NIC takes, and no stack answers.
fn stream(wire: &GuestWire) -> Stream {
    let nic = wire.near_nic();
    let everybody: UdpFlow = flow().macs(nic.mac(), MacAddress([0xff; 6]));
    Stream::start(&nic, everybody, 2000)
}

fn wait_for_traffic(wire: &GuestWire) {
    let before = wire.arrived();
    wait_until("frames arrive", LIMIT, || wire.arrived() > before + 300);
}

#[test]
fn killed_forwarder_leaves_zero_copy_to_the_next_one_at_once() {
    let wire = GuestWire::new();
    let stream = stream(&wire);

    for _ in 0..3 {
        let forward = wire.forward();
        wait_for_traffic(&wire);
        forward.kill();
    }
    let forward = wire.forward();
    wait_for_traffic(&wire);
    drop(stream);
    let report = forward.stop();

    assert_zero_copy(&report.summary);
    report.assert_conserved();
    assert!(report.total("tx_frames") >= 300);
}

#[test]
fn far_end_going_down_and_up_holds_frames_up_and_loses_no_count() {
    let wire = GuestWire::new();
    let stream = stream(&wire);
    let mut forward = wire.forward();

    for _ in 0..3 {
        wait_for_traffic(&wire);
        let far = wire.far_nic();
        far.set_down().expect("it can be");
        // Time for the rings to fill up; nothing depends on how full they get.
        std::thread::sleep(std::time::Duration::from_millis(500));
        far.set_up().expect("it can be");
    }
    wait_for_traffic(&wire);
    assert_running(forward.process());
    drop(stream);
    let report = forward.stop();

    assert_zero_copy(&report.summary);
    report.assert_conserved();
}

#[track_caller]
fn assert_running(process: &mut ChildGuard) {
    let ended = process.try_wait().expect("the kernel says");
    assert_eq!(ended, None, "{}", process.stderr());
}

#[test]
fn interface_set_down_ends_the_run_and_the_next_one_has_zero_copy_again() {
    let wire = GuestWire::new();
    let stream = stream(&wire);
    let options = [
        "--mode",
        "zero-copy",
        "--queues",
        "1",
        "--on-link-down",
        "end",
    ];
    let forward = wire.forward_as(Attach::Native, &options);
    wait_for_traffic(&wire);

    let left = wire.left();
    left.set_down().expect("it can be");
    let (status, report) = forward.end();
    left.set_up().expect("it can be");
    let next = wire.forward();
    wait_for_traffic(&wire);
    drop(stream);
    let after = next.stop();

    assert_eq!(status.code(), Some(1));
    let error = report.summary["error"].as_str().expect("it says why");
    assert!(
        error.contains("eth1") && error.contains("set down"),
        "{error}"
    );
    for report in [report, after] {
        assert_zero_copy(&report.summary);
        report.assert_conserved();
    }
}

#[test]
fn interface_set_down_and_up_has_zero_copy_as_before() {
    let wire = GuestWire::new();
    let stream = stream(&wire);
    let forward = wire.forward();
    wait_for_traffic(&wire);

    let left = wire.left();
    for _ in 0..2 {
        left.set_down().expect("it can be");
        left.set_up().expect("it can be");
        wait_for_traffic(&wire);
    }
    drop(stream);
    let report = forward.stop();

    let said: Vec<_> = report.events.iter().map(|event| &event["event"]).collect();
    assert!(said.contains(&&"link_up".into()), "{said:?}");
    assert_zero_copy(&report.summary);
    report.assert_conserved();
}
