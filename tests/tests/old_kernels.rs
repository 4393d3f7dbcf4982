//! Kernels that lack what Wharf takes: `wharf forward` and `wharf doctor` say in
//! one line what is missing and which kernel has it, and leave the interfaces alone.
//!
//! A seccomp filter makes this kernel answer as such a kernel does. The thread that
//! puts it on starts the command, which inherits it. A filter sees the number of a
//! command and an option, not what a pointer leads to: what differs there only is
//! tried in guests, on real old kernels (`tests/guest`).

use std::collections::BTreeMap;
use std::process::{Command, Output};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde_json::Value;
use wharf_testbed::{Testbed, Wire, require_privileges, require_program};
use wharf_tests::{last_line, single_line, state_of, wharf};

/// A system call, the arguments that matter by their places, and the answer.
struct Answer {
    call: i64,
    arguments: Vec<(u8, u64)>,
    errno: i32,
}

/// Built without AF_XDP: `__sock_create` in `net/socket.c`.
fn without_af_xdp() -> Answer {
    Answer {
        call: libc::SYS_socket,
        arguments: vec![(0, 44)],
        errno: libc::EAFNOSUPPORT,
    }
}

/// Linux 5.8 and older: `link_create` in `kernel/bpf/syscall.c` does not know XDP.
/// 28 is `BPF_LINK_CREATE`.
fn without_xdp_links() -> Answer {
    Answer {
        call: libc::SYS_bpf,
        arguments: vec![(0, 28)],
        errno: libc::EINVAL,
    }
}

/// Built without `CONFIG_BPF_SYSCALL`.
fn without_bpf() -> Answer {
    Answer {
        call: libc::SYS_bpf,
        arguments: Vec::new(),
        errno: libc::ENOSYS,
    }
}

/// Linux 6.16 and older: `xsk_setsockopt` in `net/xdp/xsk.c` does not know
/// `XDP_MAX_TX_SKB_BUDGET`.
fn without_tx_budget() -> Answer {
    Answer {
        call: libc::SYS_setsockopt,
        arguments: vec![(1, 283), (2, 9)],
        errno: libc::ENOPROTOOPT,
    }
}

/// Linux 5.10 and older: `sock_setsockopt` in `net/core/sock.c` does not know
/// `SO_PREFER_BUSY_POLL`.
fn without_busy_poll() -> Answer {
    Answer {
        call: libc::SYS_setsockopt,
        arguments: vec![(1, 1), (2, 69)],
        errno: libc::ENOPROTOOPT,
    }
}

impl Answer {
    /// Has the calling thread, and what it starts, get this answer.
    fn give(self) {
        let is = |(place, value)| {
            SeccompCondition::new(place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
                .expect("a call has six arguments")
        };
        let conditions: Vec<_> = self.arguments.into_iter().map(is).collect();
        let rules = if conditions.is_empty() {
            Vec::new()
        } else {
            vec![SeccompRule::new(conditions).expect("there are conditions")]
        };
        let filter = SeccompFilter::new(
            BTreeMap::from([(self.call, rules)]),
            SeccompAction::Allow,
            SeccompAction::Errno(self.errno.unsigned_abs()),
            std::env::consts::ARCH.try_into().expect("it is known"),
        );
        let filter: BpfProgram = filter
            .and_then(TryInto::try_into)
            .expect("a filter the kernel takes");
        seccompiler::apply_filter(&filter).expect("filters need no privilege");
    }
}

/// Runs `wharf` with `arguments` on a kernel that gives `answer`. The wire is as it
/// was, however it ends.
#[track_caller]
fn wharf_on(answer: Answer, wire: &Wire, arguments: &str) -> Output {
    let before = [state_of(wire.left()), state_of(wire.right())];
    // On a thread of its own, which ends with it.
    let output = wire.forwarder().run(|| {
        answer.give();
        Command::new("timeout")
            .args(["-s", "KILL", "30"])
            .arg(wharf())
            .args(arguments.split_whitespace())
            .output()
            .expect("the command can be run")
    });
    let after = [state_of(wire.left()), state_of(wire.right())];
    assert_eq!(after, before, "the interfaces are not as they were");
    output
}

fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// What was found about `topic`.
fn check<'a>(checks: &'a Value, topic: &str) -> &'a Value {
    let mut checks = checks.as_array().expect("a list").iter();
    let check = checks.find(|check| check["topic"] == topic);
    check.expect("it was looked at")
}

