//! What becomes of undecided frames, and the commands that say which rule decides a
//! frame: for a running forwarder, and for a file of rules alone.

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{PacketSocket, Testbed, Wire, require_privileges};
use wharf_tests::{ControlDirectory, SOON, in_both_modes, number, quiet_flow, wait_until, wharf};

in_both_modes! {
    undecided_frames_become_what_the_line_says,
}

/// A frame of UDP to port 53, and the later fragment of another, which has no ports.
fn frames(wire: &Wire) -> [Vec<u8>; 2] {
    let whole = quiet_flow(wire, 4000).frame(&[7; 64]);
    let mut later = whole.clone();
    // The offset of the fragment, behind the Ethernet header.
    later[14 + 6..14 + 8].copy_from_slice(&[0, 8]);
    [whole, later]
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hits(control: &ControlDirectory, name: &str) -> u64 {
    number(&control.listing()[name], "hits")
}

fn undecided_frames_become_what_the_line_says(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let control = ControlDirectory::new();
    // The flow's port, so that the fragment may be of it.
    let options = ["--match", "drop udp dst port 4433", "--undecided", "drop"];
    let forward = control.forward(&wire, attach, &options);
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let [whole, later] = frames(&wire);

    sender
        .send_batch(&vec![later.clone(); 20])
        .expect("the link takes them");
    sender.send(&whole).expect("the link takes it");
    wait_until("they are decided", SOON, || {
        hits(&control, "undecided") == 20
    });
    let explained = control.steer(&["explain", &hex(&later)]);
    assert!(explained.contains("undecided"), "{explained}");
    let explained = control.steer(&["explain", &hex(&whole)]);
    assert!(explained.contains("rule 1"), "{explained}");

    control.steer(&["undecided", "next"]);
    let before = hits(&control, "default");
    sender
        .send_batch(&vec![later; 5])
        .expect("the link takes them");
    wait_until("they are left to the default", SOON, || {
        hits(&control, "default") == before + 5
    });

    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.total("frames_dropped_by_rule"), 20 + 1);
}

#[test]
fn rules_are_tested_on_a_capture_without_privileges_or_an_interface() {
    let control = ControlDirectory::new();
    let rules = control.file("rules.txt", "drop udp\nundecided drop\ndefault pass\n");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/udp.pcap");

    let mut command = std::process::Command::new(wharf());
    let output = command
        .args(["rules", "test", &rules, capture, "--json"])
        .output();
    let output = output.expect("the command can be run");

    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (summary, frames) = lines.split_last().expect("a summary");
    assert_eq!(number(summary, "frames"), frames.len() as u64);
    let by_rule = number(&summary["rules"][0], "frames");
    let others = number(&summary["default"], "frames") + number(&summary["undecided"], "frames");
    assert!(by_rule > 0, "{summary}");
    assert_eq!(by_rule + others, frames.len() as u64);
}
