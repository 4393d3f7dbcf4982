//! Steering on a real kernel, each test in a network namespace of its own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};

use super::instance::{Instance, Target};
use super::program::Program;
use super::rules::RuleSet;
use super::*;
use crate::kernel::XskIndex;
use crate::kernel::interface::testing::{in_private_network, ip, ip_output, request_route};
use crate::kernel::interface::{Holder, Interface, ProgramMode};
use crate::kernel::sys::bpf::Buffers;
use crate::kernel::sys::{if_xdp, socket};

/// The shortest Ethernet frame the stack takes; its bytes do not matter.
const FRAME: [u8; 60] = [0; 60];

/// `one` and `two`, both up, with four queues each.
pub(super) fn veth_pair() -> Interface {
    ip(
        "link add one numrxqueues 4 numtxqueues 4 type veth peer name two numrxqueues 4 numtxqueues 4",
    );
    ip("link set dev two up");
    ip("link set dev one up");
    Interface::by_name("one").expect("it was just added")
}

pub(super) fn attach(interface: &Interface, requested: Attach) -> Steering {
    Steering::attach(interface, requested, 4, &SteeringConfig::default()).expect("it attaches")
}

/// An xsk that is not bound. Linux 7.2 lets none without an RX ring into a map
/// (`ENOBUFS`); earlier ones do.
pub(super) fn receiving_xsk() -> OwnedFd {
    let xsk = socket::open().expect("CAP_NET_RAW is held");
    socket::create_ring(xsk.as_fd(), if_xdp::XDP_RX_RING, 64).expect("there is memory");
    xsk
}

fn refusal(interface: &Interface, requested: Attach) -> SteeringError {
    Steering::attach(interface, requested, 4, &SteeringConfig::default())
        .expect_err("it is refused")
}

fn load(interface: &Interface, buffers: Buffers) -> Result<Program, SteeringError> {
    let target = Target {
        interface,
        queue_slots: 4,
        config: &SteeringConfig::default(),
    };
    let (instance, _) = Instance::load_first(&target, &RuleSet::everything(), &[buffers])?;
    Ok(instance.program)
}

/// Attaches `program` over netlink, as `ip link set dev NAME xdp` does.
fn attach_over_netlink(interface: &Interface, program: BorrowedFd<'_>, flag: u32) {
    use std::os::fd::AsRawFd;
    let mut message = LinkMessage::default();
    message.header.index = interface.index().get();
    message.attributes.push(LinkAttribute::Xdp(vec![
        LinkXdp::Fd(program.as_raw_fd()),
        LinkXdp::Flags(flag),
    ]));
    let flags = NLM_F_REQUEST | NLM_F_ACK;
    request_route(RouteNetlinkMessage::SetLink(message), flags).expect("it attaches");
}

#[test]
fn verifier_accepts_both_programs() {
    in_private_network(|| {
        let one = veth_pair();

        for buffers in [Buffers::Several, Buffers::One] {
            let program = load(&one, buffers).expect("the verifier accepts it");

            assert_eq!(program.buffers(), buffers);
        }
    });
}

#[test]
fn veth_is_attached_natively() {
    in_private_network(|| {
        let one = veth_pair();

        let steering = attach(&one, Attach::Auto);

        let report = steering.report();
        assert_eq!(report.got, ProgramMode::Native);
        assert_eq!(report.fallback, None);
        let found = one.xdp().expect("it exists").expect("it is attached");
        assert_eq!(found.id, steering.program_id());
        assert_eq!(found.mode, ProgramMode::Native);
    });
}

#[test]
fn loopback_falls_back_to_generic_and_says_why() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");

        let steering = attach(&lo, Attach::Auto);

        let report = steering.report();
        assert_eq!(report.got, ProgramMode::Generic);
        let reason = report.fallback.as_deref().expect("it fell back");
        assert!(reason.contains("has no native XDP"), "{reason}");
    });
}

