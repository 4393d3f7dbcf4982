//! What `wharf forward` warns of as it starts, once, and forwards all the same.

use std::process::Output;

use wharf_testbed::{Offload, Switch, Testbed, Wire, require_privileges};
use wharf_tests::{SOON, wharf_in};

/// Forwards between the two interfaces for a moment.
fn forward(wire: &Wire) -> Output {
    let mut command = wharf_in(wire.forwarder());
    command.args(["forward", "left", "right", "--duration", "1.2"]);
    command.run_bounded(SOON).expect("it ends by itself")
}

/// The lines that are no part of what was set up.
fn warnings(output: &Output) -> Vec<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let lines = errors.lines().filter(|line| line.starts_with("wharf: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn interfaces_that_fit_each_other_are_no_reason_to_warn() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");

    assert_eq!(warnings(&forward(&wire)), Vec::<String>::new());
}

#[test]
fn smaller_mtu_is_warned_of_with_the_packets_that_get_lost() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.left().set_mtu(3000).expect("veth takes it");

    let warnings = warnings(&forward(&wire));

    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let needle = "packets of more than 1500 bytes that come in on `left` (MTU 3000)";
    assert!(warnings[0].contains(needle), "{warnings:?}");
    assert!(warnings[0].contains("`ip link set left mtu 1500`"));
}

#[test]
fn interface_without_a_carrier_is_warned_of() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.server_interface().set_down().expect("it is there");

    let warnings = warnings(&forward(&wire));

    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("`right` has no carrier"),
        "{warnings:?}"
    );
}

#[test]
fn vlan_tags_that_are_taken_out_are_warned_of_with_the_end_that_does_it() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let left = wire.left();
    left.set_offload(Offload::RxVlan, Switch::On)
        .expect("veth lets it be switched");

    let warnings = warnings(&forward(&wire));

    // The other end is in a namespace that cannot be asked.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let needle = "VLAN tags of frames that come in on `left` are lost: its other end";
    assert!(warnings[0].contains(needle), "{warnings:?}");
    assert!(warnings[0].contains("`ethtool -K left rxvlan off`"));
}
