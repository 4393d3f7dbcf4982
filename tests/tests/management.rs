//! Nobody locks himself out: what a host is managed by stays with its kernel on
//! the interface that carries the default route, and everything else is taken.
//!
//! ```text
//!   client 10.77.0.1 ──────── eth0 10.77.0.2 server: engine on eth0,
//!   (default gateway)                                default route over it
//! ```

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wharf::{Application, Attach, Batch, Engine, KeepManagement, Outbox, Snapshot, Summary};
use wharf_testbed::{
    CLIENT_IPV4, Entered, Host, Neighbours, Pair, SERVER_IPV4, SERVER_IPV6, Switch, Testbed,
    require_privileges,
};
use wharf_tests::{
    SOON, assert_conserved, assert_no_program, connect, in_both_modes, listen, reach, wait_until,
};

in_both_modes! {
    management_of_the_default_routes_interface_stays_with_the_kernel,
    everything_else_is_taken,
    everything_is_taken_where_that_was_asked,
    addresses_are_followed_while_the_engine_runs,
}

/// Nothing that is taken is ever answered; long enough for what is not.
const NEVER: Duration = Duration::from_millis(300);

/// Frames that reached the application.
type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

/// Keeps a copy of every frame, and drops it.
struct Collect(Taken);

impl Application for Collect {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        let mut taken = self.0.lock().expect("nobody panics with it");
        taken.extend(batch.map(|frame| frame.to_vec()));
    }
}

/// Client and server, whose default route leads to the client.
fn pair() -> Pair {
    let options = Testbed::options().neighbours(Neighbours::Resolved);
    let pair = options.ipv6(Switch::On).pair().expect("a pair");
    let interface = pair.server_interface();
    let default = Ipv4Addr::UNSPECIFIED;
    interface
        .add_route(default, 0, CLIENT_IPV4)
        .expect("the client is near");
    pair
}

/// An engine on the server's interface, with this thread in the server.
fn engine(pair: &Pair, attach: Attach, keep: KeepManagement) -> (Entered, Engine, Taken) {
    let inside = pair.server().enter().expect("the host lives");
    let taken = Taken::default();
    let seen = Arc::clone(&taken);
    let engine = Engine::builder()
        .interface("eth0")
        .attach(attach)
        .frames(4096)
        .keep_management(keep)
        .start(move |_| Collect(Arc::clone(&seen)))
        .expect("it starts");
    (inside, engine, taken)
}

/// Whether a frame with `protocol` to `address` and `port` was taken, over IPv4.
fn was_taken(taken: &Taken, protocol: u8, address: Ipv4Addr, port: u16) -> bool {
    let taken = taken.lock().expect("nobody panics with it");
    taken.iter().any(|frame| {
        frame.len() >= 38
            && frame[12..14] == [8, 0]
            && frame[23] == protocol
            && frame[30..34] == address.octets()
            && frame[36..38] == port.to_be_bytes()
    })
}

/// Whether any frame of ARP or neighbour discovery was taken.
fn neighbours_were_taken(taken: &Taken) -> bool {
    let taken = taken.lock().expect("nobody panics with it");
    taken.iter().any(|frame| {
        let is_discovery = |frame: &[u8]| frame[20] == 58 && (133..=137).contains(&frame[54]);
        frame[12..14] == [8, 6] || (frame[12..14] == [0x86, 0xdd] && is_discovery(frame))
    })
}

fn forget_neighbours(host: &Host) {
    for version in ["-4", "-6"] {
        let mut command = host.command("ip");
        command.args([version, "neigh", "flush", "dev", "eth0"]);
        command.run_checked(SOON).expect("`ip` of iproute2");
    }
}

/// The books balance, the application saw what was counted, and what did not go
/// there went to the kernel.
#[track_caller]
fn assert_accounted(summary: &Summary, taken: &Taken) {
    assert_conserved(summary);
    let count = taken.lock().expect("nobody panics with it").len();
    assert_eq!(summary.stats.totals().frames_in, count as u64);
}

/// Frames that were passed for the host's own sake.
fn management(engine: &Engine) -> u64 {
    engine.rule_hits().expect("the kernel tells")[0].management
}

