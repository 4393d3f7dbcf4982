//! tcpdump's words: where they mean the same to libpcap and to Wharf, and random
//! text made of them, as people write it.

use fastrand::Rng;
use wharf::{Expression, ParseError, Primitive};

use crate::look::Look;
use crate::pools::{self, once_in, one};
use crate::translate::looks_behind_ipv6;

/// Whether the words of the expression mean the same to both on a frame like
/// this; README.md lists where they do not.
#[must_use]
pub fn mean_the_same(expression: &Expression, look: &Look) -> bool {
    let addresses = asks(expression, &|one| matches!(one, Primitive::Address(..)));
    let flags = asks(expression, &|one| matches!(one, Primitive::TcpFlags(_)));
    let arp = matches!(look.ether_type, Some(0x0806 | 0x8035));
    let ip6 = look.ether_type == Some(0x86dd);
    // `host` and `net` look into ARP, and `tcp[...]` does not into IPv6.
    !(addresses && arp || flags && ip6 || look.extension_headers && looks_behind_ipv6(expression))
}

/// Whether a text was refused because no frame can be what it says.
#[must_use]
pub fn is_contradiction(error: &ParseError) -> bool {
    let message = error.to_string();
    message.contains("exclude each other") || message.contains("is never true")
}

fn asks(expression: &Expression, what: &impl Fn(&Primitive) -> bool) -> bool {
    match expression {
        Expression::Primitive(primitive) => what(primitive),
        Expression::Not(inner) => asks(inner, what),
        Expression::And(members) | Expression::Or(members) => {
            members.iter().any(|member| asks(member, what))
        }
    }
}

/// An expression as text: `and` and `or` mixed without parentheses, qualifiers
/// left out where the one before has them, every spelling of the operators.
pub fn text(rng: &mut Rng) -> String {
    text_of(rng, 2)
}

fn text_of(rng: &mut Rng, depth: u8) -> String {
    let mut text = term(rng, depth);
    for _ in 0..rng.u8(0..4) {
        text += conjunction(rng);
        text += &term(rng, depth);
    }
    text
}

fn term(rng: &mut Rng, depth: u8) -> String {
    let not = if once_in(rng, 4) {
        one(rng, &["not ", "! ", "!"])
    } else {
        ""
    };
    if depth > 0 && once_in(rng, 5) {
        format!("{not}({})", text_of(rng, depth - 1))
    } else {
        format!("{not}{}", primitive(rng))
    }
}

fn conjunction(rng: &mut Rng) -> &'static str {
    one(rng, &[" and ", " or ", " && ", " || "])
}

fn primitive(rng: &mut Rng) -> String {
    let side = one(
        rng,
        &["", "", "src ", "dst ", "src or dst ", "src and dst "],
    );
    match rng.u8(0..11) {
        0 | 1 => one(rng, &WORDS).to_owned(),
        2..5 => {
            let protocol = one(rng, &["", "", "tcp ", "udp ", "sctp "]);
            let mut values = values(rng, &|rng| one(rng, &pools::PORTS).to_string());
            let mut word = "port";
            if once_in(rng, 4) {
                word = "portrange";
                values = one(rng, &["22-80", "0-65535", "4433-4433 or 22-53"]).to_owned();
            }
            format!("{protocol}{side}{word} {values}")
        }
        5..7 => {
            // A direction alone takes an address as `host` does.
            let word = if side.is_empty() {
                "host "
            } else {
                one(rng, &["", "host "])
            };
            format!("{side}{word}{}", values(rng, &address))
        }
        7 => format!("{side}net {}", values(rng, &network)),
        8 => {
            let version = one(rng, &["", "ip ", "ip6 "]);
            format!("{version}proto {}", one(rng, &pools::PROTOCOLS))
        }
        9 => format!("arp {side}host {}", one(rng, &pools::V4)),
        _ => {
            let [a, b, c, d, e, f] = one(rng, &pools::MACS);
            let side = one(rng, &["dst ", "src ", "host ", "src or dst "]);
            format!("ether {side}{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
        }
    }
}

/// One value, or some that share the qualifiers of the first.
fn values(rng: &mut Rng, value: &impl Fn(&mut Rng) -> String) -> String {
    let mut text = value(rng);
    while once_in(rng, 3) {
        text += conjunction(rng);
        text += &value(rng);
    }
    text
}

fn address(rng: &mut Rng) -> String {
    if rng.bool() {
        one(rng, &pools::V4).to_string()
    } else {
        one(rng, &pools::V6).to_string()
    }
}

fn network(rng: &mut Rng) -> String {
    one(rng, &NETWORKS).to_owned()
}

const NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "10.0.0.0/24",
    "0.0.0.0/0",
    "172.16.5.9/32",
    "224.0.0.0/4",
    "fd01::/48",
    "fe80::/10",
    "::/0",
];

const WORDS: [&str; 29] = [
    "broadcast",
    "multicast",
    "ether broadcast",
    "ether multicast",
    "ip multicast",
    "ip6 multicast",
    "igmp",
    "esp",
    "ah",
    "pim",
    "vrrp",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "ether proto 0x0800",
    "ether proto 0x88cc",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "tcp[13] & 0x12 == 0x12",
    "icmp[icmptype] = icmp-echo",
    "icmp[0] = 3",
    "icmp6[icmp6type] == icmp6-neighborsolicit",
    "icmp6[0] = 128",
];
