//! What Wharf finds out about a kernel by trying, held against what kernels of its
//! version have; and what the command says on those that lack something.
//!
//! Runs in guests only (`tests/guest/run.sh`): the kernels there are Debian's, which
//! have what their version has. Elsewhere a version says little.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use wharf::{KernelFeatures, Support};
use wharf_testbed::{Testbed, Wire, require_privileges};
use wharf_tests::{last_line, single_line, state_of, wharf_in};

/// Major and minor number of this kernel.
fn version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("it is there");
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().expect("digits"));
    let mut next = || numbers.next().expect("two numbers and more");
    (next(), next())
}

fn run(wire: &Wire, arguments: &str) -> Output {
    let mut command = wharf_in(wire.forwarder());
    command.args(arguments.split_whitespace());
    command
        .run_bounded(Duration::from_secs(50))
        .expect("it ends by itself")
}

#[test]
fn features_are_those_of_the_version() {
    if !require_privileges() {
        return;
    }
    let version = version();

    let found = KernelFeatures::probe();

    for (name, support, since) in [
        ("AF_XDP", found.af_xdp, (4, 18)),
        ("XDP programs", found.xdp_programs, (4, 8)),
        ("bpf_link", found.xdp_links, (5, 9)),
        ("XDP frags", found.frags_programs, (5, 18)),
        ("BTF", found.btf, (5, 4)),
        ("need_wakeup", found.need_wakeup, (5, 4)),
        ("multi-buffer", found.multi_buffer, (6, 6)),
        ("unaligned", found.unaligned_chunks, (5, 4)),
        ("statistics", found.long_statistics, (5, 9)),
        ("TX budget", found.tx_budget, (6, 17)),
        ("TX metadata", found.tx_metadata, (6, 8)),
        ("busy polling", found.busy_poll, (5, 11)),
        ("driver query", found.driver_features, (6, 3)),
        ("queue query", found.queue_features, (6, 8)),
    ] {
        let expected = if version >= since {
            Support::Yes
        } else {
            Support::No
        };
        assert_eq!(support, expected, "{name} on {version:?}");
    }
}

#[test]
fn doctor_runs_and_names_what_is_missing() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let before = [state_of(wire.left()), state_of(wire.right())];

    let output = run(&wire, "doctor left right --json");

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = last_line(&output);
    let checks = report["kernel"].as_array().expect("a list");
    for (topic, since, remedy) in [
        ("XDP frags", (5, 18), "Linux 5.18"),
        ("multi-buffer", (6, 6), "Linux 6.6"),
        ("driver query", (6, 3), "Linux 6.3"),
    ] {
        let check = checks.iter().find(|check| check["topic"] == topic);
        let check = check.expect("it was looked at");
        if version() >= since {
            assert_eq!(check["state"], "good", "{check}");
        } else {
            assert_eq!(check["state"], "poor", "{check}");
            assert!(check["remedy"].to_string().contains(remedy), "{check}");
        }
    }
    let is_bad = |check: &Value| check["state"] == "bad";
    assert!(!checks.iter().any(is_bad), "{checks:?}");
    assert_eq!([state_of(wire.left()), state_of(wire.right())], before);
}

#[test]
fn large_mtu_is_refused_in_one_line_where_frames_must_fit_a_chunk() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().mtu(9000).wire().expect("a wire");
    let before = [state_of(wire.left()), state_of(wire.right())];

    let doctor = run(&wire, "doctor left right --json");
    let forward = run(&wire, "forward left right --duration 0.2");

    if version() >= (6, 6) {
        assert_eq!(doctor.status.code(), Some(0), "{doctor:?}");
        assert_eq!(forward.status.code(), Some(0), "{forward:?}");
    } else {
        for output in [&doctor, &forward] {
            let line = single_line(output);
            assert_eq!(output.status.code(), Some(1), "{line}");
            for needle in ["left", "6.6", "3822"] {
                assert!(line.contains(needle), "no `{needle}` in: {line}");
            }
        }
    }
    assert_eq!([state_of(wire.left()), state_of(wire.right())], before);
}
