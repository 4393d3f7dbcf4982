//! What rules say about a frame, in plain Rust: the definition that the XDP
//! program is tested against, and the answer to "what would these rules do".

use super::expression::Expression;
use std::net::IpAddr;

use super::clause::{Unexpanded, alternatives_of};
use super::fields::{Field, Fields, extension_bit};
use super::literal::Literal;
use super::primitive::{IcmpVersion, Primitive, Side, TcpFlags, VlanTag};
use super::rule::{Action, Rule, RuleSet};

/// The answer of an expression. See [`Expression`](Expression#three-answers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold: its opposite does.
    False,
    /// The frame does not say: neither it nor its opposite holds.
    Undecided,
}

/// What becomes of a frame, and which rule decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Decision {
    /// What becomes of the frame.
    pub action: Action,
    /// What decides.
    pub by: DecidedBy,
}

/// What decides a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// The rule with this index, which is the first that matches.
    Rule(usize),
    /// [`RuleSet::undecided`]: the rule with this index may match, and no rule before
    /// it does.
    Undecided(usize),
    /// The default: no rule matches.
    Default,
}

impl RuleSet {
    /// What these rules do with `frame`, which starts with its Ethernet header.
    ///
    /// Makes no system call. Of a frame in several buffers, pass the first.
    #[must_use]
    pub fn decide(&self, frame: &[u8]) -> Decision {
        self.decide_fields(&Fields::of(frame))
    }

    pub(super) fn decide_fields(&self, fields: &Fields) -> Decision {
        let holds = |rule: &Rule| rule.expression.holds(fields) == Truth::True;
        let first = self.rules.iter().position(holds);
        let (action, by) = match first {
            Some(index) => (self.rules[index].action, DecidedBy::Rule(index)),
            None => (self.default, DecidedBy::Default),
        };
        if let Some(undecided) = self.undecided {
            let before = &self.rules[..first.unwrap_or(self.rules.len())];
            let differs = |rule: &Rule| rule.action != action && rule.expression.may_hold(fields);
            if let Some(index) = before.iter().position(differs) {
                return Decision {
                    action: undecided,
                    by: DecidedBy::Undecided(index),
                };
            }
        }
        Decision { action, by }
    }
}

impl Expression {
    /// Whether it holds for `frame`, which starts with its Ethernet header.
    ///
    /// Makes no system call. Of a frame in several buffers, pass the first.
    #[must_use]
    pub fn matches(&self, frame: &[u8]) -> Truth {
        self.holds(&Fields::of(frame))
    }

    pub(super) fn holds(&self, fields: &Fields) -> Truth {
        match self {
            Self::Primitive(primitive) => primitive.holds(fields),
            Self::Not(inner) => inner.holds(fields).not(),
            Self::And(all) => all
                .iter()
                .map(|member| member.holds(fields))
                .fold(Truth::True, Truth::and),
            Self::Or(any) => any
                .iter()
                .map(|member| member.holds(fields))
                .fold(Truth::False, Truth::or),
        }
    }
}

impl Expression {
    /// Whether it is undecided, and one of its alternatives may hold: what excludes
    /// itself cannot, though neither of its parts is known.
    pub(super) fn may_hold(&self, fields: &Fields) -> bool {
        let may_hold = |literal: &Literal| {
            let wanted = if literal.positive {
                Truth::False
            } else {
                Truth::True
            };
            literal.primitive.holds(fields) != wanted
        };
        self.holds(fields) == Truth::Undecided
            && match alternatives_of(self, wharf_ebpf::CLAUSES, &may_hold) {
                Err(Unexpanded::NeverHolds(_)) => false,
                // No program can be made of too large an expression.
                Ok(_) | Err(Unexpanded::TooMany) => true,
            }
    }
}

impl Primitive {
    /// Whether `fields` say so.
    pub(crate) fn holds(self, fields: &Fields) -> Truth {
        match self {
            Self::EtherType(asked) => fields.ether_type.is(|is| is == asked),
            Self::Vlan(VlanTag::Outer, id) => fields
                .outer_vlan
                .is(|is| id.is_none_or(|ids| ids.contains(is))),
            Self::Vlan(VlanTag::Inner, id) => fields
                .inner_vlan
                .is(|is| id.is_none_or(|ids| ids.contains(is))),
            Self::Ether(Side::Source, asked) => fields.ether_source.is(|is| is == asked),
            Self::Ether(Side::Destination, asked) => fields.ether_destination.is(|is| is == asked),
            Self::EtherMulticast => fields.ether_multicast.is(|is| is),
            Self::AtMostBytes(most) => fields.frame_bytes.is(|is| is <= most),
            Self::AtLeastBytes(least) => fields.frame_bytes.is(|is| is >= least),
            Self::ArpAddress(Side::Source, prefix) => {
                fields.arp_source.is(|is| prefix.contains(IpAddr::V4(is)))
            }
            Self::ArpAddress(Side::Destination, prefix) => fields
                .arp_destination
                .is(|is| prefix.contains(IpAddr::V4(is))),
            Self::Address(Side::Source, prefix) => fields.source.is(|is| prefix.contains(is)),
            Self::Address(Side::Destination, prefix) => {
                fields.destination.is(|is| prefix.contains(is))
            }
            Self::Protocol(asked) => match extension_bit(asked) {
                Some(bit) => fields.extensions.is(|is| is & bit != 0),
                None => fields.protocol.is(|is| is == asked),
            },
            Self::LaterFragment => fields.later_fragment.is(|is| is),
            Self::Port(Side::Source, ports) => fields.source_port.is(|is| ports.contains(is)),
            Self::Port(Side::Destination, ports) => {
                fields.destination_port.is(|is| ports.contains(is))
            }
            Self::TcpFlags(asked) => fields.tcp_flags.is(|is| match asked {
                TcpFlags::Any(mask) => is & mask != 0,
                TcpFlags::Equal { mask, value } => is & mask == value,
            }),
            Self::IcmpType(IcmpVersion::V4, asked) => fields.icmp_type_v4.is(|is| is == asked),
            Self::IcmpType(IcmpVersion::V6, asked) => fields.icmp_type_v6.is(|is| is == asked),
        }
    }
}

