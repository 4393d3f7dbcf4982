//! Interfaces of other shapes and by other names: what cannot be driven is refused with
//! the reason before anything is set up, and every name of an interface leads to it.

use std::process::Output;
use std::time::Duration;

use wharf::{
    Application, Attach, Batch, Engine, Error, Interface, InterfaceErrorKind, NicQueue, Outbox,
    QueueIndex, RingCapacity, Steering, SteeringConfig, SteeringErrorKind, Umem, UmemConfig,
    XskConfig, XskErrorKind,
};
use wharf_testbed::{Testbed, Wire, require_privileges, require_program};
use wharf_tests::{assert_no_program, single_line, wharf_in};

const LIMIT: Duration = Duration::from_secs(30);

/// A wire, beside which interfaces are made with `ip`.
fn wire(commands: &[&str]) -> Option<Wire> {
    if !require_privileges() || !require_program("ip") {
        return None;
    }
    let wire = Testbed::wire().expect("a wire");
    for command in commands {
        let mut ip = wire.forwarder().command("ip");
        ip.args(command.split(' '));
        ip.run_checked(LIMIT).expect("iproute2 can");
    }
    Some(wire)
}

fn wharf(wire: &Wire, words: &[&str]) -> Output {
    let mut command = wharf_in(wire.forwarder());
    command.args(words).run_bounded(LIMIT).expect("it ends")
}

/// `wharf forward` refuses the pair in one line that says `needles`, and so does
/// `wharf doctor`, about `subject`. The other interface is as it was.
#[track_caller]
fn assert_refused(wire: &Wire, pair: [&str; 2], needles: &[&str], subject: &str) {
    let forward = wharf(
        wire,
        &[
            "forward",
            pair[0],
            pair[1],
            "--no-control",
            "--duration",
            "0.2",
        ],
    );
    let doctor = wharf(wire, &["doctor", pair[0], pair[1]]);

    let line = single_line(&forward);
    assert_eq!(forward.status.code(), Some(1), "{line}");
    for needle in needles {
        assert!(line.contains(needle), "no `{needle}` in: {line}");
    }
    let line = single_line(&doctor);
    assert_eq!(doctor.status.code(), Some(1), "{line}");
    assert!(line.contains(subject), "{line}");
    assert_no_program(wire.right());
}

const TUN: [&str; 2] = ["tuntap add dev tunnel mode tun", "link set dev tunnel up"];
const TAP: [&str; 2] = ["tuntap add dev tap mode tap", "link set dev tap up"];

#[test]
fn frames_without_an_ethernet_header_are_refused_by_their_type() {
    let Some(wire) = wire(&TUN) else { return };
    let needles = ["`tunnel`", "ARPHRD_NONE", "tap instead of tun"];
    for pair in [["tunnel", "right"], ["right", "tunnel"]] {
        assert_refused(&wire, pair, &needles, "tunnel, frames: ");
    }
}

#[test]
fn library_refuses_them_wherever_they_come_in() {
    let Some(wire) = wire(&TUN) else { return };
    let _inside = wire.forwarder().enter().expect("the host lives");
    let tunnel = Interface::by_name("tunnel").expect("it was just added");
    let umem = Umem::new(&UmemConfig::new(256)).expect("memory");
    let queue = NicQueue::new(&umem, &tunnel, QueueIndex::new(0).expect("small"));
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));

    let bound = queue.bind(&config).expect_err("it has no Ethernet header");
    let steered = Steering::attach(&tunnel, Attach::Auto, 1, &SteeringConfig::default());

    assert_eq!(
        tunnel.link_type().expect("it has one").to_string(),
        "ARPHRD_NONE"
    );
    assert!(
        matches!(
            bound.kind(),
            XskErrorKind::Interface(error)
                if matches!(error.kind, InterfaceErrorKind::NoEthernetHeader { .. })
        ),
        "{bound}"
    );
    let steered = steered.expect_err("it has no Ethernet header");
    assert!(
        matches!(
            steered.kind(),
            SteeringErrorKind::Interface(error)
                if matches!(error.kind, InterfaceErrorKind::NoEthernetHeader { .. })
        ),
        "{steered}"
    );
}

#[test]
fn tap_that_nobody_holds_open_is_refused_with_what_to_do() {
    let Some(wire) = wire(&TAP) else { return };
    let needles = [
        "`tap`",
        "no program holds this tap open",
        "start the program",
    ];
    for pair in [["tap", "right"], ["right", "tap"]] {
        assert_refused(&wire, pair, &needles, "tap, queues: none");
    }
}

const SHORT: &str = "uplink";
const LONG: &str = "a-very-long-alternative-name-of-an-interface";

fn named() -> Option<Wire> {
    wire(&[
        &format!("link property add dev left altname {SHORT}"),
        &format!("link property add dev left altname {LONG}"),
        &format!("link property add dev left altname {}", "x".repeat(127)),
    ])
}

#[test]
fn every_name_of_an_interface_leads_to_it() {
    let Some(wire) = named() else { return };
    let names = [SHORT, LONG, &"x".repeat(127)];

    for name in names {
        let run = ["forward", name, "right", "--json", "--duration", "0.2"];
        let forward = wharf(&wire, &run);
        let doctor = wharf(&wire, &["doctor", name]);

        assert_eq!(forward.status.code(), Some(0), "{name}: {forward:?}");
        let text = String::from_utf8_lossy(&forward.stdout);
        assert!(text.contains("\"name\":\"left\""), "{text}");
        assert_eq!(doctor.status.code(), Some(0), "{name}: {doctor:?}");
    }
    let longer = "x".repeat(128);
    assert_refused(
        &wire,
        [&longer, "right"],
        &["does not exist"],
        "does not exist",
    );
}

#[test]
fn interface_and_its_other_name_are_the_same_interface() {
    let Some(wire) = named() else { return };
    for pair in [["left", SHORT], [LONG, "left"], [SHORT, LONG]] {
        let needles = [pair[0], pair[1], "the same interface, `left`"];
        assert_refused(&wire, pair, &needles, "the same interface, `left`");
    }
    assert_no_program(wire.left());
}

struct Nothing;

impl Application for Nothing {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }
}

#[test]
fn library_compares_interfaces_and_not_their_names() {
    let Some(wire) = named() else { return };
    let _inside = wire.forwarder().enter().expect("the host lives");

    let started = Engine::builder()
        .interface("left")
        .interface("right")
        .interface(LONG)
        .start(|_| Nothing);

    let error = started.map(drop).expect_err("it is there twice");
    assert!(
        matches!(&error, Error::SameInterface { first, second, .. }
            if first == "left" && second == LONG),
        "{error}"
    );
    assert_no_program(wire.right());
}