#[test]
fn native_demanded_on_loopback_is_an_error_that_says_why() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");

        let error = refusal(&lo, Attach::Native).to_string();

        assert!(
            error.starts_with("could not attach to interface `lo` in native mode: "),
            "{error}"
        );
        assert!(error.ends_with("; or ask for generic mode"), "{error}");
        assert!(lo.xdp().expect("it exists").is_none());
    });
}

#[test]
fn generic_demanded_on_veth_is_generic() {
    in_private_network(|| {
        let one = veth_pair();

        let steering = attach(&one, Attach::Generic);

        assert_eq!(steering.report().got, ProgramMode::Generic);
        assert_eq!(steering.report().fallback, None, "native was not tried");
    });
}

#[test]
fn large_mtu_is_fine_where_frames_may_have_several_buffers() {
    in_private_network(|| {
        let one = veth_pair();
        ip("link set dev one mtu 9000");
        ip("link set dev two mtu 9000");

        let steering = attach(&one, Attach::Auto);

        // A kernel before 5.18 falls back, and must say so.
        let report = steering.report();
        let native = report.got == ProgramMode::Native;
        assert_eq!(native, report.multi_buffer);
        assert_eq!(native, report.fallback.is_none());
    });
}

#[test]
fn large_mtu_is_named_as_the_reason_where_frames_have_one_buffer() {
    in_private_network(|| {
        let one = veth_pair();
        ip("link set dev two mtu 9000");
        let one_buffer = [Buffers::One];

        let error = Steering::attach_with(
            &one,
            Attach::Native,
            4,
            &SteeringConfig::default(),
            &one_buffer,
        )
        .expect_err("ERANGE")
        .to_string();
        let steering = Steering::attach_with(
            &one,
            Attach::Auto,
            4,
            &SteeringConfig::default(),
            &one_buffer,
        )
        .expect("generic works");

        assert!(error.contains("lower it to 3506 or less"), "{error}");
        assert_eq!(steering.report().got, ProgramMode::Generic);
        assert!(!steering.report().multi_buffer);
        let reason = steering.report().fallback.as_deref().expect("it fell back");
        assert!(error.contains(reason), "{reason}");
    });
}

#[test]
fn too_few_queues_are_named_as_the_reason() {
    in_private_network(|| {
        // veth gives both ends one TX queue unless the first end is told how many
        // (`veth_newlink` in drivers/net/veth.c).
        ip("link add one numrxqueues 1 numtxqueues 1 type veth peer name two numtxqueues 4");
        ip("link set dev one up");
        let one = Interface::by_name("one").expect("it was just added");

        let error = refusal(&one, Attach::Native).to_string();

        assert!(error.contains("`ethtool -L one rx COUNT`"), "{error}");
    });
}

