//! What the stack sees of passed frames.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use wharf_testbed::{
    CLIENT_IPV4, Host, MacAddress, PacketSocket, SERVER_IPV4, SERVER_IPV6, Switch, Testbed,
    UdpFlow, require_privileges,
};
use wharf_tests::{SOON, wait_until};

use super::*;

in_both_modes! {
    frame_is_the_hosts_if_it_is_to_the_address_that_the_interface_has_now,
    frame_with_a_vlan_tag_arrives_with_it,
    datagrams_over_ipv6_arrive,
    datagrams_in_several_chunks_arrive_whole,
    packet_sockets_see_each_frame_once,
}

/// A datagram to `port`, between addresses that the tests choose.
fn datagram(from: MacAddress, to: MacAddress, ip: Ipv4Addr, port: u16) -> UdpFlow {
    let source = SocketAddrV4::new(CLIENT_IPV4, 4000);
    UdpFlow::v4(source, SocketAddrV4::new(ip, port)).macs(from, to)
}

fn run(host: &Host, command: &str) {
    let mut words = command.split(' ');
    let mut command = host.command(words.next().expect("a program"));
    command.args(words).run_checked(SOON).expect("it works");
}

fn receives(socket: &UdpSocket, limit: Duration) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(limit)).expect("a bound");
    let mut bytes = vec![0; 65_536];
    let len = socket.recv(&mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

fn frame_is_the_hosts_if_it_is_to_the_address_that_the_interface_has_now(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let socket = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let (from, first) = (pair.client_interface().mac(), pair.server_interface().mac());
    let second = MacAddress([2, 0, 0, 0x99, 0, 1]);
    let send = |to, text: &[u8]| {
        let frame = datagram(from, to, SERVER_IPV4, 7).frame(text);
        sender.send(&frame).expect("the link takes it");
    };

    // The frame to another host is ahead of one that arrives.
    send(second, b"another's");
    send(first, b"the host's");
    assert_eq!(receives(&socket, SOON).as_deref(), Some(&b"the host's"[..]));

    // A live change, which veth allows.
    run(
        pair.server(),
        &format!("ip link set dev eth0 address {second}"),
    );
    wait_until("the new address is known", SOON, || {
        send(second, b"now the host's");
        receives(&socket, Duration::from_millis(20)).is_some()
    });
    while receives(&socket, Duration::from_millis(20)).is_some() {}
    send(first, b"another's");
    send(second, b"still the host's");
    send(MacAddress([0xff; 6]), b"everybody's");
    let heard = [receives(&socket, SOON), receives(&socket, SOON)].map(Option::unwrap_or_default);
    assert_eq!(heard, [&b"still the host's"[..], b"everybody's"]);
    let totals = engine.stats().totals();
    assert_eq!(totals.drops.total(), 0, "{totals:?}");
    assert_conserved(&engine.stop());
}

fn frame_with_a_vlan_tag_arrives_with_it(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let mut tap = PacketSocket::open(pair.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let (from, to) = (pair.client_interface().mac(), pair.server_interface().mac());
    let flow = datagram(from, to, SERVER_IPV4, 7).vlan(7);
    let frames: Vec<_> = (0..100_u32).map(|n| flow.frame(&n.to_ne_bytes())).collect();

    sender.send_batch(&frames).expect("the link takes them");

    let seen = tap.receive_count(frames.len(), SOON).expect("it lives");
    assert_eq!(seen, frames);
    stop(engine, 100);
}

fn datagrams_over_ipv6_arrive(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().ipv6(Switch::On).pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let socket = UdpSocket::bind((SERVER_IPV6, 7)).expect("the port is free");
    let client = pair.client().run(|| UdpSocket::bind("[::]:4000"));
    let client = client.expect("the port is free");
    client.connect((SERVER_IPV6, 7)).expect("a route");

    for number in 0..100_u32 {
        client.send(&number.to_ne_bytes()).expect("it is sent");
        let heard = receives(&socket, SOON).expect("it arrives");
        assert_eq!(heard, number.to_ne_bytes());
    }

    // Not all that came was ours: neighbour discovery is at work, too.
    let summary = engine.stop();
    assert_conserved(&summary);
    assert_eq!(summary.stats.totals().drops.total(), 0);
}

fn datagrams_in_several_chunks_arrive_whole(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().mtu(9000).pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let socket = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    let client = pair.client().run(|| UdpSocket::bind("0.0.0.0:4000"));
    let client = client.expect("the port is free");
    client.connect((SERVER_IPV4, 7)).expect("a route");

    for length in (1..8972).step_by(57).chain([8972]) {
        let sent: Vec<u8> = (0..=250).cycle().take(length).collect();
        client.send(&sent).expect("it is sent");
        assert_eq!(receives(&socket, SOON).expect("it arrives"), sent);
    }

    stop(engine, 159);
}

fn packet_sockets_see_each_frame_once(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let mut tap = PacketSocket::open(pair.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let (from, to) = (pair.client_interface().mac(), pair.server_interface().mac());
    // Nobody has the port, and nobody is to be told.
    let nobody = MacAddress([2, 0, 0, 0x99, 0, 1]);
    let frames: Vec<_> = (0..200_u32)
        .map(|number| {
            let to = if number % 2 == 0 { to } else { nobody };
            let flow = datagram(from, to, Ipv4Addr::new(10, 77, 0, 9), 9);
            flow.frame(&number.to_ne_bytes())
        })
        .collect();

    sender.send_batch(&frames).expect("the link takes them");

    let seen = tap.receive_count(frames.len(), SOON).expect("it lives");
    assert_eq!(seen, frames);
    stop(engine, 200);
    assert_eq!(
        tap.receive(Duration::from_millis(50)).expect("it lives"),
        None
    );
}
