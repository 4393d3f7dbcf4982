//! `wharf forward` on an interface that the host is managed by.
//!
//! ```text
//!   client 10.77.0.1 ─── left 10.77.0.254 forwarder right ─── 10.77.0.2 server
//!                        default route over left
//! ```

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde_json::json;
use wharf::Attach;
use wharf_testbed::{CLIENT_IPV4, SERVER_IPV4, Testbed, Wire, require_privileges};
use wharf_tests::{Forward, SOON, connect, in_both_modes, listen, single_line, wharf};

in_both_modes! {
    forwarder_keeps_its_host_reachable_and_forwards_the_rest,
    forwarder_takes_everything_when_told_to,
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// Nothing that is taken is ever answered; long enough for what is not.
const NEVER: Duration = Duration::from_millis(300);

/// A wire whose host has an address and the default route on its left side.
fn wire() -> Wire {
    let wire = Testbed::wire().expect("a wire");
    let left = wire.left();
    left.add_address(OWN, 24).expect("it is free");
    left.add_route(Ipv4Addr::UNSPECIFIED, 0, CLIENT_IPV4)
        .expect("the client is near");
    wire
}

/// A datagram from the client to the server arrives.
fn assert_forwarded(wire: &Wire) {
    let socket = |address| move || UdpSocket::bind((address, 4433)).expect("the port is free");
    let server = wire.server().run(socket(SERVER_IPV4));
    server.set_read_timeout(Some(SOON)).expect("a bound");
    let client = wire.client().run(socket(CLIENT_IPV4));
    client
        .send_to(b"across", (SERVER_IPV4, 4433))
        .expect("a route");
    assert_eq!(server.recv(&mut [0; 16]).expect("it arrives"), 6);
}

fn forwarder_keeps_its_host_reachable_and_forwards_the_rest(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = wire();
    let (ssh, web) = (
        listen(wire.forwarder(), OWN, 22),
        listen(wire.forwarder(), OWN, 8080),
    );
    let foreign = listen(wire.server(), SERVER_IPV4, 22);
    let mut forward = Forward::start(&wire, attach, &[]);

    let said = forward.process().stderr();
    let line = "  keeps management traffic with the kernel (it carries the default route): \
                ARP, ND, DHCP, SSH, established connections; --take-everything to take it too\n";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    let mut session = connect(wire.client(), &ssh, SOON).expect("SSH gets through");
    assert!(session.works(SOON));
    assert_forwarded(&wire);
    let across = connect(wire.client(), &foreign, SOON).expect("SSH of others is forwarded");
    assert!(connect(wire.client(), &web, NEVER).is_none(), "not SSH");
    drop(across);
    let report = forward.stop();

    report.assert_conserved();
    let interfaces = &report.summary["setup"]["interfaces"];
    let kept = json!({"kept": true, "because": "default_route", "default_route": "left"});
    let none = json!({"kept": false, "because": "no_default_route", "default_route": null});
    assert_eq!(interfaces[0]["management"], kept);
    assert_eq!(interfaces[1]["management"], none);
}

fn forwarder_takes_everything_when_told_to(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = wire();
    let ssh = listen(wire.forwarder(), OWN, 22);
    let mut session = connect(wire.client(), &ssh, SOON).expect("nothing runs yet");
    let mut forward = Forward::start(&wire, attach, &["--take-everything"]);

    let said = forward.process().stderr();
    assert!(said.contains("SSH through it breaks off"), "{said}");
    assert!(!session.works(NEVER), "the session breaks off");
    assert!(
        connect(wire.client(), &ssh, NEVER).is_none(),
        "no other begins"
    );
    assert_forwarded(&wire);
    let report = forward.stop();

    report.assert_conserved();
    let taken = json!({"kept": false, "because": "take_everything", "default_route": "left"});
    assert_eq!(
        report.summary["setup"]["interfaces"][0]["management"],
        taken
    );
}

#[test]
fn management_is_kept_without_a_default_route_when_that_is_asked() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.right()
        .add_address([10, 77, 0, 253], 24)
        .expect("it is free");
    let ssh = listen(wire.forwarder(), [10, 77, 0, 253], 22);
    let forward = Forward::start(&wire, Attach::Auto, &["--keep-management"]);

    let mut session = connect(wire.server(), &ssh, SOON).expect("SSH gets through");
    assert!(session.works(SOON));
    let report = forward.stop();

    let kept = json!({"kept": true, "because": "keep_management", "default_route": null});
    for interface in [0, 1] {
        let interface = &report.summary["setup"]["interfaces"][interface];
        assert_eq!(interface["management"], kept);
    }
}

#[test]
fn both_options_at_once_are_wrong_usage() {
    let output = std::process::Command::new(wharf())
        .args([
            "forward",
            "a",
            "b",
            "--keep-management",
            "--take-everything",
        ])
        .output()
        .expect("the command can be run");

    assert_eq!(output.status.code(), Some(2));
    assert!(single_line(&output).contains("cannot be used with"));
}
