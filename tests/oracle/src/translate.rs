//! Expressions as text for libpcap, written from the tree and not by `Display`.
//!
//! What ours means and tcpdump's word for it does not is spelled out: `tcp[...]`
//! is IPv4 only there, `host` and `net` look into ARP, `portrange` and `port`
//! do not walk extension headers, and `vlan` moves where the rest looks.

use std::fmt::Write;

use wharf::{Expression, IcmpVersion, Prefix, Primitive, Side, TcpFlags, VlanIds, VlanTag};

use crate::pools::EXTENSIONS;

/// Holds for every frame.
const TRUE: &str = "len >= 0";
/// Holds for none.
const FALSE: &str = "len < 0";

/// What the twin of a frame does not have.
#[derive(Clone, Copy, Debug)]
pub enum Beside {
    /// A VLAN tag, with one of these ids.
    Tag(VlanTag, Option<VlanIds>),
    /// An IPv6 extension header.
    Extension(u8),
}

/// For the twin of a frame, with what is known of the frame itself where the question
/// is about what the twin does not have.
pub fn for_twin(expression: &Expression, on_frame: &mut impl FnMut(Beside) -> bool) -> String {
    write_tree(expression, &mut |primitive| match primitive {
        Primitive::Vlan(which, ids) => {
            let holds = on_frame(Beside::Tag(*which, *ids));
            if holds { TRUE } else { FALSE }.to_owned()
        }
        Primitive::Protocol(number) if EXTENSIONS.contains(number) => {
            if on_frame(Beside::Extension(*number)) {
                TRUE.to_owned()
            } else {
                protocol(*number, "proto")
            }
        }
        Primitive::Protocol(number) => protocol(*number, "proto"),
        other => behind_tags(other),
    })
}

/// For frames as they are, tags and all. libpcap's own `vlan` takes it behind
/// the tags, and `protochain` behind the extension headers to the protocol.
#[must_use]
pub fn for_frame(expression: &Expression) -> String {
    let text = write_tree(expression, &mut |primitive| match primitive {
        Primitive::Vlan(which, ids) => tag_by_bytes(*which, *ids),
        Primitive::Protocol(number) => protocol(*number, "protochain"),
        other => behind_tags(other),
    });
    let (one, two) = (tag_at(12), tag_at(16));
    // `vlan` counts: the second takes it behind the second tag.
    format!(
        "(not {one} and ({text})) or ({one} and not {two} and vlan and ({text})) \
         or ({one} and {two} and vlan and ({text}))"
    )
}

/// libpcap's own question for a tag, for the frame as it is.
#[must_use]
pub fn tag(which: VlanTag, ids: Option<VlanIds>) -> String {
    let word = match which {
        VlanTag::Outer => "vlan",
        VlanTag::Inner => "vlan and vlan",
    };
    match ids {
        None => word.to_owned(),
        Some(ids) if ids.first() == ids.last() => format!("{word} {}", ids.first().get()),
        // tcpdump has no word for a range.
        Some(_) => tag_by_bytes(which, ids),
    }
}

/// Whether it asks what libpcap only finds right behind the IPv6 header.
#[must_use]
pub fn looks_behind_ipv6(expression: &Expression) -> bool {
    match expression {
        Expression::Primitive(primitive) => matches!(
            primitive,
            Primitive::Protocol(_)
                | Primitive::LaterFragment
                | Primitive::Port(..)
                | Primitive::TcpFlags(_)
                | Primitive::IcmpType(..)
        ),
        Expression::Not(inner) => looks_behind_ipv6(inner),
        Expression::And(members) | Expression::Or(members) => members.iter().any(looks_behind_ipv6),
    }
}

fn write_tree(expression: &Expression, leaf: &mut impl FnMut(&Primitive) -> String) -> String {
    let (members, word) = match expression {
        Expression::Primitive(primitive) => return format!("({})", leaf(primitive)),
        Expression::Not(inner) => return format!("(not {})", write_tree(inner, leaf)),
        Expression::And(members) => (members, " and "),
        Expression::Or(members) => (members, " or "),
    };
    let texts: Vec<String> = members.iter().map(|one| write_tree(one, leaf)).collect();
    format!("({})", texts.join(word))
}

fn behind_tags(primitive: &Primitive) -> String {
    match primitive {
        Primitive::EtherType(number) => format!("ether proto {number:#06x}"),
        Primitive::Ether(side, mac) => {
            let mut text = format!("ether {} ", word(*side));
            for (index, byte) in mac.0.iter().enumerate() {
                let colon = if index == 0 { "" } else { ":" };
                write!(text, "{colon}{byte:02x}").expect("strings grow");
            }
            text
        }
        Primitive::EtherMulticast => "ether multicast".to_owned(),
        Primitive::Address(side, prefix) => {
            let version = if prefix.address().is_ipv4() {
                "ip"
            } else {
                "ip6"
            };
            address(version, *side, *prefix)
        }
        Primitive::ArpAddress(side, prefix) => address("arp", *side, *prefix),
        Primitive::LaterFragment => {
            "ip[6:2] & 0x1fff != 0 or (ip6[6] = 44 and ip6[42:2] & 0xfff8 != 0)".to_owned()
        }
        Primitive::Port(side, ports) if ports.first() == ports.last() => {
            format!("{} port {}", word(*side), ports.first())
        }
        Primitive::Port(side, ports) => {
            let side = word(*side);
            format!("{side} portrange {}-{}", ports.first(), ports.last())
        }
        Primitive::TcpFlags(flags) => {
            let test = match flags {
                TcpFlags::Any(mask) => format!("& {mask} != 0"),
                TcpFlags::Equal { mask, value } => format!("& {mask} = {value}"),
                other => panic!("{other:?} has no text of its own: add it here"),
            };
            format!("tcp[13] {test} or (ip6[6] = 6 and ip6[53] {test})")
        }
        Primitive::IcmpType(IcmpVersion::V4, number) => format!("icmp[0] = {number}"),
        Primitive::IcmpType(IcmpVersion::V6, number) => format!("icmp6[0] = {number}"),
        other => panic!("{other:?} has no text of its own: add it here"),
    }
}

fn protocol(number: u8, ip6_word: &str) -> String {
    if EXTENSIONS.contains(&number) {
        // In IPv6 it is a header on the way, which such frames do not have.
        format!("ip proto {number}")
    } else {
        format!("ip proto {number} or ip6 {ip6_word} {number}")
    }
}

fn address(version: &str, side: Side, prefix: Prefix) -> String {
    let address = prefix.address();
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let side = word(side);
    if prefix.length() == whole {
        format!("{version} {side} host {address}")
    } else {
        format!("{version} {side} net {address}/{}", prefix.length())
    }
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "src",
        Side::Destination => "dst",
    }
}

fn tag_at(offset: u8) -> String {
    format!(
        "(ether[{offset}:2] = 0x8100 or ether[{offset}:2] = 0x88a8 or ether[{offset}:2] = 0x9100)"
    )
}

fn tag_by_bytes(which: VlanTag, ids: Option<VlanIds>) -> String {
    let (tags, control) = match which {
        VlanTag::Outer => (tag_at(12), 14),
        VlanTag::Inner => (format!("{} and {}", tag_at(12), tag_at(16)), 18),
    };
    match ids.map(|ids| (ids.first().get(), ids.last().get())) {
        Some((first, last)) => format!(
            "{tags} and ether[{control}:2] & 0xfff >= {first} and ether[{control}:2] & 0xfff <= {last}"
        ),
        None => tags,
    }
}
