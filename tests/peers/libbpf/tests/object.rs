//! The committed object under libbpf, the loader that everybody else uses: it
//! holds what `wharf_ebpf` says, and does the same to frames as under aya.

use std::ffi::OsStr;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use libbpf_rs::{
    MapCore, MapFlags, MapImpl, MapType, Object, ObjectBuilder, OpenObject, ProgramInput,
    ProgramMut, ProgramType, Xdp, XdpFlags,
};
use wharf::{NicQueue, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig};
use wharf_ebpf::{
    COUNTS, FLOWS, HITS, MACS, OBJECT, OWN_ADDRESSES, PREFIXES_ARP, PREFIXES_V4, PREFIXES_V6,
    PROGRAM, PROGRAM_ONE_BUFFER, QueueCounts, SOURCE_MACS, XSKS,
};
use wharf_testbed::{
    PacketSocket, Pair, SERVER_IPV4, Testbed, UdpFrame, XdpMode, require_privileges,
};

/// The programs, and the sections that tell libbpf what they are.
const PROGRAMS: [(&str, &str); 2] = [(PROGRAM, "xdp.frags"), (PROGRAM_ONE_BUFFER, "xdp")];

/// For what takes moments, on a machine that may be busy.
const SOON: Duration = Duration::from_secs(10);

/// Verdicts, from `include/uapi/linux/bpf.h`.
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

fn open() -> OpenObject {
    ObjectBuilder::default()
        .open_memory(OBJECT)
        .expect("libbpf reads the object")
}

/// Loads both programs, with a slot for each of `queues` queues.
fn load(queues: u32) -> Object {
    let mut object = open();
    for mut map in object.maps_mut() {
        if [XSKS, COUNTS].map(OsStr::new).contains(&map.name()) {
            map.set_max_entries(queues).expect("it is not created yet");
        }
    }
    object.load().expect("the verifier accepts both programs")
}

fn program<'a>(object: &'a Object, name: &str) -> ProgramMut<'a> {
    object
        .progs_mut()
        .find(|program| program.name() == name)
        .expect("the object has it")
}

fn map<'a>(object: &'a Object, name: &str) -> MapImpl<'a> {
    object
        .maps()
        .find(|map| map.name() == name)
        .expect("the object has it")
}

/// Runs a program on a frame that arrived nowhere: queue 0, in effect.
fn verdict(object: &Object, name: &str) -> u32 {
    let frame = [0xa5; 64];
    let input = ProgramInput {
        data_in: Some(&frame),
        ..ProgramInput::default()
    };
    let output = program(object, name).test_run(input);
    output.expect("the kernel runs it").return_value
}

fn counts(object: &Object, queue: u32) -> QueueCounts {
    let per_cpu = map(object, COUNTS)
        .lookup_percpu(&queue.to_ne_bytes(), MapFlags::ANY)
        .expect("the map can be read")
        .expect("the queue has an entry");
    per_cpu
        .into_iter()
        .map(|bytes| QueueCounts::from_bytes(bytes.try_into().expect("32 bytes per CPU")))
        .sum()
}

#[test]
fn object_holds_what_the_contract_says() {
    let object = open();

    let mut programs: Vec<_> = object
        .progs()
        .map(|program| {
            assert!(matches!(program.prog_type(), ProgramType::Xdp));
            (program.name().to_owned(), program.section().to_owned())
        })
        .collect();
    programs.sort();

    let expected = PROGRAMS.map(|(name, section)| (name.into(), section.into()));
    assert_eq!(programs, expected);
    let maps: Vec<_> = object.maps().map(|map| map.name().to_owned()).collect();
    let named = [XSKS, COUNTS, HITS, FLOWS, OWN_ADDRESSES, MACS, SOURCE_MACS];
    let prefixes = [PREFIXES_V4, PREFIXES_V6, PREFIXES_ARP];
    let prefixes = prefixes.into_iter().flatten();
    for name in named.into_iter().chain(prefixes) {
        assert!(
            maps.contains(&OsStr::new(name).to_owned()),
            "{name}: {maps:?}"
        );
    }
    assert_eq!(maps.len(), 15, "with the variables: {maps:?}");
}

