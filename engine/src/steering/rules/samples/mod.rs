//! Random rules and frames for property tests. Values come from small sets, so
//! that rules and frames meet, and frames are broken in all the ways that a
//! network breaks them.

mod frames;

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) use self::frames::frame;
use super::literal::Literal;
use super::{
    Action, Expression, Flow, IcmpVersion, MacAddress, Ports, Prefix, Primitive, Rule, RuleSet,
    Side, TcpFlags, VlanId, VlanIds, VlanTag,
};
use crate::kernel::XskIndex;

/// Trees as the builder makes them, contradictions among them.
pub(crate) fn expression() -> BoxedStrategy<Expression> {
    primitive()
        .prop_map(Expression::from)
        .prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| !inner),
                vec(inner.clone(), 2..4).prop_map(|members| joined(members, Expression::and)),
                vec(inner.clone(), 2..4).prop_map(|members| joined(members, Expression::or)),
                shorthand(),
            ]
        })
        .boxed()
}

pub(crate) fn rule_set() -> BoxedStrategy<RuleSet> {
    let rule =
        (action(), expression()).prop_map(|(action, expression)| Rule { action, expression });
    (vec(rule, 0..4), action(), option::of(action()))
        .prop_map(|(rules, default, undecided)| RuleSet {
            rules,
            default,
            undecided,
        })
        .boxed()
}

pub(crate) fn literal() -> BoxedStrategy<Literal> {
    (primitive(), any::<bool>(), 0..9_usize)
        .prop_map(|(primitive, positive, leaf)| Literal {
            primitive,
            positive,
            leaf,
        })
        .boxed()
}

pub(crate) fn action() -> BoxedStrategy<Action> {
    prop_oneof![
        any::<u8>().prop_map(|index| Action::Redirect(XskIndex(index))),
        Just(Action::REDIRECT),
        Just(Action::Pass),
        Just(Action::Drop),
    ]
    .boxed()
}