#[test]
fn interface_with_program_by_link_is_named_in_error() {
    in_private_network(|| {
        let one = veth_pair();
        let first = attach(&one, Attach::Auto);

        let error = refusal(&one, Attach::Auto);

        let SteeringErrorKind::Occupied(program) = error.kind() else {
            panic!("not occupied: {error}");
        };
        assert_eq!(program.id, first.program_id());
        let name = match first.report().multi_buffer {
            true => wharf_ebpf::PROGRAM,
            false => wharf_ebpf::PROGRAM_ONE_BUFFER,
        };
        assert_eq!(program.name.as_deref(), Some(name));
        let Holder::Link { process, .. } = &program.holder else {
            panic!("not by link: {program:?}");
        };
        let pid = process.as_ref().map(|(pid, _)| *pid);
        assert_eq!(pid, Some(std::process::id()));
        let error = error.to_string();
        assert!(
            error.starts_with(&format!(
                "interface `one` already has XDP program `{name}` (id "
            )),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    });
}

#[test]
fn interface_with_program_by_netlink_is_named_in_error() {
    // XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE.
    for (flag, mode, option) in [(2, "generic", "xdpgeneric"), (4, "native", "xdpdrv")] {
        in_private_network(|| {
            let one = veth_pair();
            let program = load(&one, Buffers::One).expect("it loads");
            attach_over_netlink(&one, program.fd(), flag);

            for requested in [Attach::Auto, Attach::Native, Attach::Generic] {
                let error = refusal(&one, requested);

                let id = program.id();
                assert_eq!(
                    error.to_string(),
                    format!(
                        "interface `one` already has XDP program `wharf_steer_one` (id {id}, {mode}): \
                         remove it with `ip link set dev one {option} off`"
                    )
                );
            }
            assert!(ip_output("link show dev one").contains(&format!("id {}", program.id())));
        });
    }
}

#[test]
fn program_that_came_after_the_check_is_named_as_well() {
    in_private_network(|| {
        let one = veth_pair();
        let late = load(&one, Buffers::One).expect("it loads");
        for first in [Attach::Native, Attach::Generic] {
            let steering = attach(&one, first);

            // In the same mode the kernel says EBUSY, in the other EEXIST.
            for requested in [Attach::Auto, Attach::Native, Attach::Generic] {
                let error = attach::attach(&one, requested, &late).expect_err("it is taken");

                let SteeringErrorKind::Occupied(program) = error.kind() else {
                    panic!("not occupied: {error}");
                };
                assert_eq!(program.id, steering.program_id());
            }
        }
    });
}

#[test]
fn detach_leaves_nothing() {
    in_private_network(|| {
        for interface in [veth_pair(), Interface::by_name("lo").expect("it exists")] {
            let mut steering = attach(&interface, Attach::Auto);
            steering.detach();
            assert!(interface.xdp().expect("it exists").is_none());
            steering.detach();

            drop(attach(&interface, Attach::Auto));
            assert!(interface.xdp().expect("it exists").is_none());
        }
    });
}

#[test]
fn detach_does_not_wait_for_other_holders_of_the_link() {
    in_private_network(|| {
        let one = veth_pair();
        let steering = attach(&one, Attach::Auto);
        // A child has a copy of every descriptor from fork to exec, and anybody
        // who lists links opens them all.
        let copy = steering.attachment.as_ref().expect("attached").try_clone();

        drop(steering);

        assert!(one.xdp().expect("it exists").is_none());
        drop(copy);
    });
}

#[test]
fn attach_in_another_namespace_is_refused() {
    in_private_network(|| {
        ip("link add one index 4242 type veth peer name two");
        let one = Interface::by_name("one").expect("it was just added");

        in_private_network(|| {
            // The same index, but another interface.
            ip("link add other index 4242 type veth peer name two");
            let error = refusal(&one, Attach::Auto);

            assert!(
                matches!(error.kind(), SteeringErrorKind::OtherNamespace),
                "{error}"
            );
            let other = Interface::by_name("other").expect("it was just added");
            assert!(other.xdp().expect("it exists").is_none(), "nothing is left");
        });
    });
}

#[test]
fn deleted_interface_is_named_as_gone() {
    in_private_network(|| {
        let one = veth_pair();
        let program = load(&one, Buffers::One).expect("it loads");
        ip("link delete one");

        let early = refusal(&one, Attach::Auto).to_string();
        let late = attach::attach(&one, Attach::Auto, &program)
            .expect_err("it is gone")
            .to_string();

        assert!(early.contains("`one` was deleted"), "{early}");
        assert_eq!(late, early);
    });
}

#[test]
fn missing_privileges_are_named_in_one_line() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");
        // Capabilities belong to a thread, and this one is ours.
        caps::clear(None, caps::CapSet::Effective).expect("giving up needs no privilege");

        let error = refusal(&lo, Attach::Auto);

        assert!(
            matches!(error.kind(), SteeringErrorKind::Privileges(_)),
            "{error}"
        );
        let error = error.to_string();
        assert!(error.contains("grant CAP_BPF and CAP_NET_ADMIN"), "{error}");
        assert_eq!(error.lines().count(), 1);
    });
}

#[test]
fn no_slots_at_all_are_an_error() {
    in_private_network(|| {
        let lo = Interface::by_name("lo").expect("every namespace has one");

        let error = Steering::attach(&lo, Attach::Auto, 0, &SteeringConfig::default())
            .expect_err("maps have entries");

        assert!(
            matches!(error.kind(), SteeringErrorKind::NoSlots),
            "{error}"
        );
    });
}

