//! What the memory of packets is on a real machine: a memfd where there can be one, on
//! huge pages where there are enough, near the worker's CPU, and the reason where not.

use std::fs;
use std::process::Command;

use serde_json::Value;
use wharf::{Attach, MemorySource, Pages, Umem, UmemConfig};
use wharf_testbed::{HugePages, Testbed, require_privileges, require_program};
use wharf_tests::{Forward, forbid, keep_sockets_apart, last_line, wharf};

/// Chunks of three huge pages.
const CHUNKS: u32 = 3 * 512;

fn preferring() -> UmemConfig {
    UmemConfig {
        pages: Pages::PreferHuge,
        ..UmemConfig::new(CHUNKS)
    }
}

fn worker(summary: &Value) -> &Value {
    &summary["setup"]["workers"][0]
}

#[test]
fn packet_memory_is_a_memfd_that_an_operator_recognises() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut forward = Forward::start(&wire, Attach::Native, &["--frames", "1024", "--cpus", "0"]);

    let maps = format!("/proc/{}/maps", forward.process().id());
    let maps = fs::read_to_string(maps).expect("it runs");

    let mut lines = maps.lines().filter(|line| line.contains("wharf-umem"));
    let line = lines.next().expect("its memory");
    assert!(line.ends_with("/memfd:wharf-umem (deleted)"), "{line}");
    assert!(line.contains(" rw-s "), "{line}");
    let report = forward.stop();
    let worker = worker(&report.summary);
    assert_eq!(worker["memory_source"], "memfd", "{worker}");
    assert_eq!(worker["memory_source_fallback"], Value::Null, "{worker}");
    let numa = &worker["numa"];
    if numa["nodes"] == 1 {
        assert_eq!(numa["memory_node"], numa["cpu_node"], "{worker}");
        assert_eq!(numa["fallback"], Value::Null, "{worker}");
    }
}

#[test]
fn files_that_may_not_be_so_large_are_no_reason_not_to_start() {
    if !require_privileges() || !require_program("prlimit") {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut command = wire.forwarder().command("prlimit");
    keep_sockets_apart(&mut command);
    command.arg("--fsize=1048576").arg(wharf());

    let options = ["--frames", "1024", "--cpus", "0"];
    let report = Forward::start_as(command, &wire, Attach::Native, &options).stop();

    let worker = worker(&report.summary);
    assert_eq!(worker["memory_source"], "anonymous", "{worker}");
    let reason = worker["memory_source_fallback"].as_str();
    assert!(
        reason.is_some_and(|reason| reason.contains("RLIMIT_FSIZE")),
        "{worker}"
    );
}

#[test]
fn refused_memfd_and_mbind_leave_memory_that_works_and_the_reason() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    // What filters of containers say: a call that is not on the list, one that they
    // know and forbid, and one that this thread may not.
    for (call, errno) in [
        (libc::SYS_memfd_create, libc::ENOSYS),
        (libc::SYS_memfd_create, libc::EPERM),
        (libc::SYS_memfd_create, libc::EMFILE),
        (libc::SYS_mbind, libc::ENOSYS),
        (libc::SYS_mbind, libc::EPERM),
        (libc::SYS_move_pages, libc::EPERM),
        (libc::SYS_getcpu, libc::ENOSYS),
    ] {
        let output = wire.forwarder().run(|| {
            forbid(call, None, errno);
            Command::new("timeout")
                .args(["-s", "KILL", "30"])
                .arg(wharf())
                .args(["forward", "left", "right", "--json", "--no-control"])
                .args(["--frames", "1024", "--cpus", "0", "--duration", "0.1"])
                .output()
                .expect("the command can be run")
        });

        let summary = last_line(&output);
        let worker = worker(&summary);
        assert_eq!(summary["conserved"], true, "{call} {errno}: {summary}");
        let refused = call == libc::SYS_memfd_create;
        let source = if refused { "anonymous" } else { "memfd" };
        assert_eq!(worker["memory_source"], source, "{call} {errno}: {worker}");
        let reason = worker["memory_source_fallback"].as_str();
        assert_eq!(reason.is_some(), refused, "{worker}");
        if let Some(reason) = reason {
            assert!(reason.starts_with("memfd_create: "), "{reason}");
        }
        if worker["numa"]["nodes"] == 1 && call != libc::SYS_getcpu {
            assert_eq!(worker["numa"]["memory_node"], 0, "{call} {errno}: {worker}");
        }
    }
}

#[test]
fn too_few_huge_pages_are_a_reason_where_they_are_preferred() {
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(2) else {
        return;
    };

    let umem = Umem::new(&preferring()).expect("on the usual pages");

    let memory = umem.memory();
    assert!(!memory.has_huge_pages());
    assert_eq!(memory.source, MemorySource::Memfd);
    let reason = memory.pages_fallback.as_deref().expect("why not");
    assert!(
        reason.starts_with("it takes 3 of 2048 KiB, and 2 are free"),
        "{reason}"
    );
    assert_eq!(umem.chunks(), CHUNKS);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(64).expect("room").fill(7);
}

#[test]
fn preferred_huge_pages_are_used_where_there_are_enough() {
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(3) else {
        return;
    };

    let umem = Umem::new(&preferring()).expect("there are three");

    let memory = umem.memory();
    assert_eq!(memory.page_bytes, 2 << 20);
    assert_eq!(memory.pages_fallback, None);
    assert_eq!(memory.source, MemorySource::Memfd);
    let maps = fs::read_to_string("/proc/self/maps").expect("our own");
    assert!(maps.contains("/memfd:wharf-umem (deleted)"), "{maps}");
    if memory.numa.nodes == 1 && memory.numa.wanted.is_some() {
        assert_eq!(memory.numa.got, memory.numa.wanted);
    }
}

#[test]
fn forwarder_that_prefers_huge_pages_says_why_it_has_none() {
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(1) else {
        return;
    };
    let wire = Testbed::wire().expect("a wire");
    let options = ["--huge-pages=prefer", "--frames", "1024", "--cpus", "0"];

    let report = Forward::start(&wire, Attach::Native, &options).stop();

    let worker = worker(&report.summary);
    assert_eq!(worker["huge_pages"], false, "{worker}");
    let reason = worker["huge_pages_fallback"].as_str().expect("why not");
    assert!(
        reason.contains("it takes 2 of 2048 KiB, and 1 are free"),
        "{reason}"
    );
    let Value::String(_) = worker["memory_source"] else {
        panic!("{worker}");
    };
}
