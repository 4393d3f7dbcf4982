//! Interfaces that stand on a veth.

use wharf::Attach;
use wharf_testbed::Wire;
use wharf_tests::{Forward, wharf_in};

use super::{assert_traffic_flows, ip, try_ip, wire};

/// Forwards between what is made on `left` and `right`. The interface that is made is
/// `upper`.
fn assert_forwards_on(what: &str, commands: &[&str]) {
    let Some(wire) = wire() else { return };
    let forwarder = wire.forwarder();
    let (first, rest) = commands.split_first().expect("one makes it");
    if !try_ip(forwarder, first) {
        println!("{what}: this kernel cannot make it");
        return;
    }
    rest.iter().for_each(|command| ip(forwarder, command));
    ip(forwarder, "link set dev upper up");
    let names = ["upper", "right"];
    let forward = Forward::start_between(wharf_in(forwarder), names, Attach::Auto, &[]);

    let address = wharf_testbed::SERVER_IPV4.into();
    assert_traffic_flows(what, wire.client(), wire.server(), address);

    assert_completes(&wire, what, forward);
}

fn assert_completes(_: &Wire, what: &str, forward: Forward) {
    let report = forward.stop();
    report.assert_conserved();
    for interface in report.summary["setup"]["interfaces"]
        .as_array()
        .expect("two interfaces")
    {
        let checksums = &interface["checksums"];
        assert_eq!(checksums["finished"], true, "{what}: {interface}");
        let because = checksums["because"].as_str().expect("a reason");
        assert!(because.contains("is virtual"), "{what}: {because}");
    }
}

#[test]
fn bridge_on_a_veth_needs_checksums_too() {
    assert_forwards_on(
        "bridge",
        &[
            "link add upper type bridge",
            "link set dev left master upper",
        ],
    );
}

#[test]
fn macvlan_on_a_veth_needs_checksums_too() {
    assert_forwards_on(
        "macvlan",
        &["link add upper link left type macvlan mode passthru"],
    );
}

#[test]
fn bond_on_a_veth_needs_checksums_too() {
    assert_forwards_on(
        "bond",
        &[
            "link add upper type bond mode active-backup",
            "link set dev left down",
            "link set dev left master upper",
        ],
    );
}
