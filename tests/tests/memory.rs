//! What the memory of packets is on a real machine: a memfd where there can be one, on
//! huge pages where there are enough, near the worker's CPU, and the reason where not.
//! And memory of other owners carries frames as our own does.
#![expect(unsafe_code, reason = "adopts memory that each case made for itself")]

use std::fs::{self, File};
use std::process::Command;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use serde_json::Value;
use wharf::{Attach, ChunkSize, ForeignMemory, MemorySource, Pages, Umem, UmemConfig};
use wharf_testbed::{HugePages, Testbed, require_privileges, require_program};
use wharf_tests::scenario::{End, EndConfig, Medium, Side, Track};
use wharf_tests::{
    Forward, SOON, forbid, in_both_modes, keep_sockets_apart, last_line, wait_until, wharf,
};

in_both_modes! {
    frames_travel_in_memory_of_other_owners,
    frames_travel_in_huge_pages_of_other_owners,
}

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
fn doctor_says_what_packet_memory_would_be() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    for (refused, state, word) in [
        (None, "good", "memfd, "),
        (Some(libc::SYS_memfd_create), "poor", "anonymous, "),
    ] {
        let output = wire.forwarder().run(|| {
            if let Some(call) = refused {
                forbid(call, None, libc::EPERM);
            }
            Command::new("timeout")
                .args(["-s", "KILL", "60"])
                .arg(wharf())
                .args(["doctor", "left", "right", "--json"])
                .output()
                .expect("the command can be run")
        });

        let report = last_line(&output);
        let checks = report["machine"].as_array().expect("checks");
        let mut memory = checks
            .iter()
            .filter(|check| check["topic"] == "packet memory");
        let check = memory.next().expect("one of packet memory");
        assert_eq!(check["state"], state, "{check}");
        let finding = check["finding"].as_str().expect("text");
        assert!(finding.starts_with(word), "{finding}");
        assert_eq!(
            finding.contains("memfd_create: "),
            refused.is_some(),
            "{finding}"
        );
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

/// A memfd of so many bytes, as another process would make it.
fn memfd(bytes: u64, huge: bool) -> ForeignMemory {
    let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    flags.set(MemfdFlags::HUGETLB, huge);
    let file = File::from(memfd_create("foreign", flags).expect("a memfd"));
    file.set_len(bytes).expect("memory");
    ForeignMemory::Memfd {
        file: file.into(),
        offset: 0,
    }
}

/// Memory of the heap, and another hold on it.
fn heap(bytes: usize) -> (ForeignMemory, Arc<Vec<u8>>) {
    let mut vector = vec![0_u8; bytes + 4096];
    let skip = vector.as_ptr().align_offset(4096);
    let start = NonNull::new(vector.as_mut_ptr().wrapping_add(skip)).expect("not zero");
    let owner = Arc::new(vector);
    let memory = ForeignMemory::Mapping {
        start,
        len: bytes,
        owner: Box::new(Arc::clone(&owner)),
    };
    (memory, owner)
}

fn adopt(layout: &UmemConfig, memory: ForeignMemory) -> Umem {
    // SAFETY: each case makes memory for itself, and looks at it through frames only.
    unsafe { Umem::adopt(layout, memory) }.expect("it is as it has to be")
}

/// Sends frames from one UMEM to the other over a veth, and compares all bytes.
fn cross(track: &Track, layout: &UmemConfig, from: Umem, to: Umem) {
    let config = EndConfig {
        umem: *layout,
        ..EndConfig::new(track)
    };
    let mut client = End::bind_to(track, Side::Near, &config, from);
    let mut server = End::bind_to(track, Side::Far, &config, to);
    let sent: Vec<Vec<u8>> = track.flow(4000).sequenced(1, 1000, 0..300).collect();
    let mut received: Vec<Vec<u8>> = Vec::new();

    for burst in sent.chunks(20) {
        for bytes in burst {
            let frame = client.make(bytes);
            client.transmit(frame);
        }
        client.flush();
        let due = received.len() + burst.len();
        wait_until("the frames arrive", SOON, || {
            server.xsk.recycle();
            let frames = server.xsk.receive(64);
            received.extend(frames.map(|frame| frame.to_vec()));
            received.len() >= due
        });
    }

    assert!(received == sent, "{} of {}", received.len(), sent.len());
    client.assert_settled();
    server.assert_settled();
}

fn frames_travel_in_memory_of_other_owners(attach: Attach) {
    let Some(track) = Track::new(Medium::veth(attach)) else {
        return;
    };
    let layout = UmemConfig::new(4096);
    let (memory, owner) = heap(16 << 20);
    let from = adopt(&layout, memory);
    let to = adopt(&layout, memfd(16 << 20, false));
    assert_eq!(to.memory().source, MemorySource::ForeignMemfd);

    cross(&track, &layout, from, to);

    // Both UMEMs are gone, and with them the frames that were in this memory.
    assert_eq!(Arc::strong_count(&owner), 1);
    assert!(
        owner.iter().all(|byte| *byte == 0),
        "the pages were replaced"
    );
}

fn frames_travel_in_huge_pages_of_other_owners(attach: Attach) {
    let Some(track) = Track::new(Medium::veth(attach)) else {
        return;
    };
    let Some(_pages) = HugePages::reserve(12) else {
        return;
    };
    // Chunks across the usual pages, and none across huge ones.
    let layout = UmemConfig {
        chunk_size: ChunkSize::unaligned(3001).expect("a chunk size"),
        pages: Pages::Huge,
        ..UmemConfig::new(4096)
    };
    let from = adopt(&layout, memfd(12 << 20, true));
    let to = Umem::new(&layout).expect("there are six more");
    assert_eq!(from.memory().page_bytes, 2 << 20);
    assert_eq!((from.memory().bytes, from.chunks()), (12 << 20, 4096));

    cross(&track, &layout, from, to);
}

/// A file of so many bytes in a file system of its own, which is mounted nowhere.
fn file_in(file_system: &str, bytes: u64) -> File {
    let context = fsopen(file_system, FsOpenFlags::FSOPEN_CLOEXEC).expect("the kernel has it");
    fsconfig_create(&context).expect("there are no options");
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    );
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let mount = mount.expect("it can be mounted");
    let file = openat(&mount, "memory", flags, Mode::RUSR | Mode::WUSR).expect("a new file");
    let file = File::from(file);
    file.set_len(bytes).expect("memory");
    file
}

