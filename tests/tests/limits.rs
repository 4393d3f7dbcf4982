//! A machine that allows less than forwarding takes: `wharf forward` starts, or says in
//! one line which limit it is, and leaves the interfaces as they were. It is never
//! killed, and never blames the kernel's version.

use std::process::{Command, Output};
use std::time::Duration;

use wharf_testbed::{HostCommand, Testbed, Wire, require_privileges, require_program};
use wharf_tests::{
    ControlGroup, InterfaceState, forbid, keep_sockets_apart, single_line, state_of, wharf,
};

const FORWARD: [&str; 5] = ["forward", "left", "right", "--duration", "0.1"];

/// For a start that is refused, on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(30);

struct Case {
    wire: Wire,
    before: [InterfaceState; 2],
}

impl Case {
    fn new() -> Option<Self> {
        require_privileges().then(|| {
            let wire = Testbed::wire().expect("a wire");
            let before = [state_of(wire.left()), state_of(wire.right())];
            Self { wire, before }
        })
    }

    /// The command under `wrapper`, a program that lowers limits.
    fn under(&self, wrapper: &[&str]) -> HostCommand {
        let mut command = self.wire.forwarder().command(wrapper[0]);
        keep_sockets_apart(&mut command);
        command.args(&wrapper[1..]).arg(wharf());
        command
    }

    /// What it says if it does not start: one line. Then nothing is left.
    #[track_caller]
    fn refusal(&self, command: &mut HostCommand) -> Option<String> {
        let output = command.run_bounded(LIMIT).expect("it ends by itself");
        self.refusal_in(&output)
    }

    #[track_caller]
    fn refusal_in(&self, output: &Output) -> Option<String> {
        let after = [state_of(self.wire.left()), state_of(self.wire.right())];
        assert_eq!(after, self.before, "the interfaces are not as they were");
        match output.status.code() {
            Some(0) => None,
            Some(1) => {
                let line = single_line(output);
                assert!(!line.contains("Linux 5.9"), "the kernel is blamed: {line}");
                Some(line)
            }
            _ => panic!("{output:?}"),
        }
    }
}

#[test]
fn every_number_of_descriptors_is_enough_or_named() {
    if !require_program("prlimit") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let mut started = false;

    // Below 4 the program cannot be loaded.
    for descriptors in 4..=64 {
        let limit = format!("--nofile={descriptors}");
        let refusal = case.refusal(case.under(&["prlimit", &limit]).args(FORWARD));

        match refusal {
            None => started = true,
            Some(line) => {
                assert!(!started, "fewer were enough than {descriptors}: {line}");
                let named = format!("RLIMIT_NOFILE lets this process have {descriptors} ");
                assert!(line.contains(&named), "{line}");
                assert!(line.contains("`ulimit -n 1024`"), "{line}");
            }
        }
    }
    assert!(started, "64 are enough");
}

#[test]
fn memory_that_a_control_group_does_not_allow_is_refused_with_frames_that_fit() {
    let Some(case) = Case::new() else { return };

    for (mib, can_fit) in [(100, true), (48, true), (16, false)] {
        let Some(group) = ControlGroup::with_memory(mib) else {
            return;
        };
        let forward = |more: &[&str]| {
            let mut command = group.wharf_in(case.wire.forwarder());
            case.refusal(command.args(FORWARD).args(more))
        };

        let Some(line) = forward(&[]) else {
            assert!(mib >= 64, "64 MiB fit {mib}");
            continue;
        };

        assert!(mib < 100, "64 MiB do not fit {mib}: {line}");
        let named = format!("control group {} ", group.directory().display());
        for needle in [&named, &format!("{} bytes", mib << 20), "raise its limit"] {
            assert!(line.contains(needle), "no `{needle}` in: {line}");
        }
        let advice = line.split_once("`--frames ");
        assert_eq!(advice.is_some(), can_fit, "{line}");
        if let Some((_, frames)) = advice {
            let (frames, _) = frames.split_once('`').expect("a closing mark");
            assert_eq!(forward(&["--frames", frames]), None, "the advice is good");
        }
    }
}

