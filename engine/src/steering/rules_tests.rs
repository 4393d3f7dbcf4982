//! The XDP program against the reference, rule by rule, on a real kernel.

use std::os::fd::AsFd;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::instance::{Instance, Target};
use super::program::Program;
use super::*;
use crate::kernel::XskIndex;
use crate::kernel::interface::Interface;
use crate::kernel::interface::testing::in_private_network;
use crate::kernel::sys::bpf::Buffers;
use crate::steering::rules::{Action, DecidedBy, Expression, Rule, RuleSet, samples};

const XSKS: u8 = 3;

/// Frames for each set of rules.
const FRAMES: u32 = 160;

fn config(rules: RuleSet) -> SteeringConfig {
    SteeringConfig {
        xsks_per_queue: XSKS,
        ..SteeringConfig::new(rules)
    }
}

/// With xsks that there are.
fn within_reach(mut rules: RuleSet) -> RuleSet {
    let reach = |action: &mut Action| {
        if let Action::Redirect(XskIndex(xsk)) = action {
            *xsk %= XSKS;
        }
    };
    reach(&mut rules.default);
    rules.undecided.iter_mut().for_each(reach);
    rules
        .rules
        .iter_mut()
        .for_each(|rule| reach(&mut rule.action));
    rules
}

/// The verifier was far from its limit of a million instructions: older kernels prune
/// less.
fn assert_room_to_spare(program: &Program, rules: &RuleSet) {
    let verified = program.verified_instructions();
    assert!(
        verified.is_none_or(|verified| verified < 300_000),
        "{verified:?} instructions verified: {rules:?}"
    );
}

/// The program decides about `frames` as the reference does, and counts so.
fn assert_agrees(rules: &RuleSet, frames: &[Vec<u8>], program: Buffers) -> u32 {
    let lo = Interface::by_name("lo").expect("every namespace has one");
    let config = config(rules.clone());
    let attached = Steering::attach_with(&lo, Attach::Generic, 1, &config, &[program]);
    let mut steering = attached.expect("the verifier accepts it");
    assert_room_to_spare(&steering.instance.program, rules);
    let xsk = super::tests::receiving_xsk();
    // The second slot stays empty.
    for slot in [0, 2] {
        let inserted = steering.insert_fd(0, XskIndex(slot), xsk.as_fd());
        inserted.expect("there is a slot");
    }
    let mut hits = steering.hits().expect("it is read");
    let mut counts = steering.counts(0).expect("it is read");
    let mut compared = 0;
    // The kernel runs nothing on less than an Ethernet header.
    for frame in frames.iter().filter(|frame| frame.len() >= 14) {
        let decision = rules.decide(frame);

        let verdict = steering.test_run(0, frame).expect("it runs");

        let expected = match decision.action {
            Action::Drop => {
                counts.dropped += 1;
                Verdict::Drop
            }
            Action::Pass => {
                counts.passed += 1;
                Verdict::Pass
            }
            Action::Redirect(XskIndex(1)) => {
                counts.passed_no_xsk += 1;
                Verdict::Pass
            }
            Action::Redirect(_) => {
                counts.redirected += 1;
                Verdict::Redirect
            }
        };
        match (decision.action, decision.by) {
            (Action::Redirect(XskIndex(1)), _) => hits.no_xsk += 1,
            (_, DecidedBy::Rule(rule)) => hits.rules[rule] += 1,
            (_, DecidedBy::Undecided(_)) => hits.undecided += 1,
            (_, DecidedBy::Default) => hits.default += 1,
        }
        assert_eq!(rules.explain(frame).decision, decision);
        assert_eq!(verdict, expected, "{rules:?}\n{frame:02x?}");
        let now = steering.hits().expect("it is read");
        assert_eq!(now, hits, "{rules:?}\n{frame:02x?}");
        assert_eq!(steering.counts(0).expect("it is read"), counts);
        compared += 1;
    }
    compared
}

