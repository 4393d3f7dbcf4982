//! Traffic of stacks that leave their checksums to hardware which is not there: over
//! each way that this kernel can make, `wharf forward` and an application deliver it.
//!
//! What this kernel cannot make is named, and is tried as frames in
//! `engine/src/memory/checksum/tests.rs`.

mod network;
mod responder;
mod stacked;
mod tunnels;

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use wharf_testbed::{Host, Offload, Switch, Testbed, Wire, require_privileges, require_program};
use wharf_tests::{SOON, connect, listen};

/// A wire between hosts that leave their checksums undone. Segments are theirs to cut:
/// in generic mode nobody else does. `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    if !require_privileges() || !require_program("ip") {
        return None;
    }
    let wire = Testbed::options()
        .offloads(Switch::On)
        .ipv6(Switch::On)
        .wire();
    let wire = wire.expect("a wire");
    for interface in [wire.client_interface(), wire.server_interface()] {
        interface
            .set_offload(Offload::Segmentation, Switch::Off)
            .expect("veth lets it be switched");
    }
    Some(wire)
}

/// Runs `ip` in `host`; whether it could.
fn try_ip(host: &Host, arguments: &str) -> bool {
    let mut command = host.command("ip");
    command.args(arguments.split_whitespace());
    command.run_bounded(SOON).expect("it ends").status.success()
}

fn ip(host: &Host, arguments: &str) {
    assert!(try_ip(host, arguments), "ip {arguments}");
}

/// TCP and UDP from `client` to `server`'s address, there and back, and no host finds a
/// checksum wrong. What a tunnel sent before both its ends were up does not count.
fn assert_traffic_flows(what: &str, client: &Host, server: &Host, address: IpAddr) {
    let errors = || [client, server].map(network::checksum_errors);
    let before = errors();
    let listener = listen(server, address, 7000);
    let mut connection = connect(client, &listener, SOON);
    let connection = connection.as_mut();
    let connection = connection.unwrap_or_else(|| panic!("{what}: no TCP connection"));
    for _ in 0..5 {
        assert!(connection.works(SOON), "{what}: TCP is silent");
    }
    assert_datagrams_come_back(what, client, server, address);
    assert_eq!(errors(), before, "{what}");
}

fn assert_datagrams_come_back(what: &str, client: &Host, server: &Host, address: IpAddr) {
    let echo = server.run(|| UdpSocket::bind((address, 7001)).expect("the port is free"));
    echo.set_read_timeout(Some(SOON)).expect("above zero");
    let socket = asking(client, address);
    for length in [1, 100, 1001] {
        socket.send(&vec![7; length]).expect("there is a route");
        let mut bytes = [0; 2000];
        let (received, from) = echo
            .recv_from(&mut bytes)
            .unwrap_or_else(|error| panic!("{what}: {length} bytes do not arrive: {error}"));
        echo.send_to(&bytes[..received], from)
            .expect("a route back");
        let back = socket.recv(&mut bytes);
        let back = back.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert_eq!(back, length);
    }
}

/// A socket in `client` that asks port 7001 of `address`.
fn asking(client: &Host, address: IpAddr) -> UdpSocket {
    let any: IpAddr = match address {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let socket = client.run(|| {
        let socket = UdpSocket::bind((any, 0)).expect("a port is free");
        socket.connect((address, 7001)).expect("there is a route");
        socket
    });
    let limit: Duration = SOON;
    socket.set_read_timeout(Some(limit)).expect("above zero");
    socket
}
