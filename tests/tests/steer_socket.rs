//! The socket by which `wharf steer` reaches a forwarder: whose it is, how it comes
//! and goes, and that nobody who connects to it can stop anything.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{PacketSocket, Testbed, Wire, require_privileges};
use wharf_tests::{ControlDirectory, Forward, SOON, quiet_flow, single_line, wait_until};

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

fn arrived(wire: &Wire) -> u64 {
    let counters = wire.server_interface().counters();
    counters.expect("it counts").rx_packets
}

fn rules_of(report: &Value) -> Vec<&str> {
    let rules = report["rules"].as_array().expect("rules");
    rules
        .iter()
        .map(|rule| rule["rule"].as_str().expect("text"))
        .collect()
}

#[track_caller]
fn assert_refused(output: &Output, needles: &[&str]) {
    let line = single_line(output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    for needle in needles {
        assert!(line.contains(needle), "no `{needle}` in: {line}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn socket_is_for_its_owner_alone_and_goes_with_the_forwarder() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();

    let mut forward = control.forward(&wire, Attach::Native, &[]);

    let pid = forward.process().id();
    let socket = control.path().join(format!("forward-{pid}.sock"));
    assert_eq!((mode(&control.path()), mode(&socket)), (0o700, 0o600));
    let report = forward.stop();
    assert_eq!(
        report.summary["setup"]["steering"]["control"].as_str(),
        socket.to_str()
    );
    assert!(!socket.exists());
    let nobody = control.try_steer(&["list"]);
    assert_refused(&nobody, &["no forwarder", "wharf forward", "--control"]);
}

fn mode(path: &Path) -> u32 {
    let status = std::fs::symlink_metadata(path).expect("it is there");
    status.permissions().mode() & 0o777
}

#[test]
fn socket_of_a_killed_forwarder_is_cleaned_up_by_the_next() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let mut first = control.forward(&wire, Attach::Native, &[]);
    let pid = first.process().id();
    let socket = control.path().join(format!("forward-{pid}.sock"));

    first.kill();

    assert!(socket.exists(), "nobody was there to remove it");
    let nobody = control.try_steer(&["list"]);
    assert_refused(&nobody, &["no forwarder"]);
    let named = control.try_steer(&["list", "--pid", &pid.to_string()]);
    assert_refused(
        &named,
        &["nothing listens there any more", "no forwarder runs"],
    );
    let next = control.forward(&wire, Attach::Native, &[]);
    assert!(!socket.exists());
    assert_eq!(
        control.listing()["interfaces"],
        serde_json::json!(["left", "right"])
    );
    next.stop().assert_nothing_dropped();
}

#[test]
fn stopped_forwarder_is_told_and_given_up_within_seconds() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let mut forward = control.forward(&wire, Attach::Native, &[]);
    forward.process().signal(libc::SIGSTOP).expect("it runs");
    let begin = Instant::now();

    let refused = control.try_steer(&["list"]);

    let elapsed = begin.elapsed();
    forward
        .process()
        .signal(libc::SIGCONT)
        .expect("it is there");
    let errors = String::from_utf8_lossy(&refused.stderr);
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(lines[0].contains("has not answered for 2 s"), "{errors}");
    assert!(lines[1].contains("does not answer"), "{errors}");
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    assert!(control.steer(&["list"]).contains("revision 1"));
    forward.stop().assert_nothing_dropped();
}

#[test]
fn of_two_forwarders_one_has_to_be_named() {
    let (Some(one), Some(other)) = (wire(), wire()) else {
        return;
    };
    let control = ControlDirectory::new();
    let mut first = control.forward(&one, Attach::Native, &["--match", "udp"]);
    let mut second = control.forward(&other, Attach::Native, &["--match", "tcp"]);
    let pids = [first.process().id(), second.process().id()].map(|pid| pid.to_string());

    let unnamed = control.try_steer(&["add", "arp"]);
    let wrong = control.try_steer(&["list", "--pid", "1"]);
    let by_pid = control.steer(&["add", "arp", "--pid", &pids[0]]);
    let path = control.path().join(format!("forward-{}.sock", pids[1]));
    let by_path = control.steer(&["list", "--control", path.to_str().expect("a plain name")]);

    let names = [
        pids[0].as_str(),
        pids[1].as_str(),
        "left and right",
        "--pid",
    ];
    assert_refused(&unnamed, &names);
    assert_refused(&wrong, &["no such socket", &pids[0], &pids[1]]);
    assert!(by_pid.contains("rule 2: redirect arp"), "{by_pid}");
    assert!(
        by_path.contains("redirect tcp") && !by_path.contains("arp"),
        "{by_path}"
    );
    assert_eq!(rules_of(&first.stop().summary["rules"]).len(), 2);
    assert_eq!(rules_of(&second.stop().summary["rules"]), ["redirect tcp"]);
}

#[test]
fn socket_is_where_it_was_asked_for_or_nowhere() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let path = control.free_path("here");

    let forward = control.forward(&wire, Attach::Native, &["--control", &path]);
    let listed = control.steer(&["list", "--control", &path]);
    let by_default = control.try_steer(&["list"]);
    forward.stop().assert_nothing_dropped();

    assert!(listed.contains("revision 1"), "{listed}");
    assert_refused(&by_default, &["no forwarder"]);
    assert!(!Path::new(&path).exists());
    let forward = control.forward(&wire, Attach::Native, &["--no-control"]);
    let none = control.try_steer(&["list"]);
    let report = forward.stop();
    assert_refused(&none, &["no forwarder"]);
    assert_eq!(report.summary["setup"]["steering"]["control"], Value::Null);
}

#[test]
fn forwarder_runs_where_it_cannot_listen_unless_it_was_told_where() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    // A file is where the directory should be.
    let _ = control.file("sockets", "");

    let mut forward = control.forward(&wire, Attach::Native, &[]);
    let said = forward.process().stderr();
    forward.stop().assert_nothing_dropped();
    let path = control.file("taken", "precious");
    let refused = Forward::refused(&wire, &["--control", &path]);

    let warnings: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("wharf: "))
        .collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(
        warnings[0].contains("cannot listen in") && warnings[0].contains("--control"),
        "{said}"
    );
    assert_refused(&refused, &["taken", "not a socket", "--control"]);
    assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
}

#[test]
fn clients_that_hang_stop_nothing() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let path = control.free_path("socket");
    let options = ["--control", path.as_str(), "--match", "udp"];
    let forward = control.forward(&wire, Attach::Native, &options);
    let silent = UnixStream::connect(&path).expect("it listens");
    let mut half = UnixStream::connect(&path).expect("it listens");
    half.write_all(b"{\"version\":1,").expect("it reads");
    let deaf = UnixStream::connect(&path).expect("it listens");
    deaf.set_nonblocking(true).expect("a mode");
    let list = b"{\"version\":1,\"command\":\"list\"}\n";
    while (&mut &deaf).write_all(list).is_ok() {}

    let added = control.steer(&["add", "arp", "--control", &path]);
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..50).collect();
    let before = arrived(&wire);
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    sender.send_batch(&frames).expect("the link takes them");
    wait_until("they arrive", SOON, || arrived(&wire) >= before + 50);
    let report = forward.stop();

    assert!(added.contains("revision 2"), "{added}");
    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), 50);
    drop((silent, half, deaf));
}