#[test]
fn loaded_maps_are_what_the_contract_says() {
    if !require_privileges() {
        return;
    }
    let object = load(7);

    // What the kernel says of the maps that it made, not libbpf of the object.
    for (name, kind, value_bytes) in [
        (XSKS, MapType::Xskmap, 4),
        (COUNTS, MapType::PercpuArray, QueueCounts::SIZE),
    ] {
        let info = map(&object, name).info().expect("the kernel tells");
        assert_eq!(info.name().expect("UTF-8"), name);
        assert_eq!(info.map_type(), kind, "{name}");
        assert_eq!(info.info.key_size, 4, "{name}");
        assert_eq!(info.info.value_size as usize, value_bytes, "{name}");
        assert_eq!(info.info.max_entries, 7, "{name}");
    }
}

#[test]
fn each_program_loads_without_the_other() {
    if !require_privileges() {
        return;
    }
    for (wanted, _) in PROGRAMS {
        let mut object = open();
        for mut program in object.progs_mut() {
            let is_wanted = program.name() == wanted;
            program.set_autoload(is_wanted);
        }

        let object = object.load().expect("the verifier accepts it");

        let loaded = |name: &str| program(&object, name).as_fd().as_raw_fd() >= 0;
        assert!(loaded(wanted), "{wanted}");
        assert_eq!(verdict(&object, wanted), XDP_PASS, "{wanted}");
    }
}

#[test]
fn frame_passes_and_is_counted_when_the_slot_is_empty() {
    if !require_privileges() {
        return;
    }
    for (name, _) in PROGRAMS {
        let object = load(2);

        let verdict = verdict(&object, name);

        assert_eq!(verdict, XDP_PASS, "{name}");
        let expected = QueueCounts {
            passed_no_xsk: 1,
            ..QueueCounts::default()
        };
        assert_eq!(counts(&object, 0), expected, "{name}");
        assert_eq!(counts(&object, 1), QueueCounts::default(), "{name}");
    }
}

/// A datagram from the client to the server, kernel to kernel, through whatever
/// program is on the server's interface.
fn assert_kernel_receives(pair: &Pair) {
    let receiver = pair
        .server()
        .run(|| UdpSocket::bind((SERVER_IPV4, 4433)).expect("the port is free"));
    receiver.set_read_timeout(Some(SOON)).expect("a bound");
    let sender = pair
        .client()
        .run(|| UdpSocket::bind("0.0.0.0:0").expect("a port is free"));

    let sent = sender.send_to(b"past the program", (SERVER_IPV4, 4433));

    assert_eq!(sent.expect("a route"), 16);
    let mut bytes = [0; 64];
    let len = receiver.recv(&mut bytes).expect("it arrives");
    assert_eq!(&bytes[..len], b"past the program");
}

fn ifindex(pair: &Pair) -> i32 {
    i32::try_from(pair.server_interface().index()).expect("indices are small")
}

#[test]
fn attached_program_leaves_traffic_to_the_kernel_in_the_driver() {
    if !require_privileges() {
        return;
    }
    for (name, _) in PROGRAMS {
        let pair = Testbed::pair().expect("a pair");
        let _inside = pair.server().enter().expect("the host lives");
        let object = load(1);

        let link = program(&object, name).attach_xdp(ifindex(&pair));
        let link = link.expect("veth has XDP");

        let attached = pair.server_interface().xdp().expect("it exists");
        assert_eq!(attached.expect("attached").mode, XdpMode::Native, "{name}");
        assert_kernel_receives(&pair);
        let expected = QueueCounts {
            passed_no_xsk: 1,
            ..QueueCounts::default()
        };
        assert_eq!(counts(&object, 0), expected, "{name}");
        drop(link);
        assert_eq!(pair.server_interface().xdp().expect("it exists"), None);
    }
}

