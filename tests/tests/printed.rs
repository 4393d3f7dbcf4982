//! What is printed: text of files and names of interfaces without orders to a terminal.

use std::time::Duration;

use wharf_testbed::{Testbed, require_privileges, require_program};
use wharf_tests::{ControlDirectory, error_and_mark, single_line, wharf_in};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn text_of_files_is_printed_without_what_cannot_be_seen() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let files = ControlDirectory::new();
    let rules = files.file("rules\u{1b}[7m.txt", "tcp\nudp po\u{202e}rt \u{1b}[31m80\n");

    let mut command = wharf_in(wire.forwarder());
    command.args(["forward", "left", "right", "--rules", &rules]);
    let output = command.run_bounded(LIMIT).expect("it is refused");

    assert_eq!(output.status.code(), Some(2));
    let said = error_and_mark(&output);
    assert!(said.contains("rules\\u001b[7m.txt:2:5: "), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[1].starts_with("  udp po\\u202ert "), "{said}");
    let mark = lines[2].find('^').expect("a mark");
    assert_eq!(mark, lines[1].find("po").expect("the word"), "{said}");
    assert!(
        !said.chars().any(|c| c != '\n' && c.is_control()),
        "{said:?}"
    );
    assert!(!said.contains('\u{202e}'), "{said:?}");
}

#[test]
fn names_of_interfaces_are_printed_without_what_cannot_be_seen() {
    if !require_privileges() || !require_program("ip") {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut ip = wire.forwarder().command("ip");
    ip.args(["link", "add", "e\u{1b}[7m\u{202e}", "type", "bridge"]);
    ip.run_checked(LIMIT).expect("the kernel takes it");
    let run = |words: &[&str]| {
        let mut command = wharf_in(wire.forwarder());
        command.args(words).run_bounded(LIMIT).expect("it ends")
    };

    let unknown = run(&["forward", "nosuch", "right"]);
    let doctor = run(&["doctor"]);
    let json = run(&["doctor", "--json"]);

    let line = single_line(&unknown);
    assert!(line.contains("e\\u001b[7m\\u202e"), "{line}");
    let text = String::from_utf8(doctor.stdout).expect("text");
    assert!(text.contains("\ne\\u001b[7m\\u202e (bridge)\n"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let mut interfaces = report["interfaces"].as_array().expect("a list").iter();
    assert!(interfaces.any(|interface| interface["name"] == "e\u{1b}[7m\u{202e}"));
}
