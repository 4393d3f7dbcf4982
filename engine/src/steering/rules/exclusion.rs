//! Which questions no frame can answer with yes together. Two literals at a time
//! are looked at, so not everything that can never hold is seen; what is said to
//! exclude each other, does.

use super::fields::extension_bit;
use super::literal::Literal;
use super::primitive::{IcmpVersion, Prefix, Primitive, Side, TcpFlags, VlanTag};

/// Whether no frame makes the literal true.
pub(super) fn is_impossible(literal: Literal) -> bool {
    literal.positive
        && match literal.primitive {
            Primitive::EtherType(number) => number < 1536,
            Primitive::TcpFlags(TcpFlags::Any(mask)) => mask == 0,
            Primitive::TcpFlags(TcpFlags::Equal { mask, value }) => value & !mask != 0,
            _ => false,
        }
}

/// Whether no frame makes both literals true.
pub(super) fn exclude(one: Literal, other: Literal) -> bool {
    let (a, b) = (one.primitive, other.primitive);
    match (one.positive, other.positive) {
        (true, true) => {
            !needs_of(a).meet(needs_of(b)) || values_exclude(a, b) || values_exclude(b, a)
        }
        (true, false) => implies(a, b),
        (false, true) => implies(b, a),
        (false, false) => false,
    }
}

/// What a frame must have for a primitive to be true.
struct Needs {
    network: Network,
    protocol: Protocol,
    upper: Upper,
}

#[derive(Clone, Copy, PartialEq)]
enum Network {
    Any,
    EitherIp,
    Is(u16),
}

#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    Any,
    WithPorts,
    Is(u8),
}

/// Where the header of the upper layer is.
#[derive(Clone, Copy, PartialEq)]
enum Upper {
    Any,
    Here,
    Elsewhere,
}

impl Needs {
    fn meet(&self, other: Self) -> bool {
        let networks = match (self.network, other.network) {
            (Network::Any, _) | (_, Network::Any) => true,
            (Network::Is(a), Network::Is(b)) => a == b,
            (Network::Is(is), Network::EitherIp) | (Network::EitherIp, Network::Is(is)) => {
                is == IPV4 || is == IPV6
            }
            (Network::EitherIp, Network::EitherIp) => true,
        };
        let protocols = match (self.protocol, other.protocol) {
            (Protocol::Any, _) | (_, Protocol::Any) => true,
            (Protocol::Is(a), Protocol::Is(b)) => a == b,
            (Protocol::Is(is), Protocol::WithPorts) | (Protocol::WithPorts, Protocol::Is(is)) => {
                matches!(is, 6 | 17 | 132)
            }
            (Protocol::WithPorts, Protocol::WithPorts) => true,
        };
        let uppers =
            self.upper == Upper::Any || other.upper == Upper::Any || self.upper == other.upper;
        networks && protocols && uppers
    }
}

fn needs_of(primitive: Primitive) -> Needs {
    let (network, protocol, upper) = match primitive {
        Primitive::EtherType(is) => (Network::Is(is), Protocol::Any, Upper::Any),
        Primitive::Vlan(..)
        | Primitive::Ether(..)
        | Primitive::EtherMulticast
        | Primitive::AtMostBytes(_)
        | Primitive::AtLeastBytes(_) => (Network::Any, Protocol::Any, Upper::Any),
        Primitive::ArpAddress(..) => (Network::Is(ARP), Protocol::Any, Upper::Any),
        Primitive::Address(_, prefix) if prefix.address().is_ipv4() => {
            (Network::Is(IPV4), Protocol::Any, Upper::Any)
        }
        Primitive::Address(..) => (Network::Is(IPV6), Protocol::Any, Upper::Any),
        // Other headers are behind it in IPv6.
        Primitive::Protocol(is) if extension_bit(is).is_some() => {
            (Network::EitherIp, Protocol::Any, Upper::Any)
        }
        Primitive::Protocol(is) => (Network::EitherIp, Protocol::Is(is), Upper::Any),
        Primitive::LaterFragment => (Network::EitherIp, Protocol::Any, Upper::Elsewhere),
        Primitive::Port(..) => (Network::EitherIp, Protocol::WithPorts, Upper::Here),
        Primitive::TcpFlags(_) => (Network::EitherIp, Protocol::Is(6), Upper::Here),
        Primitive::IcmpType(IcmpVersion::V4, _) => {
            (Network::Is(IPV4), Protocol::Is(1), Upper::Here)
        }
        Primitive::IcmpType(IcmpVersion::V6, _) => {
            (Network::Is(IPV6), Protocol::Is(58), Upper::Here)
        }
    };
    Needs {
        network,
        protocol,
        upper,
    }
}

/// Whether both ask the same field for values it cannot have at once. (EtherType
/// and protocol are among the needs.)
fn values_exclude(a: Primitive, b: Primitive) -> bool {
    match (a, b) {
        (Primitive::Vlan(tag, Some(a)), Primitive::Vlan(other_tag, Some(b))) => {
            tag == other_tag && (a.last() < b.first() || b.last() < a.first())
        }
        (Primitive::Ether(side, a), Primitive::Ether(other_side, b)) => {
            side == other_side && a != b
        }
        (Primitive::Ether(Side::Destination, to), Primitive::EtherMulticast) => !to.is_multicast(),
        (Primitive::AtMostBytes(most), Primitive::AtLeastBytes(least)) => most < least,
        (Primitive::Address(side, a), Primitive::Address(other_side, b))
        | (Primitive::ArpAddress(side, a), Primitive::ArpAddress(other_side, b)) => {
            side == other_side && !within(a, b) && !within(b, a)
        }
        (Primitive::Port(side, a), Primitive::Port(other_side, b)) => {
            side == other_side && (a.last() < b.first() || b.last() < a.first())
        }
        (Primitive::TcpFlags(a), Primitive::TcpFlags(b)) => flags_exclude(a, b),
        (Primitive::IcmpType(_, a), Primitive::IcmpType(_, b)) => a != b,
        _ => false,
    }
}

