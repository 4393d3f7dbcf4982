//! `wharf forward` from start to end, however it ends: what it leaves behind,
//! what it says, and what it does to whoever comes second.

use std::time::{Duration, Instant};

use wharf::Attach;
use wharf_testbed::{
    PacketSocket, SERVER_IPV4, Testbed, Wire, require_privileges, require_program,
};
use wharf_tests::{
    Forward, SOON, Stream, assert_no_program, in_both_modes, keep_sockets_apart, last_line,
    quiet_flow, single_line, state_of, wait_until, wharf, wharf_in,
};

in_both_modes! {
    killed_forwarder_leaves_interfaces_usable_at_once,
    next_forwarder_waits_for_one_that_is_being_killed,
    second_forwarder_on_the_same_interfaces_is_refused_and_the_first_goes_on,
    account_of_a_run_adds_up_to_what_was_sent,
    interfaces_are_promiscuous_while_it_runs_and_not_after,
    forwarder_goes_on_after_the_far_end_went_down_and_up,
    interface_removed_in_mid_traffic_ends_it_with_one_line,
}

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// Sends frames through the wire until some arrive.
fn assert_forwards(wire: &Wire) {
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frame = quiet_flow(wire, 4100).frame(b"does it forward?");

    sender.send(&frame).expect("the link takes it");

    let arrived = receiver.receive_until(SOON, |found| {
        if found == frame {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    assert!(arrived.expect("the interface stays") > 0, "nothing arrived");
}

fn killed_forwarder_leaves_interfaces_usable_at_once(attach: Attach) {
    let Some(wire) = wire() else { return };
    let before = [state_of(wire.left()), state_of(wire.right())];
    let forward = Forward::start(&wire, attach, &[]);
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 50_000);
    wait_until("traffic flows", SOON, || {
        wire.server_interface()
            .counters()
            .expect("it counts")
            .rx_packets
            > 1000
    });

    forward.kill();

    // The kernel undoes it all as the process exits, sockets a little later.
    wait_until("nothing is left of it", SOON, || {
        [state_of(wire.left()), state_of(wire.right())] == before
    });
    let started = Instant::now();
    let next = Forward::start(&wire, attach, &[]);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_forwards(&wire);
    drop(stream);
    next.stop().assert_conserved();
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

fn next_forwarder_waits_for_one_that_is_being_killed(attach: Attach) {
    let Some(wire) = wire() else { return };
    let mut dying = Forward::start(&wire, attach, &[]);

    let process = dying.process();
    process.signal(libc::SIGKILL).expect("it runs");
    // It has begun to close its descriptors, the kernel has not ended with them.
    let descriptors = format!("/proc/{}/fd", process.id());
    wait_until("it is dying", SOON, || {
        std::fs::read_dir(&descriptors).map_or(0, Iterator::count) == 0
    });
    let next = Forward::start(&wire, attach, &[]);

    assert_forwards(&wire);
    next.stop().assert_conserved();
    dying.kill();
}

fn second_forwarder_on_the_same_interfaces_is_refused_and_the_first_goes_on(attach: Attach) {
    let Some(wire) = wire() else { return };
    let mut first = Forward::start(&wire, attach, &[]);
    let running = [state_of(wire.left()), state_of(wire.right())];
    let id = running[0].program.expect("the first one's program");

    let second = wharf_in(wire.forwarder())
        .args(["forward", "left", "right"])
        .run_bounded(SOON)
        .expect("it ends by itself");

    assert_eq!(second.status.code(), Some(1));
    let line = single_line(&second);
    let (program, process) = (format!("`wharf_steer` (id {id}, "), first.process().id());
    assert!(line.contains("`left` already has XDP program"), "{line}");
    assert!(line.contains(&program), "{line}");
    assert!(
        line.contains(&format!("stop process {process} (wharf)")),
        "{line}"
    );
    assert_eq!([state_of(wire.left()), state_of(wire.right())], running);
    assert_forwards(&wire);
    first.stop().assert_nothing_dropped();
}

fn account_of_a_run_adds_up_to_what_was_sent(attach: Attach) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);
    let before = wire.server_interface().counters().expect("it counts");
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 10_000);
    // Longer than an interval, so that there is more than one.
    wait_until("some has been sent", SOON, || stream.sent() > 15_000);
    let sent = stream.stop();

    wait_until("all of it has arrived", SOON, || {
        let now = wire.server_interface().counters().expect("it counts");
        (now - before).rx_packets >= sent
    });
    let report = forward.stop();

    report.assert_nothing_dropped();
    assert_eq!(report.total("frames_in"), sent);
    assert_eq!(report.total("rx_frames"), sent);
    assert_eq!(report.total("tx_frames"), sent);
    assert_eq!(report.total("rx_bytes"), sent * (200 + 8 + 20 + 14));
    assert_eq!(report.total("tx_bytes"), report.total("rx_bytes"));
    assert_eq!(report.summary["outcome"], "interrupted");
    assert_eq!(report.summary["setup"]["interfaces"][0]["name"], "left");
    assert!(report.intervals.len() > 1, "one a second");
    let parts = report
        .intervals
        .iter()
        .map(|interval| &interval["directions"][0]["frames_in"]);
    let parts: u64 = parts.map(|frames| frames.as_u64().expect("a count")).sum();
    assert_eq!(parts, sent, "the intervals add up to the total");
}

