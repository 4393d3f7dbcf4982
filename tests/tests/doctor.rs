//! `wharf doctor` says what forwarding would get, and changes nothing.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use wharf_testbed::{Testbed, Wire, require_privileges};
use wharf_tests::{Occupant, Place, single_line, state_of, wharf};

fn doctor(wire: &Wire, arguments: &[&str]) -> Output {
    let binary = wharf().display().to_string();
    let mut command = wire.forwarder().command(&binary);
    command.arg("doctor").args(arguments);
    command
        .run_bounded(Duration::from_secs(30))
        .expect("it ends by itself")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The state of what was found about `topic`.
fn state<'a>(checks: &'a Value, topic: &str) -> &'a str {
    let mut checks = checks.as_array().expect("a list").iter();
    let check = checks.find(|check| check["topic"] == topic);
    check.expect("it was looked at")["state"]
        .as_str()
        .expect("a word")
}

#[test]
fn healthy_interfaces_would_get_native_mode_and_are_left_as_they_were() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let before = [state_of(wire.left()), state_of(wire.right())];

    let output = doctor(&wire, &["left", "right", "--json"]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = report(&output);
    for topic in [
        "privileges",
        "AF_XDP",
        "native XDP",
        "generic XDP",
        "queues",
    ] {
        assert_eq!(state(&report["machine"], topic), "good", "{topic}");
    }
    for (interface, name) in report["interfaces"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(["left", "right"])
    {
        assert_eq!(interface["name"], name);
        assert_eq!(interface["driver"], "veth");
        assert_eq!(interface["forward"], "native mode, copy");
    }
    assert_eq!([state_of(wire.left()), state_of(wire.right())], before);
}

#[test]
fn interface_that_is_down_is_named_with_the_remedy() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.left().set_down().expect("it is there");

    let named = doctor(&wire, &["left"]);
    let unnamed = doctor(&wire, &[]);

    assert_eq!(named.status.code(), Some(1), "{named:?}");
    let text = String::from_utf8_lossy(&named.stdout);
    assert!(text.contains("→ run `ip link set left up`"), "{text}");
    assert_eq!(
        String::from_utf8_lossy(&named.stderr),
        "wharf: left, state: down\n"
    );
    assert_eq!(unnamed.status.code(), Some(0), "{unnamed:?}");
}

#[test]
fn program_that_is_in_the_way_is_named() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let _occupant = Occupant::attach(wire.left(), Place::Generic);

    let output = doctor(&wire, &["left", "--json"]);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = report(&output);
    assert_eq!(state(&report["interfaces"][0]["checks"], "program"), "bad");
    assert_eq!(report["interfaces"][0]["forward"], "nothing, as it is");
}

#[test]
fn unknown_interface_is_refused_in_one_line() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");

    let output = doctor(&wire, &["lfet"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(single_line(&output).contains("`lfet` does not exist"));
}