fn flags_exclude(a: TcpFlags, b: TcpFlags) -> bool {
    match (a, b) {
        (
            TcpFlags::Equal { mask, value },
            TcpFlags::Equal {
                mask: other_mask,
                value: other_value,
            },
        ) => (value ^ other_value) & mask & other_mask != 0,
        (TcpFlags::Any(any), TcpFlags::Equal { mask, value }) => {
            any & !mask == 0 && any & value == 0
        }
        _ => false,
    }
}

/// Whether each frame that makes `a` true makes `b` true.
fn implies(a: Primitive, b: Primitive) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (_, Primitive::EtherType(asked)) => needs_of(a).network == Network::Is(asked),
        (_, Primitive::Protocol(asked)) => needs_of(a).protocol == Protocol::Is(asked),
        (Primitive::Vlan(tag, Some(_)), Primitive::Vlan(other, None)) if tag == other => true,
        (Primitive::Vlan(tag, Some(a)), Primitive::Vlan(other, Some(b))) if tag == other => {
            b.first() <= a.first() && a.last() <= b.last()
        }
        (Primitive::Ether(Side::Destination, to), Primitive::EtherMulticast) => to.is_multicast(),
        (Primitive::AtMostBytes(a), Primitive::AtMostBytes(b)) => a <= b,
        (Primitive::AtLeastBytes(a), Primitive::AtLeastBytes(b)) => a >= b,
        (Primitive::Vlan(VlanTag::Inner, _), Primitive::Vlan(VlanTag::Outer, None)) => true,
        (Primitive::Address(side, a), Primitive::Address(other, b)) => {
            side == other && within(a, b)
        }
        (Primitive::Port(side, a), Primitive::Port(other, b)) => {
            side == other && b.first() <= a.first() && a.last() <= b.last()
        }
        (Primitive::TcpFlags(a), Primitive::TcpFlags(b)) => flags_imply(a, b),
        _ => false,
    }
}

fn flags_imply(a: TcpFlags, b: TcpFlags) -> bool {
    match (a, b) {
        (
            TcpFlags::Equal { mask, value },
            TcpFlags::Equal {
                mask: asked_mask,
                value: asked,
            },
        ) => asked_mask & !mask == 0 && value & asked_mask == asked,
        (TcpFlags::Equal { mask, value }, TcpFlags::Any(any)) => any & mask & value != 0,
        (TcpFlags::Any(a), TcpFlags::Any(b)) => a & !b == 0,
        (TcpFlags::Any(_), TcpFlags::Equal { mask, value }) => mask == 0 && value == 0,
    }
}

/// Whether all of `inner` is in `outer`.
fn within(inner: Prefix, outer: Prefix) -> bool {
    inner.length() >= outer.length() && outer.contains(inner.address())
}

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steering::rules::fields::Fields;
    use crate::steering::rules::samples;

    const FLAGS: [u8; 7] = [0, 1, 2, 3, 16, 18, 255];

    fn flags() -> Vec<TcpFlags> {
        let any = FLAGS.map(TcpFlags::Any);
        let equal = FLAGS.map(|mask| FLAGS.map(|value| TcpFlags::Equal { mask, value }));
        [any.to_vec(), equal.concat()].concat()
    }

    fn literal(primitive: Primitive, positive: bool) -> Literal {
        Literal {
            primitive,
            positive,
            leaf: 0,
        }
    }

    #[test]
    fn flags_exclude_each_other_only_when_no_byte_satisfies_both() {
        let holds = |asked: TcpFlags, byte: u8| match asked {
            TcpFlags::Any(mask) => byte & mask != 0,
            TcpFlags::Equal { mask, value } => byte & mask == value,
        };
        for (a, b) in flags()
            .into_iter()
            .flat_map(|a| flags().into_iter().map(move |b| (a, b)))
        {
            for b_positive in [true, false] {
                let (one, other) = (
                    literal(Primitive::TcpFlags(a), true),
                    literal(Primitive::TcpFlags(b), b_positive),
                );
                if is_impossible(one) || is_impossible(other) {
                    continue;
                }
                let possible =
                    (0..=u8::MAX).any(|byte| holds(a, byte) && holds(b, byte) == b_positive);

                assert!(!(possible && exclude(one, other)), "{one} and {other}");
            }
        }
        let syn = |positive| literal(Primitive::TcpFlags(TcpFlags::Any(2)), positive);
        let either = |positive| literal(Primitive::TcpFlags(TcpFlags::Any(18)), positive);
        assert!(exclude(syn(true), either(false)));
        assert!(!exclude(either(true), syn(false)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// All literals that one frame satisfies are compared with each other, so
        /// that each case looks at some hundred pairs a frame.
        #[test]
        fn no_frame_satisfies_literals_that_exclude_each_other(
            literals in proptest::collection::vec(samples::literal(), 64),
            frames in proptest::collection::vec(samples::frame(), 64),
        ) {
            for frame in frames {
                let fields = Fields::of(&frame);
                let held: Vec<_> =
                    literals.iter().copied().filter(|literal| literal.holds(&fields)).collect();
                for &one in &held {
                    prop_assert!(!is_impossible(one), "{}", one);
                    for &other in &held {
                        prop_assert!(!exclude(one, other), "{} and {}", one, other);
                        prop_assert!(!exclude(other, one), "{} and {}", other, one);
                    }
                }
            }
        }
    }
}