pub(crate) fn flow() -> BoxedStrategy<Flow> {
    let ends = prop_oneof![
        (any_ipv4(), any_ipv4()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        (any_ipv6(), any_ipv6()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ];
    (select(&[6_u8, 17, 132][..]), ends, port(), port())
        .prop_map(|(protocol, (source, destination), from, to)| Flow {
            protocol,
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        })
        .boxed()
}

/// Pairs that Display writes in one.
fn shorthand() -> BoxedStrategy<Expression> {
    let of_both = |pair: fn(Expression, Expression) -> Expression| {
        sided().prop_map(move |asked| pair(on(Side::Source, asked), on(Side::Destination, asked)))
    };
    let qualified = (select(&[6_u8, 17, 132][..]), sided())
        .prop_map(|(protocol, asked)| Expression::from(Primitive::Protocol(protocol)) & asked);
    let version =
        (any::<bool>(), select(&[1_u8, 2, 6, 9, 47, 58, 112][..])).prop_map(|(v4, protocol)| {
            let ip = if v4 {
                Expression::ip()
            } else {
                Expression::ip6()
            };
            ip & Primitive::Protocol(protocol)
        });
    let both_qualified = (select(&[6_u8, 17, 132][..]), of_both(Expression::or))
        .prop_map(|(protocol, both)| Expression::from(Primitive::Protocol(protocol)) & both);
    prop_oneof![
        of_both(Expression::or),
        of_both(Expression::and),
        qualified,
        version,
        both_qualified,
        flow().prop_map(Expression::from),
    ]
    .boxed()
}

/// A question that can be asked of either side.
fn sided() -> BoxedStrategy<Primitive> {
    prop_oneof![
        (side(), prefix()).prop_map(|(side, prefix)| Primitive::Address(side, prefix)),
        (side(), ipv4_prefix()).prop_map(|(side, prefix)| Primitive::ArpAddress(side, prefix)),
        (side(), mac()).prop_map(|(side, mac)| Primitive::Ether(side, MacAddress(mac))),
        (side(), ports()).prop_map(|(side, ports)| Primitive::Port(side, ports)),
    ]
    .boxed()
}

fn on(side: Side, question: Primitive) -> Expression {
    Expression::from(match question {
        Primitive::Address(_, prefix) => Primitive::Address(side, prefix),
        Primitive::ArpAddress(_, prefix) => Primitive::ArpAddress(side, prefix),
        Primitive::Ether(_, mac) => Primitive::Ether(side, mac),
        Primitive::Port(_, ports) => Primitive::Port(side, ports),
        other => other,
    })
}

fn joined(members: Vec<Expression>, join: fn(Expression, Expression) -> Expression) -> Expression {
    members.into_iter().reduce(join).expect("two or more")
}

fn primitive() -> BoxedStrategy<Primitive> {
    let number = prop_oneof![
        3 => select(&[1_u8, 6, 17, 58][..]),
        2 => select(&wharf_ebpf::EXTENSIONS[..]),
        1 => any::<u8>()
    ];
    let tag = prop_oneof![Just(VlanTag::Outer), Just(VlanTag::Inner)];
    let version = prop_oneof![Just(IcmpVersion::V4), Just(IcmpVersion::V6)];
    prop_oneof![
        ether_type().prop_map(Primitive::EtherType),
        (tag, option::of(vlan_ids())).prop_map(|(tag, id)| Primitive::Vlan(tag, id)),
        (side(), mac()).prop_map(|(side, mac)| Primitive::Ether(side, MacAddress(mac))),
        Just(Primitive::EtherMulticast),
        frame_bytes().prop_map(Primitive::AtMostBytes),
        frame_bytes().prop_map(Primitive::AtLeastBytes),
        (side(), ipv4_prefix()).prop_map(|(side, prefix)| Primitive::ArpAddress(side, prefix)),
        (side(), prefix()).prop_map(|(side, prefix)| Primitive::Address(side, prefix)),
        number.prop_map(Primitive::Protocol),
        Just(Primitive::LaterFragment),
        (side(), ports()).prop_map(|(side, ports)| Primitive::Port(side, ports)),
        flags().prop_map(Primitive::TcpFlags),
        (version, select(&[0_u8, 8, 128, 135][..]))
            .prop_map(|(version, icmp_type)| Primitive::IcmpType(version, icmp_type)),
    ]
    .boxed()
}

fn vlan_ids() -> BoxedStrategy<VlanIds> {
    let id = |id| VlanId::new(id).expect("12 bits");
    (vlan_id(), vlan_id(), any::<bool>())
        .prop_map(move |(a, b, is_range)| {
            let b = if is_range { b } else { a };
            VlanIds::range(id(a.min(b)), id(a.max(b))).expect("in order")
        })
        .boxed()
}

/// The lengths of frames as [`frame`] makes them, and others.
fn frame_bytes() -> BoxedStrategy<u16> {
    prop_oneof![4 => 14..120_u16, 1 => 0..65535_u16].boxed()
}

fn flags() -> BoxedStrategy<TcpFlags> {
    let bits = || prop_oneof![select(&[0_u8, 1, 2, 16, 18, 255][..]), any::<u8>()];
    prop_oneof![
        bits().prop_map(TcpFlags::Any),
        (bits(), bits()).prop_map(|(mask, value)| TcpFlags::Equal {
            mask,
            value: value & mask
        }),
        (bits(), bits()).prop_map(|(mask, value)| TcpFlags::Equal { mask, value }),
    ]
    .boxed()
}

fn side() -> BoxedStrategy<Side> {
    prop_oneof![Just(Side::Source), Just(Side::Destination)].boxed()
}

fn ports() -> BoxedStrategy<Ports> {
    (port(), port())
        .prop_map(|(a, b)| Ports::range(a.min(b), a.max(b)).expect("in order"))
        .boxed()
}

pub(crate) fn prefix() -> BoxedStrategy<Prefix> {
    prop_oneof![
        ipv4_prefix(),
        (any_ipv6(), prefix_length(128)).prop_map(|(address, length)| {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let bits = u128::from_be_bytes(address) & mask;
            Prefix::new(IpAddr::from(bits.to_be_bytes()), length).expect("masked")
        }),
    ]
    .boxed()
}

fn ipv4_prefix() -> BoxedStrategy<Prefix> {
    (any_ipv4(), prefix_length(32))
        .prop_map(|(address, length)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let bits = u32::from_be_bytes(address) & mask;
            Prefix::new(IpAddr::from(bits.to_be_bytes()), length).expect("masked")
        })
        .boxed()
}

fn prefix_length(most: u8) -> BoxedStrategy<u8> {
    prop_oneof![Just(most), Just(most - 1), Just(8), Just(0), 0..=most].boxed()
}

fn ether_type() -> BoxedStrategy<u16> {
    prop_oneof![
        4 => select(&[0x0800_u16, 0x86dd, 0x0806, 0x8035][..]),
        2 => select(&[0x8100_u16, 0x88a8, 0x9100, 0x88cc, 1535, 1536, 0][..]),
        1 => any::<u16>(),
    ]
    .boxed()
}

fn vlan_id() -> BoxedStrategy<u16> {
    prop_oneof![3 => 1..4_u16, 1 => 0..4096_u16].boxed()
}

fn mac() -> BoxedStrategy<[u8; 6]> {
    prop_oneof![
        Just([2, 0, 0, 0, 0, 1]),
        Just([2, 0, 0, 0, 0, 9]),
        Just([0xff; 6]),
        any::<[u8; 6]>()
    ]
    .boxed()
}

fn port() -> BoxedStrategy<u16> {
    prop_oneof![4 => select(&[1_u16, 22, 53, 80][..]), 1 => any::<u16>()].boxed()
}

fn any_ipv4() -> BoxedStrategy<[u8; 4]> {
    prop_oneof![
        4 => (1..4_u8).prop_map(|host| [10, 0, 0, host]),
        1 => any::<[u8; 4]>()
    ]
    .boxed()
}

fn any_ipv6() -> BoxedStrategy<[u8; 16]> {
    prop_oneof![
        4 => (1..4_u8).prop_map(|host| {
            let mut address = [0; 16];
            (address[0], address[15]) = (0xfd, host);
            address
        }),
        1 => any::<[u8; 16]>()
    ]
    .boxed()
}
