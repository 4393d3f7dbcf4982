//! What an operator meets in the first hour of `wharf forward`: the options of its
//! output, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use wharf::Attach;
use wharf_testbed::{PacketSocket, Testbed, Wire, require_privileges};
use wharf_tests::{ControlDirectory, Forward, SOON, unanswered, wait_until, wharf_in};

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// What `wharf forward left right` with `options` writes to standard output.
fn written(wire: &Wire, options: &[&str]) -> String {
    let mut command = wharf_in(wire.forwarder());
    let names = [wire.left().name(), wire.right().name()];
    command.args(["forward", names[0], names[1]]).args(options);
    let output = command.run_bounded(SOON).expect("it ends by itself");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What `wharf forward left right` with `options` writes to standard error.
fn warned(wire: &Wire, options: &[&str]) -> String {
    let mut command = wharf_in(wire.forwarder());
    let names = [wire.left().name(), wire.right().name()];
    command
        .args(["forward", names[0], names[1], "--duration", "0.2"])
        .args(options);
    let output = command.run_bounded(SOON).expect("it ends by itself");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn rules_that_forward_nothing_or_repeat_one_are_warned_of_at_the_start() {
    let Some(wire) = wire() else { return };

    let nothing = warned(&wire, &["--match", "drop udp port 53"]);
    let added = warned(
        &wire,
        &["--match", "drop udp port 53", "--default", "redirect"],
    );
    let twice = warned(&wire, &["--match", "udp", "--match", "drop udp"]);

    assert_eq!(nothing.lines().count(), 1, "{nothing}");
    assert!(nothing.contains("nothing is forwarded"), "{nothing}");
    assert!(nothing.contains("`--default redirect`"), "{nothing}");
    assert_eq!(added, "");
    assert!(twice.contains("rule 2, `drop udp`"), "{twice}");
}

#[test]
fn replaced_rules_keep_the_default_unless_the_file_names_one() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = control.forward(&wire, Attach::Auto, &[]);
    let silent = control.file("silent.txt", "drop udp port 53\n");
    let named = control.file("named.txt", "drop udp port 53\ndefault pass\n");

    let kept = control.steer(&["replace", &silent]);
    let after = control.listing()["default"]["action"].clone();
    let changed = control.try_steer(&["replace", &named]);

    assert_eq!(kept, "revision 2, 1 rule\n");
    assert_eq!(after, "redirect");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        text(&changed.stdout).contains("default pass (it was redirect)"),
        "{changed:?}"
    );
    assert!(
        text(&changed.stderr).contains("nothing is forwarded"),
        "{changed:?}"
    );
    forward.stop().assert_conserved();
}

#[test]
fn commands_of_steer_have_the_names_that_people_try() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = control.forward(&wire, Attach::Auto, &["--flow-capacity", "8"]);
    let flow = "tcp 10.0.0.1:1234 > 10.0.0.2:80";

    for remove in ["rm", "del", "delete", "remove"] {
        control.steer(&["add", "udp"]);
        let removed = control.steer(&[remove, "1"]);
        assert!(removed.starts_with("rule 1: redirect udp"), "{removed}");
        control.steer(&["flow", "add", flow]);
        control.steer(&["flow", remove, flow]);
    }
    for list in ["show", "ls", "list"] {
        assert!(
            control.steer(&[list]).contains("default redirect"),
            "{list}"
        );
        assert_eq!(control.steer(&["flow", list]), "", "{list}");
    }
    forward.stop().assert_conserved();
}

/// As `timeout -s INT` does, which signals its child and then the process group.
#[test]
fn interrupt_that_comes_twice_at_once_ends_the_run_in_order() {
    let Some(wire) = wire() else { return };
    let mut forward = Forward::start(&wire, Attach::Auto, &[]);

    for _ in 0..2 {
        forward.process().signal(libc::SIGINT).expect("it runs");
    }
    let (status, report) = forward.end();

    assert!(status.success(), "{status}");
    assert_eq!(report.summary["outcome"], "interrupted");
    report.assert_conserved();
}