fn compare_random(program: Buffers, cases: u32) {
    // Software emulation (tests/guest/run.sh) is some ten times slower.
    let cases = match std::env::var_os("WHARF_GUEST") {
        Some(_) => cases / 6,
        None => cases,
    };
    in_private_network(move || {
        let mut runner = TestRunner::new(Config {
            cases,
            max_global_rejects: 100_000,
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        });
        let compared = std::cell::Cell::new(0);
        let frames = proptest::collection::vec(samples::frame(), FRAMES as usize);
        runner
            .run(&(samples::rule_set(), frames), |(rules, frames)| {
                let rules = within_reach(rules);
                // Rules that never match are refused, which is tested elsewhere.
                prop_assume!(Steering::check(&rules, XSKS).is_ok());
                let agreed = assert_agrees(&rules, &frames, program);
                compared.set(compared.get() + agreed);
                Ok(())
            })
            .expect("program and reference agree");
        println!("{} frames compared", compared.get());
        assert!(
            compared.get() >= cases * FRAMES * 3 / 4,
            "few frames are too short"
        );
    });
}

#[test]
fn program_decides_as_the_reference_does() {
    compare_random(Buffers::Several, 60);
}

#[test]
fn program_for_one_buffer_decides_as_the_reference_does() {
    compare_random(Buffers::One, 30);
}

#[test]
fn frames_are_read_only_with_the_privilege_and_taken_whole_without() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        // Capabilities belong to a thread, and this one is ours.
        let kept = [
            caps::Capability::CAP_BPF,
            caps::Capability::CAP_NET_ADMIN,
            caps::Capability::CAP_NET_RAW,
        ];
        caps::set(None, caps::CapSet::Effective, &kept.into()).expect("they are held");
        let attach = |config: &SteeringConfig| Steering::attach(&lo, Attach::Auto, 1, config);

        let plain = attach(&SteeringConfig::default());
        drop(plain.expect("CAP_BPF and CAP_NET_ADMIN are enough"));
        let rules = config(RuleSet::only([Rule::from(Expression::udp())]));
        let error = attach(&rules).expect_err("CAP_PERFMON is missing");
        let error = error.to_string();

        assert!(error.contains("grant CAP_PERFMON"), "{error}");
        assert_eq!(error.lines().count(), 1);
        let perfmon = caps::Capability::CAP_PERFMON;
        caps::raise(None, caps::CapSet::Effective, perfmon).expect("it is permitted");
        attach(&rules).expect("that is all it takes");
    });
}

#[test]
fn every_clause_of_a_full_list_is_found() {
    in_private_network(|| {
        let rules = RuleSet::only((0..256).map(|port| Rule::from(Expression::dst_port(port + 1))));
        let frames: Vec<Vec<u8>> = (0..=257_u16)
            .map(|port| {
                let mut frame = vec![0; 12];
                frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
                frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 9]);
                frame.extend(port.to_be_bytes());
                frame.extend([0, 8, 0, 0]);
                frame
            })
            .collect();

        let compared = assert_agrees(&rules, &frames, Buffers::One);

        assert_eq!(compared, 258);
    });
}

/// Rules that ask for every field, and fill all words.
fn all_fields() -> RuleSet {
    use crate::steering::rules::{
        IcmpVersion, MacAddress, Prefix, Primitive, Side, TcpFlags, VlanTag,
    };
    let prefix = |address: &str| Prefix::host(address.parse().expect("an address"));
    let primitives = [
        Primitive::EtherType(0x88cc),
        Primitive::Vlan(VlanTag::Outer, None),
        Primitive::Vlan(VlanTag::Inner, None),
        Primitive::Ether(Side::Source, MacAddress([2; 6])),
        Primitive::Ether(Side::Destination, MacAddress([2; 6])),
        Primitive::EtherMulticast,
        Primitive::AtMostBytes(100),
        Primitive::ArpAddress(Side::Source, prefix("10.0.0.1")),
        Primitive::ArpAddress(Side::Destination, prefix("10.0.0.1")),
        Primitive::Protocol(51),
        Primitive::Address(Side::Source, prefix("10.0.0.1")),
        Primitive::Address(Side::Destination, prefix("10.0.0.1")),
        Primitive::Address(Side::Source, prefix("fd00::1")),
        Primitive::Address(Side::Destination, prefix("fd00::1")),
        Primitive::Protocol(47),
        Primitive::LaterFragment,
        Primitive::TcpFlags(TcpFlags::Any(1)),
        Primitive::IcmpType(IcmpVersion::V4, 8),
        Primitive::IcmpType(IcmpVersion::V6, 128),
    ];
    let fields = primitives.map(|primitive| Rule::from(Expression::from(primitive)));
    let ports = (1..=118).flat_map(|port| [Expression::src_port(port), Expression::dst_port(port)]);
    RuleSet::only(fields.into_iter().chain(ports.map(Rule::from)))
}