#[test]
fn attached_program_leaves_traffic_to_the_kernel_behind_the_driver() {
    if !require_privileges() {
        return;
    }
    for (name, _) in PROGRAMS {
        let pair = Testbed::pair().expect("a pair");
        let _inside = pair.server().enter().expect("the host lives");
        let object = load(1);
        let program = program(&object, name);
        let xdp = Xdp::new(program.as_fd());

        let attached = xdp.attach(ifindex(&pair), XdpFlags::SKB_MODE);

        attached.expect("generic XDP works everywhere");
        let found = pair.server_interface().xdp().expect("it exists");
        assert_eq!(found.expect("attached").mode, XdpMode::Generic, "{name}");
        assert_kernel_receives(&pair);
        assert_eq!(counts(&object, 0).passed_no_xsk, 1, "{name}");
        // Attached over netlink, it stays until detached, or its interface goes.
        let detached = xdp.detach(ifindex(&pair), XdpFlags::SKB_MODE);
        detached.expect("it is attached");
    }
}

#[test]
fn queue_receives_through_the_program_that_libbpf_loaded() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let inside = pair.server().enter().expect("the host lives");
    let object = load(1);
    let link = program(&object, PROGRAM).attach_xdp(ifindex(&pair));
    let link = link.expect("veth has XDP");
    let interface = wharf::Interface::by_name("eth0").expect("it exists");
    let umem = Umem::new(&UmemConfig::new(256)).expect("a megabyte");
    let config = XskConfig::new(RingCapacity::new(64).expect("a power of two"));
    let index = QueueIndex::new(0).expect("zero is a queue");
    let (mut queue, _) = NicQueue::new(&umem, &interface, index)
        .bind(&config)
        .expect("it binds");
    let socket = queue.socket().expect("a bound queue has one").as_raw_fd();
    let key = 0_u32.to_ne_bytes();
    let updated = map(&object, XSKS).update(&key, &socket.to_ne_bytes(), MapFlags::ANY);
    updated.expect("it is an xsk");

    let frame = pair.udp_flow(4000, 4433).frame(b"to the queue");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    sender.send(&frame).expect("the link takes it");

    let deadline = Instant::now() + SOON;
    let received = loop {
        if let Some(received) = queue.receive(1).next() {
            break received;
        }
        assert!(Instant::now() < deadline, "the frame does not arrive");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(received[..], frame);
    UdpFrame::parse(&received).expect("checksums hold");
    assert_eq!(verdict(&object, PROGRAM), XDP_REDIRECT);
    let expected = QueueCounts {
        redirected: 2,
        ..QueueCounts::default()
    };
    assert_eq!(counts(&object, 0), expected, "the frame and the test run");
    drop(received);
    let audit = umem.audit();
    assert!(audit.is_balanced() && audit.application == 0, "{audit:?}");
    // The kernel empties the slot when the socket closes.
    drop((link, queue));
    let deadline = Instant::now() + SOON;
    while verdict(&object, PROGRAM) != XDP_PASS {
        assert!(Instant::now() < deadline, "the slot is not emptied");
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(inside);
}

/// It matches whatever comes, and an action does the rest.
#[test]
fn program_on_the_way_to_the_stack_matches_every_frame() {
    if !require_privileges() {
        return;
    }
    let mut object = ObjectBuilder::default();
    let object = object.open_memory(wharf_ebpf::pass::OBJECT);
    let object = object.expect("libbpf reads the object").load();
    let object = object.expect("the verifier accepts the program");
    let classifier = program(&object, wharf_ebpf::pass::PROGRAM);
    assert!(matches!(classifier.prog_type(), ProgramType::SchedCls));
    assert_eq!(object.maps().count(), 1);

    let unicast = [0x5a; 60];
    let broadcast = [0xff; 60];
    let shortest = [0x5a; 14];
    for frame in [&unicast[..], &broadcast, &shortest] {
        let input = ProgramInput {
            data_in: Some(frame),
            ..ProgramInput::default()
        };
        let output = classifier.test_run(input).expect("the kernel runs it");
        assert_eq!(output.return_value, u32::MAX);
    }
}