#[test]
fn quiet_run_prints_the_setup_and_the_summary() {
    let Some(wire) = wire() else { return };

    let text = written(&wire, &["--quiet", "--duration", "1.2"]);
    let json = written(&wire, &["--quiet", "--duration", "1.2", "--json"]);

    assert!(!text.contains("seconds  from"), "{text}");
    assert!(text.contains("worker 0 on CPU"), "{text}");
    assert!(text.contains("conserved: 0 frames in"), "{text}");
    assert_eq!(json.lines().count(), 1, "{json}");
    assert!(json.starts_with(r#"{"type":"summary""#), "{json}");
}

#[test]
fn interval_is_as_long_as_it_was_asked_to_be() {
    let Some(wire) = wire() else { return };
    let times = |text: &str| -> Vec<f64> {
        let objects = text.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("one object per line")
        });
        let intervals = objects.filter(|object| object["type"] == "interval");
        intervals
            .map(|object| object["elapsed_seconds"].as_f64().expect("a number"))
            .collect()
    };

    let often = times(&written(
        &wire,
        &["--interval", "0.2", "--duration", "1.1", "--json"],
    ));
    let rarely = times(&written(
        &wire,
        &["--interval", "30", "--duration", "1.1", "--json"],
    ));

    // A machine that is busy may skip some.
    assert!(often.len() > 2, "{often:?}");
    assert_eq!(rarely.len(), 1, "only the end: {rarely:?}");
}

#[test]
fn output_into_a_pipe_is_plain_text_of_eighty_columns() {
    let Some(wire) = wire() else { return };

    let text = written(&wire, &["--duration", "1.2"]);

    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(is_plain), "{text:?}");
    let table = text.lines().skip_while(|line| !line.starts_with("seconds"));
    assert!(table.clone().count() > 10, "{text}");
    for line in table {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// What a scraper gets of the forwarder in the middle of the wire.
fn scrape(wire: &Wire) -> String {
    let address = SocketAddr::from(([127, 0, 0, 1], 9100));
    let connected = wire
        .forwarder()
        .run(|| TcpStream::connect_timeout(&address, SOON));
    let mut stream = connected.expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a limit");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    reply
}

#[test]
fn scrape_has_what_table_and_listing_have_at_that_moment() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = [
        "--match",
        "drop udp dst port 53",
        "--match",
        "udp dst port 4433",
        "--metrics",
        "127.0.0.1:9100",
    ];
    let forward = control.forward(&wire, Attach::Auto, &options);
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let send = |port, count| {
        let flow = unanswered(wire.udp_flow(4000, port));
        let frames: Vec<_> = flow.sequenced(1, 64, 0..count).collect();
        sender.send_batch(&frames).expect("the link takes them");
    };
    let has = |line: &str| scrape(&wire).lines().any(|found| found == line);

    for (port, count) in [(53, 30), (4433, 20), (80, 10)] {
        send(port, count);
    }

    for line in [
        r#"wharf_frames_in_total{interface="left"} 20"#,
        r#"wharf_frames_passed_total{interface="left"} 10"#,
        r#"wharf_frames_dropped_by_rule_total{interface="left"} 30"#,
        r#"wharf_frames_in_total{interface="right"} 0"#,
        r#"wharf_rule_hits_total{interface="left",rule="drop udp dst port 53"} 30"#,
        r#"wharf_rule_hits_total{interface="left",rule="redirect udp dst port 4433"} 20"#,
        r#"wharf_rule_hits_total{interface="left",rule="default"} 10"#,
        r#"wharf_tx_frames_total{interface="right",queue="0"} 20"#,
    ] {
        wait_until(line, SOON, || has(line));
    }
    let page = scrape(&wire);
    for part in [
        "wharf_build_info{version=\"",
        r#"wharf_interface_info{interface="left",driver="veth",attach=""#,
        r#"wharf_worker_cpu_seconds_total{worker="0",cpu=""#,
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    control.steer(&["remove", "1"]);
    assert!(!scrape(&wire).contains("udp dst port 53"), "it is gone");
    forward.stop().assert_conserved();
}
