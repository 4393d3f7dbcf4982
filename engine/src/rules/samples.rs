//! Random rules and frames for property tests. Values come from small sets, so
//! that rules and frames meet, and frames are broken in all the ways that a
//! network breaks them.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::clause::Literal;
use super::{
    Action, Expression, IcmpVersion, MacAddress, Ports, Prefix, Primitive, Rule, RuleSet, Side,
    TcpFlags, VlanId, VlanTag, XskIndex,
};

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
    (vec(rule, 0..4), action())
        .prop_map(|(rules, default)| RuleSet { rules, default })
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

/// Pairs that Display writes in one.
fn shorthand() -> BoxedStrategy<Expression> {
    let of_both = |pair: fn(Expression, Expression) -> Expression| {
        sided().prop_map(move |asked| pair(on(Side::Source, asked), on(Side::Destination, asked)))
    };
    let qualified = (select(&[6_u8, 17, 132][..]), sided())
        .prop_map(|(protocol, asked)| Expression::from(Primitive::Protocol(protocol)) & asked);
    let version = (any::<bool>(), select(&[1_u8, 6, 47, 58][..])).prop_map(|(v4, protocol)| {
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
        both_qualified
    ]
    .boxed()
}

/// A question that can be asked of either side.
fn sided() -> BoxedStrategy<Primitive> {
    prop_oneof![
        (side(), prefix()).prop_map(|(side, prefix)| Primitive::Address(side, prefix)),
        (side(), ports()).prop_map(|(side, ports)| Primitive::Port(side, ports)),
    ]
    .boxed()
}

fn on(side: Side, question: Primitive) -> Expression {
    Expression::from(match question {
        Primitive::Address(_, prefix) => Primitive::Address(side, prefix),
        Primitive::Port(_, ports) => Primitive::Port(side, ports),
        other => other,
    })
}

fn joined(members: Vec<Expression>, join: fn(Expression, Expression) -> Expression) -> Expression {
    members.into_iter().reduce(join).expect("two or more")
}

fn primitive() -> BoxedStrategy<Primitive> {
    let number = prop_oneof![Just(0), Just(1), Just(6), Just(17), Just(58), any::<u8>()];
    let tag = prop_oneof![Just(VlanTag::Outer), Just(VlanTag::Inner)];
    let version = prop_oneof![Just(IcmpVersion::V4), Just(IcmpVersion::V6)];
    prop_oneof![
        ether_type().prop_map(Primitive::EtherType),
        (tag, option::of(vlan_id()))
            .prop_map(|(tag, id)| Primitive::Vlan(tag, id.and_then(|id| VlanId::new(id).ok()))),
        mac().prop_map(|mac| Primitive::EtherDestination(MacAddress(mac))),
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

fn prefix() -> BoxedStrategy<Prefix> {
    let length = |most: u8| prop_oneof![Just(most), Just(most - 1), Just(8), Just(0), 0..=most];
    prop_oneof![
        (any_ipv4(), length(32)).prop_map(|(address, length)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let bits = u32::from_be_bytes(address) & mask;
            Prefix::new(IpAddr::from(bits.to_be_bytes()), length).expect("masked")
        }),
        (any_ipv6(), length(128)).prop_map(|(address, length)| {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let bits = u128::from_be_bytes(address) & mask;
            Prefix::new(IpAddr::from(bits.to_be_bytes()), length).expect("masked")
        }),
    ]
    .boxed()
}

/// Frames of all kinds, whole and broken.
pub(crate) fn frame() -> BoxedStrategy<Vec<u8>> {
    let network = prop_oneof![
        6 => ipv4(),
        6 => ipv6(),
        1 => vec(any::<u8>(), 28..40).prop_map(|arp| (0x0806, arp)),
        1 => (ether_type(), vec(any::<u8>(), 0..40)),
    ];
    let tag = (
        select(&[0x8100_u16, 0x88a8, 0x9100][..]),
        vlan_id(),
        0..16_u16,
    );
    let tags = prop_oneof![3 => Just(Vec::new()).boxed(), 2 => vec(tag, 1..4).boxed()];
    let corruption = prop_oneof![
        3 => Just(Vec::new()).boxed(),
        1 => vec((any::<prop::sample::Index>(), any::<u8>()), 1..3).boxed(),
    ];
    let cut = option::weighted(0.25, any::<prop::sample::Index>());
    (mac(), tags, network, 0..8_usize, corruption, cut)
        .prop_map(
            |(mac, tags, (ether_type, packet), padding, corruption, cut)| {
                let mut frame = mac.to_vec();
                frame.extend([2, 0, 0, 0, 0, 9]);
                for (tpid, id, priority) in tags {
                    frame.extend(tpid.to_be_bytes());
                    frame.extend((priority << 12 | id).to_be_bytes());
                }
                frame.extend(ether_type.to_be_bytes());
                frame.extend(packet);
                frame.resize(frame.len() + padding, 0);
                for (at, value) in corruption {
                    let at = at.index(frame.len());
                    frame[at] = value;
                }
                if let Some(cut) = cut {
                    frame.truncate(cut.index(frame.len() + 1));
                }
                frame
            },
        )
        .boxed()
}

fn ipv4() -> BoxedStrategy<(u16, Vec<u8>)> {
    let options = prop_oneof![3 => Just(0_u8), 1 => 1..=10_u8];
    let offset = prop_oneof![4 => Just(0_u16), 1 => 1..0x2000_u16];
    // Wrong versions, header lengths and total lengths, now and then.
    let first = option::weighted(0.05, any::<u8>());
    let total = option::weighted(0.1, 0..60_u16);
    (
        options,
        (offset, 0..8_u16),
        (any_ipv4(), any_ipv4()),
        upper(),
        (first, total),
    )
        .prop_map(
            |(
                options,
                (offset, bits),
                (source, destination),
                (protocol, upper),
                (first, total),
            )| {
                let mut packet = vec![first.unwrap_or(0x45 + options), 0];
                let length = 20 + usize::from(options) * 4 + upper.len();
                let length = u16::try_from(length).expect("short");
                packet.extend(total.unwrap_or(length).to_be_bytes());
                packet.extend([0, 0]);
                packet.extend((bits << 13 | offset).to_be_bytes());
                packet.extend([64, protocol, 0, 0]);
                packet.extend(source);
                packet.extend(destination);
                packet.resize(20 + usize::from(options) * 4, 1);
                packet.extend(upper);
                (0x0800, packet)
            },
        )
        .boxed()
}

fn ipv6() -> BoxedStrategy<(u16, Vec<u8>)> {
    let offset = prop_oneof![2 => Just(0_u16), 1 => 1..0x2000_u16];
    let extension = (
        select(&[0_u8, 43, 44, 51, 60][..]),
        0..3_u8,
        offset,
        0..8_u16,
    );
    let extensions = prop_oneof![Just(Vec::new()).boxed(), vec(extension, 0..6).boxed()];
    let first = option::weighted(0.05, any::<u8>());
    let payload = option::weighted(0.1, 0..60_u16);
    (
        extensions,
        (any_ipv6(), any_ipv6()),
        upper(),
        (first, payload),
    )
        .prop_map(
            |(extensions, (source, destination), (protocol, upper), (first, payload))| {
                let mut numbers: Vec<u8> = extensions.iter().map(|extension| extension.0).collect();
                numbers.push(protocol);
                let mut behind = Vec::new();
                for (at, (number, length, offset, bits)) in extensions.into_iter().enumerate() {
                    let units = usize::from(length);
                    let (bytes, length) = match number {
                        44 => (8, 0),
                        51 => ((units + 2) * 4, length),
                        _ => ((units + 1) * 8, length),
                    };
                    let start = behind.len();
                    behind.extend([numbers[at + 1], length]);
                    behind.extend((offset << 3 | bits).to_be_bytes());
                    behind.resize(start + bytes, 0);
                }
                behind.extend(upper);
                let mut packet = vec![first.unwrap_or(0x60), 0, 0, 0];
                let length = u16::try_from(behind.len()).expect("short");
                packet.extend(payload.unwrap_or(length).to_be_bytes());
                packet.extend([numbers[0], 64]);
                packet.extend(source);
                packet.extend(destination);
                packet.extend(behind);
                (0x86dd, packet)
            },
        )
        .boxed()
}

/// A protocol with bytes that could be its header.
fn upper() -> BoxedStrategy<(u8, Vec<u8>)> {
    let protocol = prop_oneof![
        8 => select(&[6_u8, 17, 132, 1, 58][..]),
        1 => select(&[0_u8, 43, 44, 50, 51, 59, 60][..]),
        1 => any::<u8>(),
    ];
    let first = select(&[0_u8, 8, 128, 135][..]);
    let flags = prop_oneof![select(&[0_u8, 1, 2, 16, 18][..]), any::<u8>()];
    (protocol, port(), port(), first, flags, 0..24_usize)
        .prop_map(|(protocol, source, destination, first, flags, length)| {
            let mut upper = source.to_be_bytes().to_vec();
            upper.extend(destination.to_be_bytes());
            upper.resize(20, 0);
            upper[13] = flags;
            if protocol == 1 || protocol == 58 {
                upper[0] = first;
            }
            if length < 20 {
                upper.truncate(length);
            }
            (protocol, upper)
        })
        .boxed()
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
    prop_oneof![Just([2, 0, 0, 0, 0, 1]), Just([0xff; 6]), any::<[u8; 6]>()].boxed()
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