#[test]
fn verifier_accepts_all_stages_with_room_to_spare() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        let config = SteeringConfig {
            flow_capacity: 1000,
            keep_management: true,
            ..config(all_fields().with_undecided(Action::Drop))
        };
        for buffers in [Buffers::Several, Buffers::One] {
            let target = Target {
                interface: &lo,
                queue_slots: 4,
                config: &config,
            };

            let loaded = Instance::load_first(&target, &config.rules, &[buffers]);

            let (instance, _) = loaded.expect("the verifier accepts it");
            assert_room_to_spare(&instance.program, &config.rules);
        }
    });
}

#[test]
fn length_is_that_of_all_buffers() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        let rules: RuleSet = "drop greater 6001\ndrop less 60\ndefault pass"
            .parse()
            .expect("good rules");
        let attach = |programs: &[Buffers]| {
            Steering::attach_with(&lo, Attach::Generic, 1, &config(rules.clone()), programs)
        };
        let verdict = |steering: &Steering, bytes| steering.test_run(0, &vec![0; bytes]);
        let one = attach(&[Buffers::One]).expect("it attaches");
        for (bytes, expected) in [
            (60, Verdict::Drop),
            (61, Verdict::Pass),
            (2000, Verdict::Pass),
        ] {
            assert_eq!(verdict(&one, bytes).expect("it runs"), expected, "{bytes}");
        }
        drop(one);
        // Linux 5.18, as long frames in a test run.
        let Ok(several) = attach(&[Buffers::Several]) else {
            return;
        };
        for (bytes, expected) in [
            (60, Verdict::Drop),
            (61, Verdict::Pass),
            (6000, Verdict::Pass),
            (6001, Verdict::Drop),
        ] {
            assert_eq!(
                verdict(&several, bytes).expect("it runs"),
                expected,
                "{bytes}"
            );
        }
    });
}

#[test]
fn verifier_accepts_a_few_rules_that_follow_extension_headers() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        // Each was too large for the verifier.
        for rules in [
            "tcp and ether host ff:ff:ff:ff:ff:ff and ip6\ndrop proto 43 or src net 10.0.0.0/8",
            "drop greater 30556 or less 91 or ah or ether proto 0x88cc\ntcp dst portrange 53-45548",
            "drop not less 102\nnot (icmp and src port 1)\ndrop proto 43 or ether multicast",
        ] {
            let rules: RuleSet = rules.parse().expect("rules");
            let config = config(rules.clone());
            let target = Target {
                interface: &lo,
                queue_slots: 1,
                config: &config,
            };

            // That for several is compared with the reference on random rules.
            let loaded = Instance::load_first(&target, &rules, &[Buffers::One]);

            let (instance, _) = loaded.expect("the verifier accepts it");
            assert_room_to_spare(&instance.program, &rules);
        }
    });
}

/// A frame of UDP to a port.
fn udp_to(port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 9]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 8, 0, 0]);
    frame
}

#[test]
fn switch_that_is_taken_back_keeps_rules_and_counts() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        let ports = |ports: &[u16]| {
            // No xsk is there, and frames to redirect would be no hits of a rule.
            let drop = |&port: &u16| Rule {
                action: Action::Drop,
                ..Rule::from(Expression::dst_port(port))
            };
            RuleSet::only(ports.iter().map(drop))
        };
        let (old, new) = (ports(&[1, 2]), ports(&[2, 3]));
        let config = config(old.clone());
        let mut steering = Steering::attach(&lo, Attach::Auto, 1, &config).expect("it attaches");
        let run = |steering: &Steering, port| {
            steering.test_run(0, &udp_to(port)).expect("it runs");
        };
        for port in [1, 2, 2, 9] {
            run(&steering, port);
        }

        let prepared = steering.prepare(&new).expect("it loads");
        steering.switch(prepared).expect("it is attached");
        for port in [2, 3, 3, 9] {
            run(&steering, port);
        }
        steering.switch_back();
        let back = steering.hits().expect("they are read");

        assert_eq!(steering.rules(), &old);
        assert_eq!(
            lo.xdp_id().expect("it exists").map(|(id, _)| id),
            Some(steering.program_id())
        );
        assert_eq!(back.rules, [1, 3]);
        assert_eq!((back.default, back.removed), (2, 2));
        let counts = steering.counts(0).expect("they are read");
        assert_eq!((counts.frames(), back.frames()), (8, 8));

        steering.replace(&new).expect("it is replaced");
        run(&steering, 3);
        let hits = steering.hits().expect("they are read");
        assert_eq!(steering.rules(), &new);
        assert_eq!(hits.rules, [3, 1]);
        assert_eq!((hits.default, hits.removed), (2, 3));
        assert_eq!(steering.counts(0).expect("they are read").frames(), 9);
    });
}

