//! `wharf steer` against a running forwarder: what it changes is what becomes of
//! the very next frames, to the frame; what it refuses changes nothing.

use std::process::Output;

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{PacketSocket, Testbed, UdpFlow, Wire, require_privileges};
use wharf_tests::{
    ControlDirectory, SOON, Stream, error_and_mark, in_both_modes, number, quiet_flow, single_line,
    unanswered, wait_until,
};

in_both_modes! {
    rules_are_changed_and_counted_to_the_frame,
    edits_under_traffic_lose_no_frame,
    flows_decide_before_rules_do,
}

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// A flow to a port of the server's that no stack answers.
fn flow_to(wire: &Wire, server_port: u16) -> UdpFlow {
    unanswered(wire.udp_flow(4000, server_port))
}

/// Sends so many frames, and waits until each has met a decision.
fn send(wire: &Wire, control: &ControlDirectory, flow: UdpFlow, count: u64) {
    let before = decided(&control.listing());
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = flow.sequenced(1, 64, 0..count).collect();
    sender.send_batch(&frames).expect("the link takes them");
    wait_until("every frame is decided", SOON, || {
        decided(&control.listing()) >= before + count
    });
}

fn decided(listing: &Value) -> u64 {
    let rules = listing["rules"].as_array().expect("rules");
    let rules: u64 = rules.iter().map(|rule| number(rule, "hits")).sum();
    ["default", "flows", "management"]
        .iter()
        .map(|name| number(&listing[*name], "hits"))
        .sum::<u64>()
        + rules
}

/// The hits of each rule, and of the default.
fn hits(listing: &Value) -> (Vec<u64>, u64) {
    let rules = listing["rules"].as_array().expect("rules");
    let rules = rules.iter().map(|rule| number(rule, "hits")).collect();
    (rules, number(&listing["default"], "hits"))
}

fn rules_of(listing: &Value) -> Vec<String> {
    let rules = listing["rules"].as_array().expect("rules");
    let text = |rule: &Value| rule["rule"].as_str().expect("text").to_owned();
    rules.iter().map(text).collect()
}

fn arrived(wire: &Wire) -> u64 {
    let counters = wire.server_interface().counters();
    counters.expect("it counts").rx_packets
}

fn rules_are_changed_and_counted_to_the_frame(attach: Attach) {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = ["--match", "udp dst port 4433"];
    let forward = control.forward(&wire, attach, &options);
    let before = arrived(&wire);

    send(&wire, &control, flow_to(&wire, 4433), 100);
    send(&wire, &control, flow_to(&wire, 53), 30);
    assert_eq!(hits(&control.listing()), (vec![100], 30));

    let added = control.steer(&["add", "--at", "1", "drop", "udp", "dst", "port", "53"]);
    assert!(
        added.starts_with("rule 1: drop ") && added.contains("revision 2"),
        "{added}"
    );
    send(&wire, &control, flow_to(&wire, 53), 20);
    send(&wire, &control, flow_to(&wire, 4433), 10);
    let listing = control.listing();
    assert_eq!(number(&listing, "revision"), 2);
    let on_left = &listing["rules"][0]["hits_by_interface"];
    assert_eq!(
        on_left,
        &serde_json::json!([20, 0]),
        "it came in on the left"
    );

    let removed = control.try_steer(&["remove", "2", "--revision", "2"]);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said(&removed.stdout).contains("4433"), "it says which");
    assert!(
        said(&removed.stderr).contains("nothing is forwarded"),
        "{removed:?}"
    );
    send(&wire, &control, flow_to(&wire, 4433), 5);
    control.steer(&["default", "drop"]);
    send(&wire, &control, flow_to(&wire, 4433), 7);

    let file = control.file(
        "rules.txt",
        "# what is left\npass udp dst port 53\ndefault redirect\n",
    );
    control.steer(&["replace", &file]);
    send(&wire, &control, flow_to(&wire, 53), 3);
    send(&wire, &control, flow_to(&wire, 4433), 40);

    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), 100 + 10 + 40);
    assert_eq!(report.total("frames_passed"), 30 + 5 + 3);
    assert_eq!(report.total("frames_dropped_by_rule"), 20 + 7);
    assert_eq!(arrived(&wire) - before, 150);
    let there = &report.summary["directions"][0];
    assert_eq!(number(there, "frames_passed"), 38);
    assert_eq!(number(there, "frames_dropped_by_rule"), 27);
    assert_eq!(report.summary["rules"]["default"]["action"], "redirect");
    assert_eq!(rules_of(&report.summary["rules"]), ["pass udp dst port 53"]);
    assert_eq!(
        report.summary["setup"]["steering"]["rules"][0],
        "redirect udp dst port 4433"
    );
}