#[test]
fn doctor_shows_the_limits() {
    if !require_program("prlimit") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let limits = ["prlimit", "--nofile=48"];

    let descriptors = case
        .under(&limits)
        .args(["doctor", "left", "right"])
        .run_bounded(LIMIT)
        .expect("it ends");

    let line = single_line(&descriptors);
    assert!(
        line.contains("this machine, descriptors: at most 48"),
        "{line}"
    );
    let Some(group) = ControlGroup::with_memory(48) else {
        return;
    };
    let mut doctor = group.wharf_in(case.wire.forwarder());
    let memory = doctor.args(["doctor", "left", "right"]).run_bounded(LIMIT);
    let line = single_line(&memory.expect("it ends"));
    assert!(line.contains("this machine, memory limit: "), "{line}");
    assert!(line.contains("--frames"), "{line}");
}

#[test]
fn threads_that_a_control_group_does_not_allow_are_named() {
    let Some(case) = Case::new() else { return };
    let mut started = false;

    for threads in 1..=8 {
        let Some(group) = ControlGroup::with_tasks(threads) else {
            return;
        };
        let mut command = group.wharf_in(case.wire.forwarder());

        match case.refusal(command.args(FORWARD).arg("--no-control")) {
            None => started = true,
            Some(line) => {
                let named = format!(
                    "control group {} may have {threads} processes and threads",
                    group.directory().display()
                );
                assert!(line.contains(&named), "{line}");
            }
        }
    }
    assert!(started, "8 are enough for one worker");
}

#[test]
fn address_space_that_is_too_small_is_named() {
    if !require_program("prlimit") {
        return;
    }
    let Some(case) = Case::new() else { return };
    let mut started = false;

    for mib in [32, 48, 64, 80, 96, 128, 256, 1024] {
        let limit = format!("--as={}", mib << 20);
        let refusal = case.refusal(case.under(&["prlimit", &limit]).args(FORWARD));

        match refusal {
            None => started = true,
            Some(line) => {
                assert!(line.contains("RLIMIT_AS"), "{line}");
                assert!(line.contains("--frames"), "{line}");
            }
        }
    }
    assert!(started, "1 GiB is enough");
}

#[test]
fn whatever_call_the_kernel_refuses_the_cause_is_named() {
    /// Commands of `bpf(2)` that a start takes: maps, their elements, programs, links.
    const BPF: [u64; 4] = [0, 2, 5, 28];
    /// Families of sockets: of netlink, of packets, of AF_XDP.
    const FAMILIES: [u64; 3] = [16, 17, 44];
    let Some(case) = Case::new() else { return };
    let bpf = BPF.map(|command| (libc::SYS_bpf, Some(command)));
    let sockets = FAMILIES.map(|family| (libc::SYS_socket, Some(family)));
    let calls = bpf
        .into_iter()
        .chain(sockets)
        .chain([(libc::SYS_eventfd2, None), (libc::SYS_bind, None)]);

    for (call, first) in calls {
        for (errno, cause) in [
            (libc::EMFILE, "RLIMIT_NOFILE"),
            (libc::ENFILE, "fs.file-max"),
            (libc::ENOMEM, "memory"),
            (libc::EPERM, "(seccomp)"),
        ] {
            let output = case.wire.forwarder().run(|| {
                forbid(call, first, errno);
                Command::new("timeout")
                    .args(["-s", "KILL", "30"])
                    .arg(wharf())
                    .args(FORWARD)
                    .arg("--no-control")
                    .output()
                    .expect("the command can be run")
            });
            let what = format!("call {call} {first:?}, errno {errno}");

            let line = case.refusal_in(&output);

            let line = line.unwrap_or_else(|| panic!("it starts: {what}"));
            assert!(line.contains(cause), "{what}: {line}");
        }
    }
}
