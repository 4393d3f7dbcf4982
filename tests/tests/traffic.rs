//! Real traffic through `wharf forward`, a process of its own on a wire.
//!
//! These cases use all the CPU they get, so they run one at a time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use wharf::Attach;
use wharf_testbed::{
    FlowChecker, Pacer, PacketSocket, SERVER_IPV4, Switch, Testbed, Wire, require_privileges,
    require_program,
};
use wharf_tests::{
    Forward, Report, SOON, assert_no_program, in_both_modes, quiet_flow, wait_until,
};

in_both_modes! {
    flood_of_pings_comes_back_whole,
    datagrams_at_a_moderate_rate_all_arrive,
    tcp_flows_both_ways,
    file_arrives_as_it_was,
    file_arrives_as_it_was_in_frames_of_9000_bytes,
}

/// Frames come one after the other, so the cases do too.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A case that failed has nothing to do with the next.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flood_of_pings_comes_back_whole(attach: Attach) {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let _turn = one_at_a_time();
    let wire = Testbed::wire().expect("a wire");
    let forward = Forward::start(&wire, attach, &[]);

    let mut ping = wire.client().command("ping");
    ping.args([
        "-f",
        "-q",
        "-c",
        "5000",
        "-s",
        "1000",
        &SERVER_IPV4.to_string(),
    ]);
    let said = ping
        .run_checked(Duration::from_secs(30))
        .expect("every ping is answered");

    assert!(said.contains("5000 received, 0% packet loss"), "{said}");
    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(
        report.total("frames_in"),
        10_000,
        "each request and each answer, once"
    );
}

fn datagrams_at_a_moderate_rate_all_arrive(attach: Attach) {
    let Some((_turn, wire)) = iperf3_wire() else {
        return;
    };
    let forward = Forward::start(&wire, attach, &[]);

    let udp = iperf3(&wire, &["--udp", "--bitrate", "40M", "--length", "1400"]);

    let sum = &udp["end"]["sum"];
    assert_eq!(sum["lost_packets"], 0, "{sum}");
    let sent = sum["packets"].as_u64().expect("a count");
    assert!(sent > 1000, "{sum}");
    let report = forward.stop();
    report.assert_nothing_dropped();
    assert!(
        report.total("frames_in") > sent,
        "the datagrams, and the control connection"
    );
}

fn tcp_flows_both_ways(attach: Attach) {
    let Some((_turn, wire)) = iperf3_wire() else {
        return;
    };
    let forward = Forward::start(&wire, attach, &[]);

    let there = iperf3(&wire, &[]);
    let back = iperf3(&wire, &["--reverse"]);

    let megabyte = 1_000_000;
    let received = [&there, &back].map(|run| &run["end"]["sum_received"]["bytes"]);
    let received = received.map(|bytes| bytes.as_u64().expect("a count"));
    assert!(
        received.iter().all(|bytes| *bytes > megabyte),
        "{received:?}"
    );
    let report = forward.stop();
    report.assert_conserved();
    let both = received.iter().sum::<u64>();
    assert!(
        report.total("tx_bytes") > both,
        "all of it went through here"
    );
}

/// A veth as it comes leaves checksums to hardware that is not there.
#[test]
fn tcp_flows_between_hosts_that_leave_their_checksums_undone() {
    assert_checksums_are_finished(1500);
}

#[test]
fn tcp_flows_in_frames_of_9000_bytes_whose_checksums_are_left_undone() {
    assert_checksums_are_finished(9000);
}

fn assert_checksums_are_finished(mtu: u32) {
    let met = require_privileges() && require_program("iperf3");
    if !met {
        return;
    }
    let _turn = one_at_a_time();
    let wire = Testbed::options().offloads(Switch::On).mtu(mtu).wire();
    let wire = wire.expect("a wire");
    let forward = Forward::start(&wire, Attach::Native, &[]);

    let run = iperf3(&wire, &[]);

    let received = run["end"]["sum_received"]["bytes"].as_u64();
    assert!(received.is_some_and(|bytes| bytes > 1_000_000), "{run}");
    forward.stop().assert_conserved();
}