#[test]
fn replacement_where_nothing_is_attached_is_an_error() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        let default = SteeringConfig::default();
        let mut steering = Steering::attach(&lo, Attach::Auto, 1, &default).expect("it attaches");
        steering.detach();

        let error = steering.replace(&RuleSet::only([])).expect_err("detached");

        assert!(
            matches!(error.kind(), SteeringErrorKind::Detached),
            "{error}"
        );
        assert_eq!(steering.rules(), &RuleSet::everything());
    });
}

#[test]
fn sockets_and_flows_outlive_the_rules_and_a_closed_socket_leaves_at_once() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        let default = SteeringConfig {
            flow_capacity: 10,
            ..SteeringConfig::default()
        };
        let mut steering = Steering::attach(&lo, Attach::Auto, 1, &default).expect("it attaches");
        let xsk = super::tests::receiving_xsk();
        steering
            .insert_fd(0, XskIndex(0), xsk.as_fd())
            .expect("there is a slot");
        let flow = crate::steering::rules::Flow {
            protocol: 17,
            source: ([10, 0, 0, 1], 9).into(),
            destination: ([10, 0, 0, 2], 7).into(),
        };
        steering
            .insert_flow(&flow, Action::Drop)
            .expect("there is room");

        steering
            .replace(&RuleSet::only([Expression::dst_port(8).into()]))
            .expect("it is replaced");
        let verdicts = [7, 8, 9].map(|port| steering.test_run(0, &udp_to(port)).expect("it runs"));
        drop(xsk);
        let mut closed = steering.test_run(0, &udp_to(8)).expect("it runs");
        // A child of another test, between fork and exec, may have a copy.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while closed != Verdict::Pass && std::time::Instant::now() < deadline {
            closed = steering.test_run(0, &udp_to(8)).expect("it runs");
        }

        assert_eq!(verdicts, [Verdict::Drop, Verdict::Redirect, Verdict::Pass]);
        assert_eq!(closed, Verdict::Pass);
        assert_eq!(steering.flows().collect::<Vec<_>>(), [flow]);
        assert_eq!(
            steering.flow(&flow).expect("it is asked"),
            Some(Action::Drop)
        );
        assert_eq!(steering.hits().expect("they are read").flows, 1);
    });
}

/// Drops all on this namespace's loopback but what the host is managed by.
fn only_management() -> Steering {
    let lo = Interface::by_name("lo").expect("every namespace has one");
    let rules = RuleSet::new([], Action::Drop);
    let mut config = config(rules);
    config.keep_management = true;
    Steering::attach(&lo, Attach::Auto, 1, &config).expect("it attaches")
}

