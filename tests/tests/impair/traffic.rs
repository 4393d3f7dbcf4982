//! What becomes of frames on their way.

use wharf::Attach;
use wharf_testbed::{FlowChecker, PacketSocket, SERVER_IPV4, require_program};
use wharf_tests::{Forward, SOON, in_both_modes, number, unanswered};

use super::{did, receive, receiver, send, there, wire};

in_both_modes! {
    pings_take_the_delay_of_both_directions,
}

/// The round trip times of a ping, and what it said.
fn ping(wire: &wharf_testbed::Wire, count: u32) -> (Vec<f64>, String) {
    let mut ping = wire.client().command("ping");
    let count = count.to_string();
    ping.args([
        "-i",
        "0.05",
        // Until as many have come back: without, it waits for two round trips only.
        "-w",
        "10",
        "-c",
        &count,
        &SERVER_IPV4.to_string(),
    ]);
    let output = ping.run_bounded(SOON * 3).expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let time = |line: &str| {
        let (_, after) = line.split_once("time=")?;
        after.split_whitespace().next()?.parse().ok()
    };
    (said.lines().filter_map(time).collect(), said)
}

fn pings_take_the_delay_of_both_directions(attach: Attach) {
    let Some(wire) = wire().filter(|_| require_program("ping")) else {
        return;
    };
    let options = [
        "--impair",
        "delay 30ms",
        "--impair-from",
        "right",
        "delay 20ms",
    ];
    let forward = Forward::start(&wire, attach, &options);

    let (times, said) = ping(&wire, 5);

    assert!(times.len() >= 5, "{said}");
    assert!(times.iter().all(|time| *time >= 50.0), "{said}");
    let report = forward.stop();
    report.assert_nothing_dropped();
    // It asks on while answers are on their way.
    assert!(report.total("frames_in") >= 10);
}

#[test]
fn jitter_changes_the_times_and_a_rate_keeps_the_order() {
    let Some(wire) = wire() else { return };
    for (impairment, is_reordered) in [
        ("delay 20ms 15ms seed 1", true),
        ("delay 20ms", false),
        ("delay 20ms 15ms rate 1gbit seed 1", false),
        ("delay 20ms reorder 10% seed 1", true),
    ] {
        let forward = Forward::start(&wire, Attach::Native, &["--impair", impairment]);
        let mut receiver = receiver(&wire);

        send(&wire, 2000);

        let mut checker = FlowChecker::new();
        checker.expect(1, 2000);
        for frame in receive(&mut receiver, 2000) {
            checker.observe_frame(&frame);
        }
        let flow = checker.report(1);
        assert_eq!((flow.lost, flow.duplicated), (0, 0), "{impairment}: {flow}");
        assert_eq!(flow.reordered > 0, is_reordered, "{impairment}: {flow}");
        forward.stop().assert_nothing_dropped();
    }
}

#[test]
fn losses_are_as_many_as_were_asked_for_and_counted() {
    let Some(wire) = wire() else { return };
    for impairment in ["loss 10% seed 1", "loss gemodel 1% 9% seed 1"] {
        let forward = Forward::start(&wire, Attach::Native, &["--impair", impairment]);
        let mut receiver = receiver(&wire);

        send(&wire, 5000);

        let report = {
            // The frames that are not lost arrive, whatever their number.
            let mut arrived = receive(&mut receiver, 4000).len() as u64;
            let report = forward.stop();
            while receiver
                .receive(std::time::Duration::from_millis(100))
                .expect("they are read")
                .is_some()
            {
                arrived += 1;
            }
            assert_eq!(arrived, report.total("tx_frames"), "{impairment}");
            report
        };
        report.assert_conserved();
        let lost = report.dropped("impaired_loss");
        assert!((200..1000).contains(&lost), "{impairment}: {lost}");
        assert_eq!(did(&report.summary, "lost_frames"), lost);
        assert_eq!(report.total("dropped_frames"), lost);
    }
}

#[test]
fn copies_arrive_beside_their_frames() {
    let Some(wire) = wire() else { return };
    let impairment = ["--impair", "duplicate 100% delay 5ms"];
    let forward = Forward::start(&wire, Attach::Native, &impairment);
    let mut receiver = receiver(&wire);

    send(&wire, 500);

    let mut checker = FlowChecker::new();
    checker.expect(1, 500);
    for frame in receive(&mut receiver, 1000) {
        checker.observe_frame(&frame);
    }
    let flow = checker.report(1);
    assert_eq!((flow.received, flow.duplicated), (500, 500), "{flow}");
    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_made"), 500);
    assert_eq!(did(&report.summary, "duplicated_frames"), 500);
}

#[test]
fn corruption_flips_one_bit_of_a_frame() {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, Attach::Native, &["--impair", "corrupt 100%"]);
    let mut receiver = receiver(&wire);

    send(&wire, 300);

    let sent: Vec<_> = there(&wire).sequenced(1, 100, 0..300).collect();
    let arrived = receive(&mut receiver, 300);
    assert_eq!(arrived.len(), sent.len());
    for (frame, sent) in arrived.iter().zip(&sent) {
        let bits = frame
            .iter()
            .zip(sent)
            .map(|(one, other)| (one ^ other).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
    }
    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(did(&report.summary, "corrupted_frames"), 300);
}

#[test]
fn one_direction_is_impaired_and_the_other_is_not() {
    let Some(wire) = wire() else { return };
    let options = ["--impair-from", "left", "loss 100%"];
    let forward = Forward::start(&wire, Attach::Native, &options);
    let mut client = PacketSocket::open_promiscuous(wire.client_interface()).expect("a socket");

    send(&wire, 100);
    let sender = PacketSocket::sender(wire.server_interface()).expect("a socket");
    let back = unanswered(there(&wire).reversed());
    let back: Vec<_> = back.sequenced(2, 100, 0..100).collect();
    sender.send_batch(&back).expect("the link takes them");

    assert_eq!(receive(&mut client, 100).len(), 100);
    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.dropped("impaired_loss"), 100);
    let (there, back) = (
        &report.summary["directions"][0],
        &report.summary["directions"][1],
    );
    assert_eq!(number(&there["drops"], "impaired_loss"), 100);
    assert_eq!(number(back, "tx_frames"), 100);
}

#[test]
fn rate_holds_tcp_back() {
    let Some(wire) = wire().filter(|_| require_program("iperf3")) else {
        return;
    };
    let options = ["--impair", "rate 20mbit limit 200"];
    let forward = Forward::start(&wire, Attach::Native, &options);
    let mut server = wire.server().command("iperf3");
    let mut server = server
        .args(["--server", "--one-off", "--forceflush"])
        .spawn()
        .expect("it can be run");
    server
        .wait_for_output("Server listening", SOON)
        .expect("it listens");
    let mut client = wire.client().command("iperf3");
    let server_address = SERVER_IPV4.to_string();
    client.args(["--client", &server_address, "--time", "2", "--json"]);

    let said = client.run_checked(SOON * 3).expect("it measures");

    server.wait_bounded(SOON).expect("it ends with the client");
    let run: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let bits = run["end"]["sum_received"]["bits_per_second"].as_f64();
    let bits = bits.expect("a rate");
    // Of what the line lets through, headers are no payload.
    assert!((1e6..21e6).contains(&bits), "{bits}");
    forward.stop().assert_conserved();
}