fn edits_under_traffic_lose_no_frame(attach: Attach) {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = ["--match", "udp dst port 4433"];
    let forward = control.forward(&wire, attach, &options);
    let before = arrived(&wire);
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 5000);
    wait_until("traffic flows", SOON, || arrived(&wire) > before + 100);

    for _ in 0..5 {
        control.steer(&["add", "--at", "1", "drop tcp dst port 9"]);
        control.steer(&["remove", "1"]);
    }

    let sent = stream.stop();
    wait_until("all of it has arrived", SOON, || {
        arrived(&wire) >= before + sent
    });
    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), sent);
    assert_eq!(report.total("frames_passed"), 0);
    assert_eq!(number(&report.summary["rules"], "revision"), 11);
}

fn flows_decide_before_rules_do(attach: Attach) {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = [
        "--match",
        "drop udp dst port 4433",
        "--flow-capacity",
        "8192",
    ];
    let forward = control.forward(&wire, attach, &options);
    let before = arrived(&wire);
    let (source, destination) = (
        flow_to(&wire, 4433).source(),
        flow_to(&wire, 4433).destination(),
    );
    let flow = format!("udp {source} > {destination}");

    send(&wire, &control, flow_to(&wire, 4433), 10);
    control.steer(&["flow", "add", &flow]);
    send(&wire, &control, flow_to(&wire, 4433), 20);
    control.steer(&["flow", "add", "--action", "pass", &flow]);
    send(&wire, &control, flow_to(&wire, 4433), 30);
    assert_eq!(control.steer(&["flow", "count"]), "1 of 8192\n");
    assert_eq!(control.steer(&["flow", "list"]), format!("pass {flow}\n"));
    control.steer(&["flow", "remove", &flow]);
    send(&wire, &control, flow_to(&wire, 4433), 40);

    let many: String = (0..5000)
        .map(|port| format!("udp 10.0.0.1:{} > 10.0.0.2:80\n", port + 1000))
        .collect();
    let file = control.file("flows.txt", &many);
    let loaded = control.steer(&["flow", "load", &file]);
    assert_eq!(loaded, "5000 flows read, 5000 new; 5000 in all\n");
    let listed = control.steer(&["flow", "list"]);
    assert_eq!(listed.lines().count(), 5000);
    let again = control.file("again.txt", &listed);
    let loaded = control.steer(&["flow", "load", &again]);
    assert_eq!(loaded, "5000 flows read, 0 new; 5000 in all\n");

    let report = forward.stop();
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), 20);
    assert_eq!(arrived(&wire) - before, 20);
    assert_eq!(report.total("frames_passed"), 30);
    assert_eq!(report.total("frames_dropped_by_rule"), 50);
    assert_eq!(number(&report.summary["rules"]["flows"], "hits"), 50);
    assert_eq!(number(&report.summary["rules"]["rules"][0], "hits"), 50);
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, needles: &[&str]) {
    let errors = if code == USAGE {
        error_and_mark(output)
    } else {
        single_line(output)
    };
    assert_eq!(output.status.code(), Some(code), "{errors}");
    for needle in needles {
        assert!(errors.contains(needle), "no `{needle}` in: {errors}");
    }
    assert!(output.stdout.is_empty());
}

const USAGE: i32 = 2;
const RUN: i32 = 1;