/// Frames that went to the kernel because that was decided, and not because no
/// xsk was there yet: idle hosts speak, too, when they have IPv6.
fn passed(stats: &Snapshot) -> u64 {
    let totals = stats.totals();
    totals.frames_passed - totals.frames_passed_no_xsk
}

fn management_of_the_default_routes_interface_stays_with_the_kernel(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = pair();
    let (client, server) = (pair.client(), pair.server());
    let before = listen(server, SERVER_IPV4, 8080);
    let mut before = connect(client, &before, SOON).expect("no engine runs yet");
    let (ssh, ssh6) = (
        listen(server, SERVER_IPV4, 22),
        listen(server, SERVER_IPV6, 22),
    );
    let upstream = listen(client, CLIENT_IPV4, 443);
    let resolver = client.run(|| UdpSocket::bind((CLIENT_IPV4, 53)).expect("the port is free"));
    resolver.set_read_timeout(Some(SOON)).expect("a bound");
    let arrived = pair.server_interface().counters().expect("it counts");

    let (_inside, engine, taken) = engine(&pair, attach, KeepManagement::Auto);

    let report = &engine.report().interfaces[0].management;
    assert!(report.is_kept(), "{report}");
    let route = report.default_route.as_ref().expect("it carries one");
    assert_eq!(route.interface, "eth0");
    assert!(before.works(SOON), "a connection from before");
    for host in [client, server] {
        forget_neighbours(host);
    }
    // Nobody knows anybody's Ethernet address any more.
    let mut ssh = connect(client, &ssh, SOON).expect("SSH gets through, ARP as well");
    assert!(ssh.works(SOON));
    let mut ssh6 = connect(client, &ssh6, SOON).expect("over IPv6, too");
    assert!(ssh6.works(SOON));
    let mut out = connect(server, &upstream, SOON).expect("a connection to the outside");
    assert!(out.works(SOON));
    let asking = UdpSocket::bind((SERVER_IPV4, 0)).expect("a port is free");
    asking.connect((CLIENT_IPV4, 53)).expect("a route");
    asking.set_read_timeout(Some(SOON)).expect("a bound");
    asking.send(b"question").expect("a route");
    let (_, from) = resolver.recv_from(&mut [0; 16]).expect("it arrives");
    resolver.send_to(b"answer", from).expect("a route");
    assert_eq!(asking.recv(&mut [0; 16]).expect("the answer arrives"), 6);

    // Segments, acknowledgements, ARP and discovery of the above, at the least.
    assert!(management(&engine) > 12, "{} passed", management(&engine));
    wait_until("the counters agree", SOON, || {
        let (hits, stats) = (management(&engine), engine.stats());
        hits == passed(&stats)
    });
    let summary = engine.stop();
    assert!(!neighbours_were_taken(&taken));
    assert_accounted(&summary, &taken);
    let now = pair.server_interface().counters().expect("it counts");
    let arrived = now.rx_packets - arrived.rx_packets;
    let seen = summary.stats.totals().frames_in + passed(&summary.stats);
    assert!(
        seen <= arrived,
        "{seen} frames were seen, {arrived} arrived"
    );
    assert_no_program(pair.server_interface());
}

fn everything_else_is_taken(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = pair();
    let (client, server) = (pair.client(), pair.server());
    let foreign = Ipv4Addr::new(10, 99, 0, 1);
    pair.client_interface()
        .add_route(foreign, 32, SERVER_IPV4)
        .expect("the server is near");
    let web = listen(server, SERVER_IPV4, 8080);
    let (_inside, engine, taken) = engine(&pair, attach, KeepManagement::Auto);

    assert!(connect(client, &web, NEVER).is_none(), "not SSH");
    wait_until("the segment is taken", SOON, || {
        was_taken(&taken, 6, SERVER_IPV4, 8080)
    });
    let elsewhere = SocketAddr::from((foreign, 22));
    assert!(reach(client, elsewhere, NEVER).is_none(), "not our SSH");
    wait_until("the segment is taken", SOON, || {
        was_taken(&taken, 6, foreign, 22)
    });
    let datagrams = client.run(|| UdpSocket::bind((CLIENT_IPV4, 0)).expect("a port is free"));
    for to in [SERVER_IPV4, foreign] {
        datagrams.send_to(b"anybody?", (to, 4433)).expect("a route");
        wait_until("the datagram is taken", SOON, || {
            was_taken(&taken, 17, to, 4433)
        });
    }

    assert_accounted(&engine.stop(), &taken);
}