#[test]
fn empty_slot_passes_to_kernel() {
    in_private_network(|| {
        let steering = attach(&veth_pair(), Attach::Auto);

        let verdict = steering.test_run(0, &FRAME).expect("it runs");

        assert_eq!(verdict, Verdict::Pass);
        let counts = steering.counts(0).expect("queue 0 has a slot");
        assert_eq!((counts.redirected, counts.passed_no_xsk), (0, 1));
    });
}

#[test]
fn empty_slot_drops_where_it_is_to_and_is_no_hit_of_what_redirected() {
    use crate::steering::rules::{Expression, Rule, RuleSet};
    in_private_network(|| {
        let one = veth_pair();
        let everything = Rule::from(!Expression::dst_port(9));
        // Without rules hits are made up of counts, with them they are counted.
        for rules in [RuleSet::everything(), RuleSet::only([everything])] {
            for (no_xsk, verdict) in [(NoXsk::Pass, Verdict::Pass), (NoXsk::Drop, Verdict::Drop)] {
                let config = SteeringConfig {
                    no_xsk,
                    ..SteeringConfig::new(rules.clone())
                };
                let steering = Steering::attach(&one, Attach::Native, 1, &config);
                let steering = steering.expect("it attaches");

                // Queue 2 has no slot.
                for queue in [0, 2] {
                    let found = steering.test_run(queue, &FRAME).expect("Linux 5.15");
                    assert_eq!(found, verdict, "queue {queue}");
                }

                let counts = [steering.counts(0), steering.counts_beyond()];
                for counts in counts.map(|counts| counts.expect("they are read")) {
                    let passed = u64::from(no_xsk == NoXsk::Pass);
                    assert_eq!(
                        (counts.passed_no_xsk, counts.dropped_no_xsk),
                        (passed, 1 - passed)
                    );
                    assert_eq!(counts.frames(), 1);
                }
                let hits = steering.hits().expect("they are read");
                assert_eq!((hits.no_xsk, hits.frames()), (2, 2));
            }
        }
    });
}

#[test]
fn filled_slot_redirects_until_it_is_removed() {
    in_private_network(|| {
        let mut steering = attach(&veth_pair(), Attach::Auto);
        let xsk = receiving_xsk();
        let verdict = |steering: &Steering| steering.test_run(0, &FRAME).expect("it runs");

        steering
            .insert_fd(0, XskIndex(0), xsk.as_fd())
            .expect("an xsk");
        assert_eq!(verdict(&steering), Verdict::Redirect);
        steering.clear(0, XskIndex(0)).expect("it was there");
        assert_eq!(verdict(&steering), Verdict::Pass);
        steering
            .clear(0, XskIndex(0))
            .expect("an empty slot is fine");

        let counts = steering.counts(0).expect("queue 0 has a slot");
        assert_eq!((counts.redirected, counts.passed_no_xsk), (1, 1));
    });
}

#[test]
fn closed_socket_empties_its_slot() {
    in_private_network(|| {
        let mut steering = attach(&veth_pair(), Attach::Auto);
        let xsk = receiving_xsk();
        steering
            .insert_fd(0, XskIndex(0), xsk.as_fd())
            .expect("an xsk");

        drop(xsk);

        // A child of another test, between fork and exec, may have a copy.
        let deadline = Instant::now() + Duration::from_secs(10);
        while steering.test_run(0, &FRAME).expect("it runs") != Verdict::Pass {
            assert!(Instant::now() < deadline, "the slot is still filled");
        }
    });
}

#[test]
fn slot_serves_its_own_queue_only() {
    in_private_network(|| {
        let mut steering = attach(&veth_pair(), Attach::Native);
        let xsk = receiving_xsk();
        steering
            .insert_fd(2, XskIndex(0), xsk.as_fd())
            .expect("an xsk");

        for queue in 0..4 {
            let verdict = steering.test_run(queue, &FRAME).expect("Linux 5.15");
            let expected = match queue {
                2 => Verdict::Redirect,
                _ => Verdict::Pass,
            };
            assert_eq!(verdict, expected, "queue {queue}");
            let counts = steering.counts(queue).expect("it has a slot");
            let redirected = u64::from(queue == 2);
            assert_eq!(
                (counts.redirected, counts.passed_no_xsk),
                (redirected, 1 - redirected)
            );
        }
    });
}