#[test]
fn files_of_memory_file_systems_are_adopted_if_they_are_vouched_for() {
    const BYTES: u64 = 4 << 20;
    if !require_privileges() {
        return;
    }
    let Some(_pages) = HugePages::reserve(2) else {
        return;
    };
    let layout = UmemConfig::new(1024);
    for (file_system, page_bytes) in [("tmpfs", 4096), ("hugetlbfs", 2 << 20)] {
        let file = file_in(file_system, BYTES);
        let as_memfd = ForeignMemory::Memfd {
            file: file.try_clone().expect("a descriptor").into(),
            offset: 0,
        };
        // SAFETY: nobody else has this file.
        let refused = unsafe { Umem::adopt(&layout, as_memfd) }.expect_err("no seals");
        assert!(refused.to_string().contains("F_SEAL_SEAL"), "{refused}");
        let as_file = |offset| ForeignMemory::File {
            file: file.try_clone().expect("a descriptor").into(),
            offset,
        };
        // SAFETY: as above.
        let refused = unsafe { Umem::adopt(&layout, as_file(4096)) }.expect_err("too small");
        let word = match page_bytes {
            4096 => "the memory has 4190208",
            _ => "the offset 0x1000 is not a multiple of the page size, 2097152 bytes",
        };
        assert!(refused.to_string().contains(word), "{refused}");

        let umem = adopt(&layout, as_file(0));

        let memory = umem.memory();
        assert_eq!(memory.source, MemorySource::ForeignFile);
        assert_eq!((memory.bytes, memory.page_bytes), (BYTES, page_bytes));
        let mut frames: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();
        assert_eq!(frames.len(), 1024);
        for frame in &mut frames {
            frame.grow_back(64).expect("room").fill(7);
        }
    }
}
