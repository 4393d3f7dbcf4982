//! `wharf doctor` says what forwarding would get, and changes nothing.

use std::net::Ipv4Addr;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use wharf::{
    Attach, Interface, KernelFeatures, NicQueue, QueueIndex, RingCapacity, Steering,
    SteeringConfig, Support, Umem, UmemConfig, XskConfig,
};
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
    for topic in ["AF_XDP", "XDP programs", "bpf_link", "need_wakeup"] {
        assert_eq!(state(&report["kernel"], topic), "good", "{topic}");
    }
    for topic in ["privileges", "native XDP", "generic XDP", "queues"] {
        assert_eq!(state(&report["machine"], topic), "good", "{topic}");
    }
    for topic in ["MTUs", "workers", "shared memory"] {
        assert_eq!(state(&report["together"], topic), "good", "{topic}");
    }
    for (interface, name) in report["interfaces"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(["left", "right"])
    {
        assert_eq!(interface["name"], name);
        assert_eq!(interface["driver"], "veth");
        let forward = interface["forward"].as_str().expect("words");
        assert!(
            forward.ends_with("copy; 1 queue; frames in up to 1 chunk; management traffic taken"),
            "{forward}"
        );
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
        "wharf: left, state: down: run `ip link set left up`\n"
    );
    assert_eq!(unnamed.status.code(), Some(0), "{unnamed:?}");
}

/// What of the kernel is tried on sockets alone has to agree with what a real bind
/// and a real program get.
#[test]
fn kernel_features_are_those_that_a_queue_really_gets() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().mtu(9000).wire().expect("a wire");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let left = Interface::by_name("left").expect("it exists");
    let features = KernelFeatures::probe();

    let steering = Steering::attach(&left, Attach::Generic, 1, &SteeringConfig::default());
    let umem = Umem::new(&UmemConfig::new(256)).expect("memory");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let index = QueueIndex::new(0).expect("a small index");
    let bound = NicQueue::new(&umem, &left, index).bind(&config);

    let yes = |really| if really { Support::Yes } else { Support::No };
    let attached = steering.expect("Linux 5.9");
    assert_eq!(features.xdp_links, Support::Yes);
    assert_eq!(features.xdp_programs, Support::Yes);
    assert_eq!(features.frags_programs, yes(attached.report().multi_buffer));
    assert_eq!(features.multi_buffer, yes(bound.is_ok()), "{bound:?}");
    if let Ok((_, report)) = bound {
        assert_eq!(features.tx_budget, yes(report.tx_budget.is_some()));
    }
    let told = left.xdp_features().expect("an answer");
    assert_eq!(features.driver_features, yes(told.is_some()));
}

#[test]
fn interfaces_that_do_not_fit_each_other_are_told_together() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.right().set_mtu(9000).expect("veth takes it");

    let both = doctor(&wire, &["left", "right", "--json"]);
    let one = doctor(&wire, &["right", "--json"]);

    assert_eq!(both.status.code(), Some(0), "{both:?}");
    assert_eq!(state(&report(&both)["together"], "MTUs"), "poor");
    let one = report(&one);
    assert_eq!(one["together"], Value::Array(Vec::new()));
    let forward = one["interfaces"][0]["forward"].as_str().expect("words");
    assert!(forward.contains("frames in up to 3 chunks"), "{forward}");
}

#[test]
fn default_route_keeps_management_traffic() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let left = wire.left();
    let [own, gateway] = [1, 2].map(|last| Ipv4Addr::new(192, 0, 2, last));
    left.add_address(own, 24).expect("an address");
    left.add_route(Ipv4Addr::UNSPECIFIED, 0, gateway)
        .expect("a route");

    let output = doctor(&wire, &["left", "--json"]);

    let forward = report(&output)["interfaces"][0]["forward"].to_string();
    assert!(forward.contains("management traffic kept"), "{forward}");
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