fn everything_is_taken_where_that_was_asked(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = pair();
    let (client, server) = (pair.client(), pair.server());
    let ssh = listen(server, SERVER_IPV4, 22);
    let mut session = connect(client, &ssh, SOON).expect("no engine runs yet");
    let (_inside, engine, taken) = engine(&pair, attach, KeepManagement::Never);

    let report = &engine.report().interfaces[0].management;
    assert!(
        !report.is_kept() && report.default_route.is_some(),
        "{report}"
    );
    assert!(!session.works(NEVER), "the session breaks off");
    assert!(
        connect(client, &ssh, NEVER).is_none(),
        "and no other begins"
    );
    wait_until("the segment is taken", SOON, || {
        was_taken(&taken, 6, SERVER_IPV4, 22)
    });
    assert_eq!(management(&engine), 0);

    let summary = engine.stop();
    assert_accounted(&summary, &taken);
    assert_eq!(passed(&summary.stats), 0, "nothing was left to the kernel");
}

fn addresses_are_followed_while_the_engine_runs(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = pair();
    let (client, server) = (pair.client(), pair.server());
    let late = Ipv4Addr::new(10, 88, 0, 1);
    pair.client_interface()
        .add_route(late, 32, SERVER_IPV4)
        .expect("the server is near");
    let ssh = listen(server, Ipv4Addr::UNSPECIFIED, 22);
    let to = SocketAddr::from((late, 22));
    let (_inside, engine, taken) = engine(&pair, attach, KeepManagement::Auto);
    assert!(reach(client, to, NEVER).is_none(), "nobody has the address");
    wait_until("the segment is taken", SOON, || {
        was_taken(&taken, 6, late, 22)
    });

    let loopback = server.interface("lo").expect("every host has it");
    loopback.add_address(late, 32).expect("it is free");

    wait_until("the new address is the host's own", SOON, || {
        reach(client, to, NEVER).is_some()
    });
    drop(ssh.accept().expect("it was connected"));
    let mut command = server.command("ip");
    command.args(["address", "delete", "10.88.0.1/32", "dev", "lo"]);
    command.run_checked(SOON).expect("`ip` of iproute2");
    wait_until("the address is nobody's again", SOON, || {
        reach(client, to, NEVER).is_none()
    });
    assert_accounted(&engine.stop(), &taken);
}

#[test]
fn without_a_default_route_management_is_kept_only_if_that_was_asked() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let ssh = listen(pair.server(), SERVER_IPV4, 22);

    for (keep, is_kept) in [
        (KeepManagement::Auto, false),
        (KeepManagement::Always, true),
    ] {
        let (_inside, engine, taken) = engine(&pair, Attach::Auto, keep);

        let management = &engine.report().interfaces[0].management;
        assert_eq!(management.is_kept(), is_kept, "{management}");
        let session = connect(pair.client(), &ssh, if is_kept { SOON } else { NEVER });
        assert_eq!(session.is_some(), is_kept, "{keep:?}");

        assert_accounted(&engine.stop(), &taken);
    }
}

#[test]
fn port_of_the_bridge_with_the_default_route_keeps_management() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().pair().expect("a pair");
    let bridge = Ipv4Addr::new(10, 78, 0, 2);
    for line in [
        "link add br0 type bridge",
        "link set dev eth0 master br0",
        "link set dev br0 up",
        "address add 10.78.0.2/24 dev br0",
        "route add default via 10.78.0.1",
    ] {
        let mut command = pair.server().command("ip");
        command.args(line.split(' '));
        command.run_checked(SOON).expect("`ip` of iproute2");
    }
    let client = pair.client_interface();
    client.add_address([10, 78, 0, 1], 24).expect("it is free");
    let ssh = listen(pair.server(), bridge, 22);
    let (_inside, engine, taken) = engine(&pair, Attach::Auto, KeepManagement::Auto);

    let report = &engine.report().interfaces[0].management;
    let route = report.default_route.as_ref().expect("it carries one");
    assert_eq!(route.interface, "br0");
    let mut session = connect(pair.client(), &ssh, SOON).expect("SSH gets through");
    assert!(session.works(SOON));

    assert_accounted(&engine.stop(), &taken);
}
