//! What a frame must be for a rule to match, as a tree.

use std::ops::{BitAnd, BitOr, Not};

use super::primitive::{Ports, Prefix, Primitive, Side, VlanTag};

/// What a frame must be for a rule to match.
///
/// Made from text (`"udp dst port 4433".parse()`), or in code:
///
/// ```
/// use wharf::Expression;
///
/// let built = Expression::udp() & Expression::dst_port(4433) & !Expression::vlan();
///
/// assert_eq!("udp dst port 4433 and not vlan".parse(), Ok(built));
/// ```
///
/// Equality is of the trees, not of what they match. The text of an expression
/// parses back to the same tree; one nested deeper than 100 levels does not.
///
#[doc = include_str!("language.md")]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// Asks one field.
    Primitive(Primitive),
    /// Holds where the other does not.
    Not(Box<Self>),
    /// Holds where all of them do. Has two members or more, none of them an `And`.
    And(Vec<Self>),
    /// Holds where one of them does. Has two members or more, none of them an `Or`.
    Or(Vec<Self>),
}

impl Expression {
    /// TCP over IPv4 or IPv6.
    #[must_use]
    pub fn tcp() -> Self {
        Primitive::Protocol(6).into()
    }

    /// UDP over IPv4 or IPv6.
    #[must_use]
    pub fn udp() -> Self {
        Primitive::Protocol(17).into()
    }

    /// IPv4.
    #[must_use]
    pub fn ip() -> Self {
        Primitive::EtherType(0x0800).into()
    }

    /// IPv6.
    #[must_use]
    pub fn ip6() -> Self {
        Primitive::EtherType(0x86dd).into()
    }

    /// At least one VLAN tag.
    #[must_use]
    pub fn vlan() -> Self {
        Primitive::Vlan(VlanTag::Outer, None).into()
    }

    /// From this port of TCP, UDP or SCTP.
    #[must_use]
    pub fn src_port(port: u16) -> Self {
        Primitive::Port(Side::Source, Ports::one(port)).into()
    }

    /// To this port of TCP, UDP or SCTP.
    #[must_use]
    pub fn dst_port(port: u16) -> Self {
        Primitive::Port(Side::Destination, Ports::one(port)).into()
    }

    /// From an address in this prefix.
    #[must_use]
    pub fn src_net(prefix: Prefix) -> Self {
        Primitive::Address(Side::Source, prefix).into()
    }

    /// To an address in this prefix.
    #[must_use]
    pub fn dst_net(prefix: Prefix) -> Self {
        Primitive::Address(Side::Destination, prefix).into()
    }

    /// Holds where both do; chains are flat.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        let mut all = match self {
            Self::And(all) => all,
            one => vec![one],
        };
        match other.into() {
            Self::And(others) => all.extend(others),
            other => all.push(other),
        }
        Self::And(all)
    }

    /// Holds where either does; chains are flat.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        let mut any = match self {
            Self::Or(any) => any,
            one => vec![one],
        };
        match other.into() {
            Self::Or(others) => any.extend(others),
            other => any.push(other),
        }
        Self::Or(any)
    }
}

impl From<Primitive> for Expression {
    fn from(primitive: Primitive) -> Self {
        Self::Primitive(primitive)
    }
}

impl<T: Into<Expression>> BitAnd<T> for Expression {
    type Output = Self;

    fn bitand(self, other: T) -> Self {
        self.and(other)
    }
}

impl<T: Into<Expression>> BitOr<T> for Expression {
    type Output = Self;

    fn bitor(self, other: T) -> Self {
        self.or(other)
    }
}

impl Not for Expression {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}