/// Without it `wharf forward` refuses, however it is to attach, and `wharf doctor`
/// finds `topic` bad: each in one line that says `needles`.
#[track_caller]
fn assert_needed(answer: fn() -> Answer, topic: &str, needles: &[&str]) {
    let Some(wire) = wire() else { return };

    for attach in ["auto", "native", "generic"] {
        let command = format!("forward left right --no-control --duration 0.2 --attach {attach}");
        let output = wharf_on(answer(), &wire, &command);

        let line = single_line(&output);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(output.stdout, b"", "nothing ran");
        for needle in needles {
            assert!(line.contains(needle), "no `{needle}` in: {line}");
        }
    }
    let output = wharf_on(answer(), &wire, "doctor left right --json");

    let line = single_line(&output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains(&format!("this kernel, {topic}: ")), "{line}");
    assert!(line.contains("use Linux 5.9 or later"), "{line}");
    let report = last_line(&output);
    assert_eq!(check(&report["kernel"], topic)["state"], "bad");
    for interface in report["interfaces"].as_array().expect("a list") {
        assert_eq!(interface["forward"], "nothing, as it is");
    }
}

#[test]
fn kernel_without_af_xdp_is_named() {
    let needles = ["no AF_XDP", "Linux 5.9 or later", "CONFIG_XDP_SOCKETS=y"];
    assert_needed(without_af_xdp, "AF_XDP", &needles);
}

#[test]
fn kernel_without_bpf_link_for_xdp_is_named() {
    let needles = ["`left`", "bpf_link", "Linux 5.9 or later"];
    assert_needed(without_xdp_links, "bpf_link", &needles);
}

#[test]
fn kernel_without_bpf_is_named() {
    let needles = [
        "no BPF programs",
        "Linux 5.9 or later",
        "CONFIG_BPF_SYSCALL=y",
    ];
    assert_needed(without_bpf, "XDP programs", &needles);
}

/// Without it everything works, and `wharf doctor` says `finding` about `topic`.
#[track_caller]
fn assert_done_without(answer: fn() -> Answer, topic: &str, finding: &str) {
    let Some(wire) = wire() else { return };

    let command = "forward left right --no-control --duration 0.2 --json";
    let forward = wharf_on(answer(), &wire, command);
    let doctor = wharf_on(answer(), &wire, "doctor left right --json");

    let errors = String::from_utf8_lossy(&forward.stderr);
    assert_eq!(forward.status.code(), Some(0), "{errors}");
    assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
    let report = last_line(&doctor);
    let found = check(&report["kernel"], topic)["finding"].to_string();
    assert!(found.contains(finding), "{found}");
}

#[test]
fn kernel_that_sends_few_frames_at_a_time_is_told_and_works() {
    assert_done_without(without_tx_budget, "TX budget", "at most 32 frames");
}

#[test]
fn kernel_without_busy_polling_is_told_and_works() {
    assert_done_without(without_busy_poll, "busy polling", "not there");
}

#[test]
fn kernel_without_btf_is_told_and_works() {
    if !require_program("unshare") {
        return;
    }
    let Some(wire) = wire() else { return };
    let hidden = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let without_btf = |arguments: &str| {
        let mut command = wire.forwarder().command("unshare");
        command
            .args(["--mount", "sh", "-c", hidden, "sh"])
            .arg(wharf())
            .args(arguments.split_whitespace());
        command
            .run_bounded(std::time::Duration::from_secs(30))
            .expect("it ends by itself")
    };

    let forward = without_btf("forward left right --no-control --duration 0.2");
    let doctor = without_btf("doctor left right --json");

    let errors = String::from_utf8_lossy(&forward.stderr);
    assert_eq!(forward.status.code(), Some(0), "{errors}");
    assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
    let report = last_line(&doctor);
    let found = check(&report["kernel"], "BTF")["finding"].to_string();
    assert!(found.contains("not there"), "{found}");
}
