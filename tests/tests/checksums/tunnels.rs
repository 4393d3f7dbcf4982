//! Tunnels between the two hosts of a wire, whose inner packets are undone.

use std::net::IpAddr;
use std::os::fd::AsFd;

use wharf::Attach;
use wharf_testbed::{Host, Wire, set_destination_options};
use wharf_tests::{Forward, SOON, connect, in_both_modes, listen};

use super::{assert_traffic_flows, ip, network, try_ip, wire};

in_both_modes! {
    plain_traffic_flows,
    tunnels_over_ipv4_carry_tcp_and_udp,
    tunnels_over_ipv6_carry_tcp_and_udp,
    tcp_behind_extension_headers_flows,
}

const ENDS_IPV4: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

fn ends_ipv6() -> [String; 2] {
    [
        wharf_testbed::CLIENT_IPV6.to_string(),
        wharf_testbed::SERVER_IPV6.to_string(),
    ]
}

fn plain_traffic_flows(attach: Attach) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);

    for address in [
        IpAddr::from(wharf_testbed::SERVER_IPV4),
        wharf_testbed::SERVER_IPV6.into(),
    ] {
        assert_traffic_flows("plain", wire.client(), wire.server(), address);
    }

    forward.stop().assert_conserved();
}

fn tunnels_over_ipv4_carry_tcp_and_udp(attach: Attach) {
    let ends = ENDS_IPV4.map(str::to_owned);
    assert_tunnels_carry(
        attach,
        &ends,
        &[
            ("VXLAN", "vxlan id 42 dstport 4789 noudpcsum", true),
            (
                "VXLAN with a checksum",
                "vxlan id 42 dstport 4789 udpcsum",
                true,
            ),
            ("VXLAN on another port", "vxlan id 42 dstport 8472", true),
            ("VXLAN-GPE", "vxlan id 42 dstport 4790 gpe external", false),
            ("Geneve", "geneve id 42", true),
            ("GRE", "gre", false),
            (
                "GRE with key, checksum and sequence",
                "gre key 5 csum seq",
                false,
            ),
            ("Ethernet in GRE", "gretap csum", true),
            ("IP in IP", "ipip", false),
            ("6in4", "sit", false),
        ],
    );
}

fn tunnels_over_ipv6_carry_tcp_and_udp(attach: Attach) {
    assert_tunnels_carry(
        attach,
        &ends_ipv6(),
        &[
            ("VXLAN", "vxlan id 42 dstport 4789", true),
            (
                "VXLAN without a checksum",
                "vxlan id 42 dstport 4789 udp6zerocsumtx udp6zerocsumrx",
                true,
            ),
            ("Geneve", "geneve id 42", true),
            ("GRE", "ip6gre csum", false),
            ("Ethernet in GRE", "ip6gretap csum", true),
            ("IP in IP", "ip6tnl mode any", false),
        ],
    );
}

/// The tunnels that this kernel has carry TCP and UDP over IPv4 and over IPv6.
fn assert_tunnels_carry(attach: Attach, ends: &[String; 2], tunnels: &[(&str, &str, bool)]) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);
    let mut carried = 0;

    for (what, kind, is_ethernet) in tunnels {
        if !make_tunnel(&wire, ends, kind, *is_ethernet) {
            println!("{what}: this kernel cannot make it; tried as frames only");
            continue;
        }
        carried += 1;
        let over_ipv4 = "172.31.0.2".parse().expect("an address");
        assert_traffic_flows(what, wire.client(), wire.server(), over_ipv4);
        if *is_ethernet {
            let over_ipv6 = "fd31::2".parse().expect("an address");
            assert_traffic_flows(what, wire.client(), wire.server(), over_ipv6);
        }
        // No end sends to one that is gone, whose host would count it.
        for command in ["link set dev tunnel down", "link delete tunnel"] {
            ip(wire.client(), command);
            ip(wire.server(), command);
        }
    }

    assert!(carried > 0, "not even VXLAN");
    let report = forward.stop();
    report.assert_conserved();
}

/// Whether the kernel could make it.
fn make_tunnel(wire: &Wire, ends: &[String; 2], kind: &str, is_ethernet: bool) -> bool {
    let hosts = [(wire.client(), 0), (wire.server(), 1)];
    for (host, end) in hosts {
        let (near, far) = (&ends[end], &ends[1 - end]);
        let (name, options) = kind.split_once(' ').unwrap_or((kind, ""));
        let local = if name == "geneve" {
            String::new()
        } else {
            format!("local {near}")
        };
        let device = if name == "vxlan" { "dev eth0" } else { "" };
        let made = try_ip(
            host,
            &format!("link add tunnel type {name} {options} {local} remote {far} {device}"),
        );
        if !made {
            // The other end may be there.
            try_ip(wire.client(), "link delete tunnel");
            return false;
        }
    }
    for (host, end) in hosts {
        ip(host, "link set dev tunnel mtu 1280 up");
        let number = end + 1;
        ip(
            host,
            &format!("address add 172.31.0.{number}/24 dev tunnel"),
        );
        if is_ethernet {
            ip(
                host,
                &format!("address add fd31::{number}/64 dev tunnel nodad"),
            );
        }
    }
    true
}

/// The headers are those of a socket with destination options.
fn tcp_behind_extension_headers_flows(attach: Attach) {
    let Some(wire) = wire() else { return };
    let forward = Forward::start(&wire, attach, &[]);
    let listener = listen(wire.server(), wharf_testbed::SERVER_IPV6, 7000);
    let connection = connect(wire.client(), &listener, SOON);
    let mut connection = connection.expect("plain TCP connects");

    set_destination_options(connection.near().as_fd()).expect("the kernel takes them");

    for _ in 0..5 {
        assert!(connection.works(SOON), "TCP is silent");
    }
    assert_no_errors(wire.server());
    forward.stop().assert_conserved();
}

fn assert_no_errors(host: &Host) {
    assert_eq!(network::checksum_errors(host), [], "{}", host.name());
}
