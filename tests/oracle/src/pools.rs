//! The values that frames and expressions are made of: few, so that they meet.

use std::net::{Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

/// IPv4 addresses, some sharing prefixes.
pub const V4: [Ipv4Addr; 8] = [
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv4Addr::new(10, 0, 0, 2),
    Ipv4Addr::new(10, 0, 1, 1),
    Ipv4Addr::new(10, 128, 0, 1),
    Ipv4Addr::new(172, 16, 5, 9),
    Ipv4Addr::new(192, 168, 1, 1),
    Ipv4Addr::new(224, 0, 0, 251),
    Ipv4Addr::new(255, 255, 255, 255),
];

/// IPv6 addresses, some sharing prefixes.
pub const V6: [Ipv6Addr; 7] = [
    Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xfd01, 0, 0, 1, 0, 0, 0, 1),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0xff, 0xfe00, 0, 0xa),
    Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 5),
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::LOCALHOST,
];

/// MAC addresses.
pub const MACS: [[u8; 6]; 4] = [
    [0x02, 0, 0, 0, 0, 0x0a],
    [0x02, 0, 0, 0, 0, 0x0b],
    [0x33, 0x33, 0, 0, 0, 1],
    [0xff; 6],
];

/// Ports, at both ends of their range too.
pub const PORTS: [u16; 10] = [0, 22, 53, 80, 443, 4433, 5000, 5001, 40000, 65535];

/// VLAN ids, at both ends of their range too.
pub const VLANS: [u16; 5] = [0, 1, 100, 200, 4095];

/// Tag protocol identifiers: 802.1Q, 802.1ad and the older 0x9100.
pub const TPIDS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// EtherTypes besides IP's: ARP, RARP, LLDP, PPPoE, MPLS, 802.1X, 0xffff, the
/// smallest there is.
pub const ETHER_TYPES: [u16; 8] = [
    0x0806, 0x8035, 0x88cc, 0x8864, 0x8847, 0x888e, 0xffff, 0x0600,
];

/// Upper-layer protocols, none of them an extension header of IPv6.
pub const PROTOCOLS: [u8; 11] = [6, 17, 132, 1, 58, 50, 59, 89, 47, 253, 255];

/// Extension headers of IPv6 that have others behind them.
pub const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

/// TCP flags worth meeting.
pub const FLAGS: [u8; 9] = [0, 0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0xc2, 0xff];

/// ICMP and ICMPv6 types.
pub const ICMP_TYPES: [u8; 5] = [0, 3, 8, 128, 135];

/// One of them.
pub fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    *rng.choice(of).expect("the pools have members")
}

/// True once in `n` times.
pub fn once_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(0..n) == 0
}
