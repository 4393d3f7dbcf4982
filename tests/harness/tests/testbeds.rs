//! Whole testbeds: programs in them reach each other, and counters count.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use wharf_testbed::{
    CLIENT_IPV4, Error, Host, Link, Neighbours, SERVER_IPV4, SERVER_IPV6, Switch, Testbed,
    require_privileges, require_program,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn ping_crosses_a_pair() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let pair = Testbed::pair().unwrap();

    let said = pair
        .client()
        .command("ping")
        .args(["-c", "3", "-i", "0.01", &SERVER_IPV4.to_string()])
        .run_checked(SOON)
        .unwrap();

    assert!(said.contains(" 0% packet loss"), "{said}");
}

#[test]
fn ping_resolves_neighbours_and_speaks_ipv6_when_asked() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let pair = Testbed::options()
        .neighbours(Neighbours::Resolved)
        .ipv6(Switch::On)
        .queues(2)
        .mtu(3000)
        .pair()
        .unwrap();

    for address in [SERVER_IPV4.to_string(), SERVER_IPV6.to_string()] {
        let mut ping = pair.client().command("ping");
        ping.args(["-c", "1", &address]).run_checked(SOON).unwrap();
    }
}

#[test]
fn wire_carries_nothing_by_itself() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let wire = Testbed::wire().unwrap();

    let output = wire
        .client()
        .command("ping")
        .args(["-c", "1", "-W", "0.2", &SERVER_IPV4.to_string()])
        .run_bounded(SOON)
        .unwrap();

    assert!(!output.status.success());
    assert_eq!(wire.left().counters().unwrap().rx_packets, 1);
    assert_eq!(wire.right().counters().unwrap().tx_packets, 0);
    assert_eq!(
        wire.forwarder().interface_names().unwrap(),
        ["lo", "left", "right"]
    );
}

#[test]
fn route_leads_through_a_gateway() {
    if !require_privileges() || !require_program("ping") {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let beyond = std::net::Ipv4Addr::new(192, 0, 2, 1);
    let loopback = pair.server().interface("lo").unwrap();
    loopback.add_address(beyond, 32).unwrap();

    pair.client_interface()
        .add_route([192, 0, 2, 0], 24, SERVER_IPV4)
        .unwrap();

    let mut ping = pair.client().command("ping");
    ping.args(["-c", "1", &beyond.to_string()])
        .run_checked(SOON)
        .unwrap();
    // And once more as the default route.
    pair.client_interface()
        .add_route([0, 0, 0, 0], 0, SERVER_IPV4)
        .unwrap();
}

#[test]
fn sockets_opened_inside_reach_each_other_and_are_counted() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let bind = |address| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    };
    let server = pair.server().run(|| bind(SERVER_IPV4));
    let client = pair.client().run(|| bind(CLIENT_IPV4));
    let before = pair.client_interface().counters().unwrap();

    for _ in 0..5 {
        let target = server.local_addr().unwrap();
        client.send_to(&[7; 100], target).unwrap();
        assert_eq!(server.recv(&mut [0; 200]).unwrap(), 100);
    }

    let counted = pair.client_interface().counters().unwrap() - before;
    assert_eq!((counted.tx_packets, counted.tx_bytes), (5, 5 * 142));
    assert_eq!((counted.tx_dropped, counted.tx_errors), (0, 0));
    assert_eq!(pair.server_interface().counters().unwrap().rx_packets, 5);
    let driver = pair.server_interface().driver_counters().unwrap();
    assert!(driver.contains_key("rx_queue_0_xdp_packets"), "{driver:?}");
    assert!(driver.contains_key("peer_ifindex"), "{driver:?}");
    let loopback = pair.server().interface("lo").unwrap();
    assert_eq!(loopback.driver_counters().unwrap().len(), 0);
}

#[test]
fn overlong_command_is_killed_and_says_what_it_said() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("slow").unwrap();
    let start = Instant::now();

    let error = host
        .command("sh")
        .args(["-c", "echo before; sleep 60; echo after"])
        .run_bounded(Duration::from_millis(300))
        .unwrap_err();

    assert!(start.elapsed() < Duration::from_secs(5));
    let Error::CommandTimeout { output, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(output, "before\n");
}

#[test]
fn failed_and_missing_programs_are_errors() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("fail").unwrap();

    let failed = host
        .command("sh")
        .args(["-c", "echo why >&2; exit 3"])
        .run_checked(SOON)
        .unwrap_err();
    let missing = host
        .command("no-such-program")
        .run_bounded(SOON)
        .unwrap_err();

    assert!(
        matches!(&failed, Error::CommandFailed { status, output, .. }
            if status.code() == Some(3) && output == "why\n"),
        "{failed}"
    );
    assert!(matches!(missing, Error::Spawn { .. }), "{missing}");
    assert!(missing.to_string().contains("no-such-program"), "{missing}");
}

#[test]
fn guard_waits_for_output_and_stops_on_signal() {
    if !require_privileges() {
        return;
    }
    let host = Host::new("guard").unwrap();
    let script = "trap 'echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut guard = host.command("sh").args(["-c", script]).spawn().unwrap();

    guard.wait_for_output("ready", SOON).unwrap();
    assert_eq!(guard.try_wait().unwrap(), None);
    let never = guard.wait_for_output("never", Duration::from_millis(50));
    assert!(matches!(never, Err(Error::CommandTimeout { .. })));
    let output = guard.stop(15, SOON).unwrap();

    assert!(output.status.success());
    assert_eq!(output.stdout, b"ready\nstopped\n");
}

#[test]
fn dropped_guard_kills_the_whole_group() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let mut guard = pair
        .server()
        .command("sh")
        .args(["-c", "sleep 600 & echo $!; wait"])
        .spawn()
        .unwrap();
    guard.wait_for_output("\n", SOON).unwrap();
    let grandchild = format!("/proc/{}/stat", guard.stdout().trim());
    assert!(is_running(&grandchild));

    drop(guard);

    let deadline = Instant::now() + SOON;
    while is_running(&grandchild) {
        assert!(Instant::now() < deadline, "the group was not killed");
        thread::yield_now();
    }
}

/// A killed process may wait to be reaped by the system; it runs no more.
fn is_running(stat: &str) -> bool {
    std::fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

#[test]
fn iperf_runs_between_the_hosts() {
    if !require_privileges() || !require_program("iperf3") {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let mut server = pair
        .server()
        .command("iperf3")
        .args(["--server", "--one-off", "--forceflush"])
        .spawn()
        .unwrap();
    server.wait_for_output("listening", SOON).unwrap();

    let report = pair
        .client()
        .command("iperf3")
        .args(["--client", &SERVER_IPV4.to_string(), "--bytes", "4M"])
        .run_checked(SOON)
        .unwrap();

    assert!(report.contains("sender"), "{report}");
    assert!(server.finish(SOON).unwrap().status.success());
}

#[test]
fn many_testbeds_live_at_once() {
    if !require_privileges() || !require_program("ping") {
        return;
    }

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let wire = Testbed::options().queues(2).wire().unwrap();
                    let bypass = Link::between(wire.client(), wire.server()).create();
                    bypass.unwrap().near().set_mtu(1400).unwrap();
                    let pair = Testbed::pair().unwrap();
                    let mut ping = pair.client().command("ping");
                    ping.args(["-c", "1", &SERVER_IPV4.to_string()])
                        .run_checked(Duration::from_secs(60))
                        .unwrap();
                }
            });
        }
    });
}