#[test]
fn queue_without_a_slot_passes_and_is_an_error_to_ask_about() {
    in_private_network(|| {
        let one = veth_pair();
        let mut steering = Steering::attach(&one, Attach::Native, 2, &SteeringConfig::default())
            .expect("it attaches");
        let xsk = receiving_xsk();

        let verdict = steering.test_run(3, &FRAME).expect("Linux 5.15");

        assert_eq!(verdict, Verdict::Pass);
        for error in [
            steering
                .insert_fd(2, XskIndex(0), xsk.as_fd())
                .expect_err("no slot"),
            steering.clear(2, XskIndex(0)).expect_err("no slot"),
            steering.counts(2).map(drop).expect_err("no slot"),
        ] {
            assert!(
                matches!(
                    error.kind(),
                    SteeringErrorKind::QueueOutOfRange {
                        queue: 2,
                        queue_slots: 2,
                        ..
                    }
                ),
                "{error}"
            );
        }
    });
}

#[test]
fn slot_refuses_what_is_no_xsk() {
    in_private_network(|| {
        let mut steering = attach(&veth_pair(), Attach::Auto);
        let file = std::fs::File::open("/dev/null").expect("it exists");

        let error = steering
            .insert_fd(1, XskIndex(0), file.as_fd())
            .expect_err("not a socket");

        let error = error.to_string();
        assert!(
            error.starts_with("could not steer frames to queue 1 of interface `one`: "),
            "{error}"
        );
    });
}

#[test]
fn frame_too_short_for_the_kernel_is_an_error() {
    in_private_network(|| {
        let steering = attach(&veth_pair(), Attach::Auto);

        let error = steering.test_run(0, &FRAME[..13]).expect_err("no header");

        assert!(
            matches!(error.kind(), SteeringErrorKind::TestRun(_)),
            "{error}"
        );
    });
}

/// Bytes that the calling thread has read so far.
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").expect("CONFIG_TASK_IO_ACCOUNTING");
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.and_then(|read| read.parse().ok()).expect("a number")
}

#[test]
fn kernel_types_are_not_read_once_more() {
    in_private_network(|| {
        let one = veth_pair();
        // The first of the process reads them, and finds out what the kernel can do.
        let mut steering = attach(&one, Attach::Auto);
        let before = bytes_read();

        let rules = RuleSet::only([rules::Expression::udp().into()]);
        steering.replace(&rules).expect("it is attached");
        drop(steering);
        drop(attach(&one, Attach::Auto));

        // They are some 5 MB.
        let read = bytes_read() - before;
        assert!(read < 1 << 20, "{read} bytes");
    });
}

#[test]
fn xsk_that_queues_do_not_have_is_named_with_how_many_they_have() {
    in_private_network(|| {
        let one = veth_pair();
        let config = SteeringConfig {
            flow_capacity: 1,
            xsks_per_queue: 2,
            ..SteeringConfig::default()
        };
        let steering = Steering::attach(&one, Attach::Auto, 4, &config);
        let mut steering = steering.expect("it attaches");
        let xsk = receiving_xsk();
        let beyond = XskIndex(2);
        let flow = "udp 10.0.0.1:1 > 10.0.0.2:2".parse().expect("a flow");

        for error in [
            steering
                .insert_fd(0, beyond, xsk.as_fd())
                .expect_err("there are 0 and 1"),
            steering.clear(0, beyond).expect_err("there are 0 and 1"),
            steering
                .insert_flow(&flow, rules::Action::Redirect(beyond))
                .expect_err("there are 0 and 1"),
        ] {
            assert_eq!(
                error.to_string(),
                "interface `one`: there is no xsk 2; a queue has 2, counted from 0: \
                 name one of those, or ask for more when it is attached"
            );
        }
    });
}
