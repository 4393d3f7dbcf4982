//! Random expressions over the values that the frames have.

use std::net::IpAddr;

use fastrand::Rng;
use wharf::{
    Expression, IcmpVersion, MacAddress, Ports, Prefix, Primitive, Side, TcpFlags, VlanId, VlanIds,
    VlanTag,
};

use crate::pools::{self, once_in, one};

/// Up to three levels of `and`, `or` and `not`.
pub fn expression(rng: &mut Rng) -> Expression {
    node(rng, 3, &mut primitive)
}

/// The same without VLAN tags and without what tcpdump has no word for.
pub fn plain_expression(rng: &mut Rng) -> Expression {
    node(rng, 3, &mut |rng| {
        loop {
            let primitive = primitive(rng);
            match primitive {
                Primitive::Vlan(..) | Primitive::LaterFragment => {}
                _ => return primitive,
            }
        }
    })
}

fn node(rng: &mut Rng, depth: u8, leaf: &mut impl FnMut(&mut Rng) -> Primitive) -> Expression {
    if depth == 0 || once_in(rng, 3) {
        let primitive = Expression::from(leaf(rng));
        return if once_in(rng, 4) {
            !primitive
        } else {
            primitive
        };
    }
    let mut built = node(rng, depth - 1, leaf);
    let conjunction = rng.bool();
    for _ in 0..rng.u8(1..3) {
        let other = node(rng, depth - 1, leaf);
        built = if conjunction {
            built.and(other)
        } else {
            built.or(other)
        };
    }
    if once_in(rng, 6) { !built } else { built }
}

/// Any primitive but those of a frame's length, which depends on all of its bytes.
pub fn primitive(rng: &mut Rng) -> Primitive {
    match rng.u8(0..17) {
        0 => Primitive::EtherType(ether_type(rng)),
        1 => Primitive::EtherType(one(rng, &[0x0800, 0x86dd])),
        2 => vlan(rng),
        3 => Primitive::Ether(side(rng), MacAddress(one(rng, &pools::MACS))),
        13 => Primitive::EtherMulticast,
        14 => Primitive::ArpAddress(side(rng), prefix_v4(rng)),
        15 => Primitive::Protocol(one(rng, &pools::EXTENSIONS)),
        4 | 5 => Primitive::Address(side(rng), prefix(rng)),
        6 | 7 => Primitive::Protocol(one(rng, &pools::PROTOCOLS)),
        8 => Primitive::LaterFragment,
        9..12 => Primitive::Port(side(rng), ports(rng)),
        12 => Primitive::TcpFlags(flags(rng)),
        _ => {
            let version = one(rng, &[IcmpVersion::V4, IcmpVersion::V6]);
            Primitive::IcmpType(version, one(rng, &pools::ICMP_TYPES))
        }
    }
}

fn ether_type(rng: &mut Rng) -> u16 {
    // A third tag is the EtherType of the frame that has one.
    if once_in(rng, 4) {
        one(rng, &pools::TPIDS)
    } else {
        one(rng, &pools::ETHER_TYPES)
    }
}

fn vlan(rng: &mut Rng) -> Primitive {
    let tag = one(rng, &[VlanTag::Outer, VlanTag::Inner]);
    let mut id = || VlanId::new(one(rng, &pools::VLANS)).expect("the pool's are in range");
    let (a, b) = (id(), id());
    let ids = match rng.u8(0..4) {
        0 | 1 => None,
        2 => Some(VlanIds::one(a)),
        _ => Some(VlanIds::range(a.min(b), a.max(b)).expect("they are in order")),
    };
    Primitive::Vlan(tag, ids)
}

fn side(rng: &mut Rng) -> Side {
    one(rng, &[Side::Source, Side::Destination])
}

fn prefix(rng: &mut Rng) -> Prefix {
    if rng.bool() {
        prefix_v4(rng)
    } else {
        let length = one(rng, &[0, 1, 8, 10, 32, 33, 63, 64, 96, 127, 128, 128, 128]);
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let address = one(rng, &pools::V6).to_bits() & mask;
        Prefix::new(IpAddr::V6(address.into()), length).expect("the host's bits are cleared")
    }
}

fn prefix_v4(rng: &mut Rng) -> Prefix {
    let length = one(rng, &[0, 1, 7, 8, 9, 16, 24, 31, 32, 32, 32]);
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    let address = one(rng, &pools::V4).to_bits() & mask;
    Prefix::new(IpAddr::V4(address.into()), length).expect("the host's bits are cleared")
}

fn ports(rng: &mut Rng) -> Ports {
    let (a, b) = (one(rng, &pools::PORTS), one(rng, &pools::PORTS));
    if rng.bool() {
        Ports::one(a)
    } else {
        Ports::range(a.min(b), a.max(b)).expect("they are in order")
    }
}

fn flags(rng: &mut Rng) -> TcpFlags {
    let mask = one(rng, &[0x01, 0x02, 0x04, 0x10, 0x12, 0x17, 0xc0, 0xff]);
    if rng.bool() {
        TcpFlags::Any(mask)
    } else {
        let value = one(rng, &pools::FLAGS) & mask;
        TcpFlags::Equal { mask, value }
    }
}