impl<T> Field<T> {
    fn is(self, as_asked: impl FnOnce(T) -> bool) -> Truth {
        match self {
            Self::Absent => Truth::False,
            Self::Undecided => Truth::Undecided,
            Self::Is(value) => {
                if as_asked(value) {
                    Truth::True
                } else {
                    Truth::False
                }
            }
        }
    }
}

impl Truth {
    pub(crate) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Undecided => Self::Undecided,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Undecided, _) | (_, Self::Undecided) => Self::Undecided,
            (Self::True, Self::True) => Self::True,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::steering::rules::{Prefix, Rule};

    /// A later fragment of UDP from 10.0.0.1 to 10.0.0.2.
    const FRAGMENT: [u8; 38] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 24, 0, 0, 0, 1, 64, 17, 0, 0, 10, 0,
        0, 1, 10, 0, 0, 2, 0, 53, 0, 53,
    ];

    #[test]
    fn undecided_port_matches_neither_way() {
        let port = Expression::src_port(53);

        assert_eq!(port.matches(&FRAGMENT), Truth::Undecided);
        assert_eq!((!port).matches(&FRAGMENT), Truth::Undecided);
    }

    #[test]
    fn other_side_of_or_and_and_decides_alone() {
        let undecided = Expression::src_port(53);

        assert_eq!(
            undecided.clone().or(Expression::udp()).matches(&FRAGMENT),
            Truth::True
        );
        assert_eq!(
            undecided.clone().and(Expression::udp()).matches(&FRAGMENT),
            Truth::Undecided
        );
        assert_eq!(
            undecided.clone().and(Expression::tcp()).matches(&FRAGMENT),
            Truth::False
        );
        assert_eq!(
            undecided.or(Expression::tcp()).matches(&FRAGMENT),
            Truth::Undecided
        );
    }

    #[test]
    fn absent_field_is_false_and_its_negation_true() {
        let mut arp = FRAGMENT;
        arp[13] = 6;
        let any = Prefix::new(IpAddr::from([0, 0, 0, 0]), 0).expect("a prefix");

        assert_eq!(Expression::src_port(53).matches(&arp), Truth::False);
        assert_eq!((!Expression::src_port(53)).matches(&arp), Truth::True);
        assert_eq!(Expression::src_net(any).matches(&arp), Truth::False);
        assert_eq!(Expression::src_net(any).matches(&FRAGMENT), Truth::True);
    }

    #[test]
    fn first_rule_that_holds_decides_and_undecided_rules_do_not() {
        let rule = |action, expression| Rule { action, expression };
        let rules = RuleSet::only([
            rule(Action::Drop, Expression::src_port(53)),
            rule(Action::Drop, !Expression::src_port(53)),
            rule(Action::REDIRECT, Expression::udp()),
            rule(Action::Drop, Expression::udp()),
        ]);

        let of_fragment = rules.decide(&FRAGMENT);
        let of_nothing = rules.decide(&[]);

        assert_eq!(
            of_fragment,
            Decision {
                action: Action::REDIRECT,
                by: DecidedBy::Rule(2)
            }
        );
        assert_eq!(
            of_nothing,
            Decision {
                action: Action::Pass,
                by: DecidedBy::Default
            }
        );
    }

    #[test]
    fn undecided_rule_counts_only_if_it_would_do_something_else() {
        let decide = |text: &str| {
            let rules: RuleSet = text.parse().expect("good rules");
            let Decision { action, by } = rules.decide(&FRAGMENT);
            (action, by)
        };

        let redirected = decide("drop port 53\nredirect ip\nundecided drop");
        let default = decide("drop port 53\nundecided drop\ndefault pass");
        let same = decide("redirect port 53\nredirect ip\nundecided drop");
        let same_as_default = decide("drop port 53\nundecided pass\ndefault drop");
        let behind = decide("redirect ip\ndrop port 53\nundecided drop");
        let second = decide("redirect port 53\ndrop port 53\nredirect ip\nundecided pass");
        let impossible =
            decide("drop (udp or arp) and not port 53 and port 53 or tcp\nundecided drop");
        let without = decide("drop port 53\nredirect ip");

        assert_eq!(redirected, (Action::Drop, DecidedBy::Undecided(0)));
        assert_eq!(default, (Action::Drop, DecidedBy::Undecided(0)));
        assert_eq!(same, (Action::REDIRECT, DecidedBy::Rule(1)));
        assert_eq!(same_as_default, (Action::Drop, DecidedBy::Default));
        assert_eq!(behind, (Action::REDIRECT, DecidedBy::Rule(0)));
        assert_eq!(second, (Action::Pass, DecidedBy::Undecided(1)));
        assert_eq!(impossible, (Action::Pass, DecidedBy::Default));
        assert_eq!(without, (Action::REDIRECT, DecidedBy::Rule(1)));
    }
}