/// `None` says that the case is skipped.
fn iperf3_wire() -> Option<(MutexGuard<'static, ()>, Wire)> {
    let met = require_privileges() && require_program("iperf3");
    met.then(|| (one_at_a_time(), Testbed::wire().expect("a wire")))
}

/// Two seconds from the client to a fresh server: what the client reports.
fn iperf3(wire: &Wire, options: &[&str]) -> Value {
    let mut server = wire.server().command("iperf3");
    let mut server = server
        .args(["--server", "--one-off", "--forceflush"])
        .spawn()
        .expect("it can be run");
    server
        .wait_for_output("Server listening", SOON)
        .expect("it listens");
    let mut client = wire.client().command("iperf3");
    client
        .args([
            "--client",
            &SERVER_IPV4.to_string(),
            "--time",
            "2",
            "--json",
        ])
        .args(options);

    let said = client
        .run_checked(Duration::from_secs(30))
        .expect("it measures");

    server.wait_bounded(SOON).expect("it ends with the client");
    serde_json::from_str(&said).expect("JSON")
}

fn file_arrives_as_it_was(attach: Attach) {
    assert_file_arrives(attach, 1500, &[]);
}

fn file_arrives_as_it_was_in_frames_of_9000_bytes(attach: Attach) {
    // The least rings: they are full in the middle of a frame all the time.
    let report = assert_file_arrives(attach, 9000, &["--ring-size", "64"]);
    let Some(report) = report else { return };
    let frames = report.total("tx_frames");
    assert!(
        report.total("tx_bytes") / frames > 4096,
        "most frames take several chunks: {frames}"
    );
}

/// `None` says that the case is skipped.
fn assert_file_arrives(attach: Attach, mtu: u32, options: &[&str]) -> Option<Report> {
    if !require_privileges() || !require_program("curl") || !require_program("sha256sum") {
        return None;
    }
    let _turn = one_at_a_time();
    let wire = Testbed::options().mtu(mtu).wire().expect("a wire");
    let forward = Forward::start(&wire, attach, options);
    let address = (SERVER_IPV4, 8080);
    let listener = wire
        .server()
        .run(|| TcpListener::bind(address).expect("the port is free"));
    let server = thread::spawn(move || serve_file(&listener));

    let mut curl = wire.client().command("sh");
    let url = format!("http://{SERVER_IPV4}:8080/");
    curl.args([
        "-c",
        &format!("curl --silent --show-error --fail --max-time 60 {url} | sha256sum"),
    ]);
    let said = curl
        .run_checked(Duration::from_secs(70))
        .expect("it downloads");

    let sent = server.join().expect("the server serves one file");
    assert_eq!(said.split_whitespace().next(), Some(sent.as_str()));
    let report = forward.stop();
    report.assert_conserved();
    assert!(
        report.total("tx_bytes") > FILE_BYTES,
        "all of it went through here"
    );
    Some(report)
}

const FILE_BYTES: u64 = 100_000_000;

/// Answers one request with [`FILE_BYTES`] that do not repeat, and gives their
/// SHA-256.
fn serve_file(listener: &TcpListener) -> String {
    let (mut client, _) = listener.accept().expect("curl connects");
    client.set_read_timeout(Some(SOON)).expect("a bound");
    client.set_write_timeout(Some(SOON)).expect("a bound");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a request");
        request.extend(byte);
    }
    write!(
        client,
        "HTTP/1.0 200 OK\r\nContent-Length: {FILE_BYTES}\r\n\r\n"
    )
    .expect("curl reads");
    let mut hash = Sha256::new();
    let mut state = 1_u64;
    let mut left = FILE_BYTES;
    let mut block = [0; 64 << 10];
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            // Knuth's generator: any 8 bytes out of place change the hash.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            word.copy_from_slice(&state.to_le_bytes());
        }
        let len = left.min(block.len() as u64);
        let bytes = &block[..usize::try_from(len).expect("a block")];
        hash.update(bytes);
        client.write_all(bytes).expect("curl reads");
        left -= len;
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Frames of each flow: at 100,000 frames a second, ten seconds.
const FRAMES_PER_FLOW: u64 = 250_000;
const FLOWS: u32 = 4;
const FRAMES_PER_SECOND: u32 = 100_000;