fn interfaces_are_promiscuous_while_it_runs_and_not_after(attach: Attach) {
    let Some(wire) = wire() else { return };
    let interfaces = [wire.left(), wire.right()];
    let promiscuous = || interfaces.map(|interface| state_of(interface).status.is_promiscuous);
    assert_eq!(promiscuous(), [false, false]);

    let forward = Forward::start(&wire, attach, &[]);
    assert_eq!(promiscuous(), [true, true]);
    let _ = forward.stop();
    assert_eq!(promiscuous(), [false, false]);

    let forward = Forward::start(&wire, attach, &[]);
    assert_eq!(promiscuous(), [true, true]);
    forward.kill();
    wait_until("the kernel has cleaned up", SOON, || {
        promiscuous() == [false, false]
    });
}

fn forwarder_goes_on_after_the_far_end_went_down_and_up(attach: Attach) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);

    wire.server_interface()
        .set_down()
        .expect("it can be set down");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..500).collect();
    sender.send_batch(&frames).expect("the link takes them");
    // The neighbours went with the interface; frames need none.
    wire.server_interface().set_up().expect("it can be set up");
    wire.right()
        .wait_for_carrier(SOON)
        .expect("both ends are up");

    assert_forwards(&wire);
    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.total("frames_in"), 501);
}

fn interface_removed_in_mid_traffic_ends_it_with_one_line(attach: Attach) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 50_000);
    wait_until("traffic flows", SOON, || {
        wire.server_interface()
            .counters()
            .expect("it counts")
            .rx_packets
            > 1000
    });

    wire.client_link().delete().expect("it can be deleted");

    let output = forward.finish();
    drop(stream);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = errors
        .lines()
        .filter(|line| line.starts_with("wharf: "))
        .collect();
    assert_eq!(said.len(), 1, "{errors}");
    assert!(said[0].contains("`left` was deleted or moved"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert_no_program(wire.right());
}

#[test]
fn demo_passes_and_leaves_nothing() {
    if !require_privileges() {
        return;
    }
    let host = wharf_testbed::Host::new("demo").expect("a host");
    let before = host.interface_names().expect("the kernel answers");

    let output = wharf_in(&host)
        .args(["demo", "--json", "--seconds", "2"])
        .run_bounded(Duration::from_secs(60))
        .expect("it ends by itself");

    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let verdict = wharf_tests::last_line(&output);
    assert_eq!(verdict["type"], "verdict");
    assert_eq!(verdict["verdict"], "pass", "{verdict}");
    assert_eq!(verdict["conserved"], true, "{verdict}");
    for traffic in ["tcp", "udp", "echo"] {
        assert_eq!(verdict[traffic]["intact"], true, "{verdict}");
    }
    assert_eq!(host.interface_names().expect("the kernel answers"), before);
}

#[test]
fn kernel_carries_on_where_the_forwarder_was_killed() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    // Client and server are joined, and Wharf runs on the client's end.
    let pair = Testbed::pair().expect("a pair");
    let spare = wharf_testbed::Link::between(pair.client(), pair.server())
        .names("spare", "spare")
        .create()
        .expect("a link");
    let mut forward = wharf_in(pair.client())
        .args(["forward", "eth0", "spare", "--json"])
        .spawn()
        .expect("it can be run");
    forward
        .wait_for_output("worker 0", SOON)
        .expect("it starts");

    let output = forward
        .stop(libc::SIGKILL, SOON)
        .expect("SIGKILL ends everything");

    assert!(!output.status.success());
    let mut ping = pair.client().command("ping");
    ping.args(["-c", "3", "-i", "0.2", "-W", "1", &SERVER_IPV4.to_string()]);
    let said = ping
        .run_checked(SOON)
        .expect("the kernel's own stack answers");
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert_no_program(pair.client_interface());
    assert_no_program(spare.near());
}

/// A closed terminal ends a run as a signal of the user's does, with its account.
#[test]
fn hangup_ends_it_in_order() {
    let Some(wire) = wire() else { return };
    // The tests may themselves run where it is ignored, as under nohup.
    let mut command = wire.forwarder().command("env");
    keep_sockets_apart(&mut command);
    command.arg("--default-signal=HUP").arg(wharf());
    let mut forward = Forward::start_as(command, &wire, Attach::Auto, &[]);

    forward.process().signal(libc::SIGHUP).expect("it runs");

    let output = forward.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(last_line(&output)["type"], "summary");
    assert_no_program(wire.left());
}

#[test]
fn hangup_that_is_ignored_from_the_start_stays_ignored() {
    let Some(wire) = wire() else { return };
    let command = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut shell = wire.forwarder().command("sh");
    keep_sockets_apart(&mut shell);
    shell.args(["-c", command]).arg(wharf());
    let mut forward = Forward::start_as(shell, &wire, Attach::Auto, &[]);

    forward.process().signal(libc::SIGHUP).expect("it runs");
    assert_forwards(&wire);

    forward.stop().assert_conserved();
}