#[test]
fn refused_edit_leaves_the_rules_as_they_were() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = ["--match", "udp dst port 4433", "--match", "pass arp"];
    let forward = control.forward(&wire, Attach::Native, &options);
    let before = control.listing();
    let bad = control.file("bad.txt", "udp\ntcp and udp port 53\n");
    let text = control.file("text.txt", "udp\nhello world\n");
    let binary = control.file("binary.txt", [b'u', 0xff, b'\n']);
    let empty = control.file("empty.txt", "");
    let many: String = (0..3000).map(|port| format!("udp port {port}\n")).collect();
    let many = control.file("many.txt", many);
    let flow = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let cases: [(&[&str], i32, &[&str]); 24] = [
        (
            &["add", "udp prot 53"],
            USAGE,
            &["add: column 5: ", "prot", "^^^^"],
        ),
        (&["add", "net 10.0.0.0/33"], USAGE, &["column", "33", "^"]),
        (
            &["add", "port 70000"],
            USAGE,
            &["column 6: ", "70000", "65535"],
        ),
        (&["add", "portrange 9-5"], USAGE, &["column", "9-5", "5-9"]),
        (&["add", "vlan 5000"], USAGE, &["column", "5000", "4095"]),
        (
            &["add", "tcp and udp"],
            USAGE,
            &["add: column 9: ", "tcp", "udp"],
        ),
        (
            &["add", "redirect:1 udp"],
            RUN,
            &["rule 3 redirects to xsk 1", "a queue has 1"],
        ),
        (
            &["replace", &many],
            USAGE,
            &["many.txt:129:1: ", "room for"],
        ),
        (&["add", "--at", "0", "udp"], USAGE, &["--at 0", "from 1"]),
        (&["add", "--at", "4", "udp"], RUN, &["1 to 3"]),
        (
            &["add", "udp", "--revision", "7"],
            RUN,
            &["revision 1, not 7", "steer list"],
        ),
        (&["remove", "0"], RUN, &["no rule 0", "1 to 2"]),
        (&["remove", "3"], RUN, &["no rule 3", "1 to 2"]),
        (
            &["remove", "1", "--revision", "2"],
            RUN,
            &["revision 1, not 2"],
        ),
        (&["replace", &text], USAGE, &["text.txt:2:1: ", "hello"]),
        (
            &["replace", &binary],
            USAGE,
            &["binary.txt", "line 1 is not UTF-8"],
        ),
        (&["replace", &empty], USAGE, &["empty.txt", "empty"]),
        (
            &["replace", "/nonexistent/rules"],
            USAGE,
            &["/nonexistent/rules", "No such file"],
        ),
        (
            &["default", "accept"],
            USAGE,
            &["default: ", "accept", "pass"],
        ),
        (
            &["flow", "add", flow],
            RUN,
            &["no room for flows", "--flow-capacity"],
        ),
        (
            &["flow", "add", "udp 10.0.0.1 > 10.0.0.2"],
            USAGE,
            &["flow add: column"],
        ),
        (&["flow", "load", &bad], USAGE, &["bad.txt:1:"]),
        (&["replace", &bad], USAGE, &["bad.txt:2:", "exclude"]),
        (&["flow", "remove", flow], RUN, &["no flow"]),
    ];

    for (words, code, needles) in cases {
        let output = control.try_steer(words);

        assert_refused(&output, code, needles);
        assert_eq!(control.listing(), before, "{words:?}");
    }
    send(&wire, &control, flow_to(&wire, 4433), 10);
    assert_eq!(hits(&control.listing()).0[0], 10);
    forward.stop().assert_nothing_dropped();
}

#[test]
fn rule_for_which_there_is_no_room_is_refused_by_the_forwarder() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let full: String = (0..256)
        .map(|port| format!("udp dst port {port}\n"))
        .collect();
    let full = control.file("full.txt", full);
    let forward = control.forward(&wire, Attach::Native, &["--rules", &full]);
    let before = control.listing();

    let output = control.try_steer(&["add", "udp dst port 256"]);

    assert_refused(&output, RUN, &["rule 257", "room for 256"]);
    assert_eq!(control.listing(), before);
    control.steer(&["remove", "256"]);
    control.steer(&["add", "udp dst port 4433"]);
    send(&wire, &control, flow_to(&wire, 4433), 10);
    assert_eq!(hits(&control.listing()).0[255], 10);
    forward.stop().assert_nothing_dropped();
}

#[test]
fn rules_may_come_from_standard_input() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = control.forward(&wire, Attach::Native, &[]);
    let rules = control.file("rules.txt", "drop tcp\nudp\ndefault pass\n");

    control.steer_from(&rules, &["replace", "-"]);

    let listing = control.listing();
    assert_eq!(rules_of(&listing), ["drop tcp", "redirect udp"]);
    assert_eq!(listing["default"]["action"], "pass");
    let _ = forward.stop();
}
