//! What `wharf forward` says of its interfaces while it runs.

use serde_json::{Value, json};
use wharf_testbed::Link;
use wharf_tests::{ControlDirectory, Report, wharf_in};

use super::*;

/// What happened, without when.
fn events(report: &Report) -> Vec<Value> {
    let mut events = report.events.clone();
    for event in &mut events {
        let fields = event.as_object_mut().expect("an object");
        let elapsed = fields.remove("elapsed_seconds").expect("it has a time");
        assert!(elapsed.as_f64().is_some_and(|seconds| seconds > 0.0));
        assert_eq!(fields.remove("type"), Some(json!("event")));
    }
    events
}

#[track_caller]
fn wait_for_line(forward: &mut Forward, line: &str) {
    let process = forward.process();
    let found = process.wait_for_output(&format!("wharf: {line}\n"), SOON);
    found.unwrap_or_else(|error| panic!("{error}: {}", process.stderr()));
}

#[test]
fn link_events_are_a_line_and_an_object_each() {
    let Some(wire) = wire() else { return };
    let mut forward = Forward::start(&wire, Attach::Native, &[]);

    wire.server_interface().set_down().expect("it can be");
    wait_for_line(
        &mut forward,
        "interface `right` has no carrier: frames to it are dropped until its peer is back",
    );
    wire.server_interface().set_up().expect("it can be");
    wait_for_line(&mut forward, "interface `right` has a carrier again");
    wire.left().set_down().expect("it can be");
    wait_for_line(
        &mut forward,
        "interface `left` was set down: frames to it are dropped until it is up again",
    );
    wire.left().set_up().expect("it can be");
    wait_for_line(&mut forward, "interface `left` is up again");

    let said = forward.process().stderr();
    let report = forward.stop();
    let lines = said.lines().filter(|line| line.starts_with("wharf: "));
    assert_eq!(lines.count(), 4, "{said}");
    assert_eq!(
        events(&report),
        [
            json!({"interface": "right", "event": "carrier_lost"}),
            json!({"interface": "right", "event": "carrier_back"}),
            json!({"interface": "left", "event": "link_down"}),
            json!({"interface": "left", "event": "link_up"}),
        ]
    );
    report.assert_conserved();
}

#[test]
fn interface_set_down_ends_the_run_where_that_is_asked_for() {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, Attach::Native, &["--on-link-down", "end"]);

    wire.right().set_down().expect("it can be");
    let (status, report) = forward.end();

    assert_eq!(status.code(), Some(1));
    let error = report.summary["error"].as_str().expect("it says why");
    assert!(error.contains("`right` was set down"), "{error}");
    assert_eq!(events(&report), [json!(null); 0]);
    report.assert_conserved();
}

#[test]
fn raised_mtu_is_said_with_the_frames_that_get_lost() {
    let Some(wire) = wire() else { return };
    let mut forward = Forward::start(&wire, Attach::Native, &[]);

    wire.left().set_mtu(9000).expect("veth takes it");
    wait_for_line(
        &mut forward,
        "the MTU of interface `left` changed from 1500 to 9000: received frames longer than \
         3840 bytes are dropped: start again to receive them",
    );
    wait_for_line(
        &mut forward,
        "packets of more than 1500 bytes that come in on `left` (MTU 9000) do not fit `right` \
         (MTU 1500) and are lost: set both to the same MTU, for example with \
         `ip link set left mtu 1500`",
    );
    wire.left().set_mtu(1500).expect("veth takes it");
    wait_for_line(
        &mut forward,
        "the MTU of interface `left` changed from 9000 to 1500",
    );

    let report = forward.stop();
    let changed = |before: u32, after: u32, longest: Option<u32>| {
        json!({
            "interface": "left",
            "event": "mtu_changed",
            "mtu_bytes_before": before,
            "mtu_bytes": after,
            "longest_received_bytes": longest,
        })
    };
    assert_eq!(
        events(&report),
        [changed(1500, 9000, Some(3840)), changed(9000, 1500, None)]
    );
    report.assert_conserved();
}

#[test]
fn renamed_interface_is_said_and_goes_on() {
    let Some(mut wire) = wire() else { return };
    let control = ControlDirectory::new();
    let mut forward = control.forward(&wire, Attach::Native, &[]);

    let left = wire.client_link_mut().far_mut();
    left.rename("wan0").expect("a free name");
    wait_for_line(&mut forward, "interface `left` is now called `wan0`");
    let listing = control.listing();
    control.steer(&["add", "pass udp dst port 9"]);
    let other = Link::between(wire.forwarder(), wire.client()).names("left", "other");
    let other = other.create().expect("the name is free");
    other.near().set_mtu(1300).expect("veth takes it");
    control.steer(&["remove", "1"]);
    wire.right().set_mtu(1400).expect("veth takes it");
    wait_for_line(
        &mut forward,
        "the MTU of interface `right` changed from 1500 to 1400",
    );

    assert_eq!(listing["interfaces"], json!(["left", "right"]));
    let report = forward.stop();
    let said = events(&report);
    assert_eq!(
        said[0],
        json!({"interface": "wan0", "event": "renamed", "interface_before": "left"})
    );
    assert_eq!(said.len(), 2, "{said:?}");
    report.assert_conserved();
}

#[test]
fn events_have_the_name_of_the_interface_whichever_was_given() {
    let Some(wire) = wire() else { return };
    let added = wire.forwarder().run(|| {
        let words = [
            "link", "property", "add", "dev", "left", "altname", "uplink",
        ];
        std::process::Command::new("ip").args(words).status()
    });
    assert!(added.expect("`ip` of iproute2 is installed").success());
    let command = wharf_in(wire.forwarder());
    let mut forward =
        Forward::start_between(command, ["uplink", "right"], Attach::Native, &["--quiet"]);

    wire.client_interface().set_down().expect("it can be");
    wait_for_line(
        &mut forward,
        "interface `left` has no carrier: frames to it are dropped until its peer is back",
    );

    let report = forward.stop();
    assert_eq!(
        events(&report),
        [json!({"interface": "left", "event": "carrier_lost"})]
    );
    assert_eq!(report.summary["setup"]["interfaces"][0]["name"], "left");
}