#[test]
fn management_goes_to_the_kernel_before_flows_and_rules() {
    in_private_network(|| {
        use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
        let mut steering = only_management();
        let host = Ipv4Addr::LOCALHOST;
        steering
            .set_own_addresses(&[host.into()])
            .expect("there is room");
        let passes = |frame: &[u8]| steering.test_run(0, frame).expect("it runs") == Verdict::Pass;
        let ip = |destination: Ipv4Addr, protocol: u8, upper: &[u8]| {
            let length = u8::try_from(20 + upper.len()).expect("short");
            let mut frame = vec![0; 12];
            frame.extend([0x08, 0x00, 0x45, 0, 0, length, 0, 0, 0, 0, 64]);
            frame.extend([protocol, 0, 0, 127, 0, 0, 1]);
            frame.extend(destination.octets());
            frame.extend(upper);
            frame
        };
        let ports = |source: u16, destination: u16| {
            let mut upper = source.to_be_bytes().to_vec();
            upper.extend(destination.to_be_bytes());
            upper.extend([0; 16]);
            upper
        };
        let elsewhere = Ipv4Addr::new(10, 9, 9, 9);
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);

        assert!(passes(&arp));
        assert!(passes(&ip(elsewhere, 17, &ports(67, 68))), "DHCP");
        assert!(passes(&ip(host, 6, &ports(4000, 22))), "SSH");
        assert!(!passes(&ip(elsewhere, 6, &ports(4000, 22))), "of others");
        assert!(passes(&ip(host, 1, &[3, 0, 0, 0])), "unreachable");
        assert!(
            !passes(&ip(host, 1, &[8, 0, 0, 0])),
            "a ping is for the rules"
        );
        assert!(passes(&ip(host, 17, &[0, 1])), "ports that are cut off");
        let mut fragment = ip(host, 17, &ports(1, 2));
        fragment[21] = 1;
        assert!(passes(&fragment));

        // These do not leave the program's test run, and lo drops what it gets.
        let listener = UdpSocket::bind((host, 0)).expect("a port");
        let to = listener.local_addr().expect("bound").port();
        assert!(!passes(&ip(host, 17, &ports(5000, to))), "anybody's");
        listener.connect((host, 5000)).expect("UDP needs nobody");
        assert!(passes(&ip(host, 17, &ports(5000, to))), "its peer's");
        assert!(!passes(&ip(host, 17, &ports(5001, to))), "another's");

        let hits = steering.hits().expect("they are read");
        assert_eq!(hits.management, 7);
        assert_eq!(hits.default, 4);
        let detached = {
            steering.detach();
            TcpListener::bind((host, 0)).expect("a port")
        };
        let to = detached.local_addr().expect("bound");
        let client = TcpStream::connect(to).expect("lo is up");
        let from = client.local_addr().expect("connected").port();
        let verdict = |source, destination| {
            let frame = ip(host, 6, &ports(source, destination));
            steering.test_run(0, &frame).expect("it runs")
        };
        assert_eq!(verdict(from, to.port()), Verdict::Pass, "a connection");
        assert_eq!(verdict(1, to.port()), Verdict::Drop, "a listener");
        assert_eq!(verdict(to.port(), from), Verdict::Pass, "its other end");
    });
}

#[test]
fn management_is_of_the_link_or_of_the_host_and_hides_behind_no_extensions() {
    in_private_network(|| {
        let mut steering = only_management();
        let address = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address");
        let host = address("2001:db8::1");
        let set = steering.set_own_addresses(&[host.into()]);
        set.expect("there is room");
        let passes = |to: std::net::Ipv6Addr, next: u8, payload: &[u8]| {
            let length = u16::try_from(payload.len()).expect("short");
            let mut frame = vec![0; 12];
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([next, 64]);
            frame.extend(address("2001:db8::2").octets());
            frame.extend(to.octets());
            frame.extend(payload);
            steering.test_run(0, &frame).expect("it runs") == Verdict::Pass
        };
        let solicitation = [135, 0, 0, 0, 0, 0, 0, 0];
        let dhcp = [0x02, 0x23, 0x02, 0x22, 0, 8, 0, 0];
        let ssh = [0x0f, 0xa0, 0, 22, 0, 0, 0, 0];
        let elsewhere = address("2001:db8:9::9");

        for to in ["ff02::1:ff00:1", "fe80::1", "2001:db8::1"].map(address) {
            assert!(passes(to, 58, &solicitation), "{to}");
            assert!(passes(to, 17, &dhcp), "{to}");
        }
        assert!(!passes(elsewhere, 58, &solicitation), "it is forwarded");
        assert!(!passes(elsewhere, 17, &dhcp), "it is forwarded");

        // Destination options, of which the last is followed by TCP.
        let behind = |options: usize, upper: &[u8]| {
            let mut payload = [60, 0, 1, 4, 0, 0, 0, 0].repeat(options);
            payload[8 * (options - 1)] = 6;
            payload.extend(upper);
            payload
        };
        assert!(passes(host, 60, &behind(4, &ssh)));
        assert!(!passes(host, 60, &behind(5, &ssh)), "any port could be");
        let later = [6, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(passes(host, 44, &later), "of a connection, perhaps");
        assert!(!passes(elsewhere, 44, &later), "of others");
    });
}