/// Room for a tenth of a second and more at that rate: the sender, the receiver
/// and the worker share two CPUs with whatever else a machine does, and how long
/// the worker waits for one is not what is tested.
const DEEP_RINGS: &[&str] = &["--ring-size", "16384", "--frames", "65536"];

/// The lossless path.
#[test]
fn hundred_thousand_frames_a_second_for_ten_seconds_are_neither_lost_nor_reordered() {
    if !require_privileges() {
        return;
    }
    let _turn = one_at_a_time();
    let wire = Testbed::wire().expect("a wire");
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    // Made before the clock starts: making one takes longer than sending it.
    let frames = interleaved_flows(&wire);
    let total = frames.len() as u64;
    let forward = Forward::start(&wire, Attach::Native, DEEP_RINGS);

    let (checker, elapsed) = thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let mut received = Vec::with_capacity(frames.len());
            let limit = Duration::from_secs(30);
            let outcome = receiver.receive_until(limit, |frame| {
                received.push(frame.to_vec());
                if received.len() as u64 == total {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            outcome.expect("the interface stays");
            received
        });
        let started = Instant::now();
        let mut pacer = Pacer::per_second(FRAMES_PER_SECOND).burst(32);
        sender
            .send_paced(&mut pacer, frames.iter().cloned())
            .expect("the link takes them");
        let elapsed = started.elapsed();
        let mut checker = FlowChecker::new();
        (1..=FLOWS).for_each(|flow| checker.expect(flow, FRAMES_PER_FLOW));
        for frame in collecting.join().expect("the receiver ends") {
            checker.observe_frame(&frame);
        }
        (checker, elapsed)
    });

    let missed = receiver.kernel_drops().expect("the kernel counts");
    let report = forward.stop();
    println!(
        "{total} frames sent in {elapsed:?}, the receiver missed {missed}; {}",
        checker.total()
    );
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), total, "every frame sent came in");
    assert_eq!(report.total("tx_frames"), total, "and went out");
    assert_eq!(
        missed, 0,
        "not Wharf's loss, but the test proves nothing then"
    );
    for flow in 1..=FLOWS {
        assert!(
            checker.report(flow).is_perfect(),
            "flow {flow}: {}",
            checker.report(flow)
        );
    }
    assert_eq!(
        (checker.foreign(), checker.unattributed_corruption()),
        (0, 0)
    );
    // Offered at the rate it says, or not far from it: the sender may be behind
    // by what the machine takes away from it.
    assert!(
        elapsed < Duration::from_secs(20),
        "the sender was too slow: {elapsed:?}"
    );
}

/// The frames of all flows in turn.
fn interleaved_flows(wire: &Wire) -> Vec<Vec<u8>> {
    let flow = |number: u32| {
        let port = 4000 + u16::try_from(number).expect("few flows");
        let frames = quiet_flow(wire, port).sequenced(number, 64, 0..FRAMES_PER_FLOW);
        thread::spawn(move || frames.collect::<Vec<_>>())
    };
    let flows: Vec<_> = (1..=FLOWS).map(flow).collect();
    let mut flows: Vec<_> = flows
        .into_iter()
        .map(|frames| frames.join().expect("frames are made").into_iter())
        .collect();
    let mut all = Vec::new();
    while let Some(frame) = flows[0].next() {
        all.push(frame);
        all.extend(flows[1..].iter_mut().filter_map(Iterator::next));
    }
    all
}

#[test]
fn wire_without_a_forwarder_carries_nothing() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let before = wire.left().counters().expect("it counts").rx_packets;

    sender
        .send(&quiet_flow(&wire, 4000).frame(b"to nobody"))
        .expect("the link takes it");

    // So what arrives in the other cases came through Wharf.
    wait_until("the frame is at the forwarder", SOON, || {
        wire.left().counters().expect("it counts").rx_packets > before
    });
    let found = receiver
        .receive(Duration::from_millis(100))
        .expect("the interface stays");
    assert_eq!(found, None);
    assert_no_program(wire.left());
}
