//! Rules as text, which parses to the same rules.
//!
//! Neighbours in an `and` or `or` that tcpdump has a shorter form for are written
//! in it where the parser makes just them of it: `udp dst port 53`, `icmp`,
//! `host 10.0.0.1`, `flow ...`.

use std::fmt;
use std::net::SocketAddr;

use super::names::{ETHER_TYPES, ICMP_TYPES, ICMP6_TYPES, PORT_PROTOCOLS, TCP_FLAGS, name_of};
use super::primitive::{
    IcmpVersion, MacAddress, Ports, Prefix, Primitive, Side, TcpFlags, VlanTag,
};
use super::{Action, Expression, Flow, Rule, RuleSet};

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        write!(f, "default {}", self.default)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.expression)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            &Self::REDIRECT => f.write_str("redirect"),
            Self::Redirect(index) => write!(f, "redirect:{}", index.0),
            Self::Pass => f.write_str("pass"),
            Self::Drop => f.write_str("drop"),
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(PORT_PROTOCOLS, self.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.protocol)?,
        }
        // Without the zone of an IPv6 address, which is not on the wire.
        let end = |end: SocketAddr| SocketAddr::new(end.ip(), end.port());
        write!(f, " {} > {}", end(self.source), end(self.destination))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(primitive) => write!(f, "{primitive}"),
            Self::Not(inner) => write!(f, "not {}", Member(inner)),
            Self::And(all) => write_members(f, all, " and ", short_and),
            Self::Or(any) => write_members(f, any, " or ", short_or),
        }
    }
}

/// An expression where others stand beside it: in parentheses, unless it is a
/// primitive in the text.
struct Member<'a>(&'a Expression);

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = match self.0 {
            Expression::Primitive(_) | Expression::Not(_) => true,
            Expression::And(all) => short_and(all).is_some_and(|short| short.of == all.len()),
            Expression::Or(any) => short_or(any).is_some_and(|short| short.of == any.len()),
        };
        if is_one {
            write!(f, "{}", self.0)
        } else {
            write!(f, "({})", self.0)
        }
    }
}

fn write_members(
    f: &mut fmt::Formatter<'_>,
    mut members: &[Expression],
    word: &str,
    shorten: fn(&[Expression]) -> Option<Short>,
) -> fmt::Result {
    let mut between = "";
    while let [first, rest @ ..] = members {
        f.write_str(between)?;
        between = word;
        match shorten(members) {
            Some(short) => {
                f.write_str(&short.text)?;
                members = &members[short.of..];
            }
            None => {
                write!(f, "{}", Member(first))?;
                members = rest;
            }
        }
    }
    Ok(())
}

/// A form that stands for the first `of` members.
struct Short {
    text: String,
    of: usize,
}

/// What the first members of an `and` are together.
fn short_and(members: &[Expression]) -> Option<Short> {
    if let Some(flow) = flow(members) {
        let text = format!("flow {flow}");
        return Some(Short { text, of: 5 });
    }
    let [Expression::Primitive(first), second, ..] = members else {
        return None;
    };
    let text = match (first, second) {
        (Primitive::EtherType(0x0800), Expression::Primitive(Primitive::Protocol(1))) => {
            "icmp".to_owned()
        }
        (Primitive::EtherType(0x86dd), Expression::Primitive(Primitive::Protocol(58))) => {
            "icmp6".to_owned()
        }
        (Primitive::Protocol(6 | 17 | 132), Expression::Primitive(Primitive::Port(..))) => {
            format!("{first} {second}")
        }
        (Primitive::Protocol(6 | 17 | 132), Expression::Or(sides)) => match sides.as_slice() {
            [Expression::Primitive(Primitive::Port(..)), _] => {
                format!("{first} {}", short_or(sides)?.text)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Short { text, of: 2 })
}

/// What the first members of an `or` are together: either side.
fn short_or(members: &[Expression]) -> Option<Short> {
    let [
        Expression::Primitive(source),
        Expression::Primitive(destination),
        ..,
    ] = members
    else {
        return None;
    };
    let text = match (source, destination) {
        (Primitive::Address(Side::Source, asked), Primitive::Address(Side::Destination, same))
            if asked == same =>
        {
            Asked(*asked).to_string()
        }
        (Primitive::Port(Side::Source, asked), Primitive::Port(Side::Destination, same))
            if asked == same =>
        {
            Asked(*asked).to_string()
        }
        _ => return None,
    };
    Some(Short { text, of: 2 })
}

/// The flow that the first five members are.
fn flow(members: &[Expression]) -> Option<Flow> {
    let [
        Expression::Primitive(Primitive::Protocol(protocol @ (6 | 17 | 132))),
        Expression::Primitive(Primitive::Address(Side::Source, source)),
        Expression::Primitive(Primitive::Port(Side::Source, source_port)),
        Expression::Primitive(Primitive::Address(Side::Destination, destination)),
        Expression::Primitive(Primitive::Port(Side::Destination, destination_port)),
        ..,
    ] = members
    else {
        return None;
    };
    let end = |prefix: &Prefix, ports: &Ports| {
        let address = prefix.address();
        let is_exact = *prefix == Prefix::host(address) && ports.first() == ports.last();
        is_exact.then(|| SocketAddr::new(address, ports.first()))
    };
    let source = end(source, source_port)?;
    let destination = end(destination, destination_port)?;
    (source.is_ipv4() == destination.is_ipv4()).then_some(Flow {
        protocol: *protocol,
        source,
        destination,
    })
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EtherType(number) => match name_of(ETHER_TYPES, number) {
                Some(name) => f.write_str(name),
                None => write!(f, "ether proto {number:#06x}"),
            },
            Self::Vlan(tag, id) => {
                f.write_str(match tag {
                    VlanTag::Outer => "vlan",
                    VlanTag::Inner => "inner vlan",
                })?;
                id.map_or(Ok(()), |id| write!(f, " {}", id.get()))
            }
            Self::EtherDestination(address) => write!(f, "ether dst {address}"),
            Self::Address(side, prefix) => write!(f, "{side} {}", Asked(prefix)),
            Self::Protocol(number) => match name_of(PORT_PROTOCOLS, number) {
                Some(name) => f.write_str(name),
                None => write!(f, "proto {number}"),
            },
            Self::LaterFragment => f.write_str("fragment"),
            Self::Port(side, ports) => write!(f, "{side} {}", Asked(ports)),
            Self::TcpFlags(TcpFlags::Any(mask)) => {
                write!(f, "tcp[tcpflags] & {} != 0", Flags(mask))
            }
            Self::TcpFlags(TcpFlags::Equal { mask: 0xff, value }) => {
                write!(f, "tcp[tcpflags] == {}", Flags(value))
            }
            Self::TcpFlags(TcpFlags::Equal { mask, value }) => {
                write!(f, "tcp[tcpflags] & {} == {}", Flags(mask), Flags(value))
            }
            Self::IcmpType(version, number) => {
                let (field, names) = match version {
                    IcmpVersion::V4 => ("icmp[icmptype]", ICMP_TYPES),
                    IcmpVersion::V6 => ("icmp6[icmp6type]", ICMP6_TYPES),
                };
                match name_of(names, number) {
                    Some(name) => write!(f, "{field} == {name}"),
                    None => write!(f, "{field} == {number}"),
                }
            }
        }
    }
}

/// What is asked of a side: `host X`, `net X/L`, `port N`, `portrange A-B`.
struct Asked<T>(T);

impl fmt::Display for Asked<Prefix> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Prefix::host(self.0.address()) {
            write!(f, "host {}", self.0.address())
        } else {
            write!(f, "net {}", self.0)
        }
    }
}

impl fmt::Display for Asked<Ports> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.first(), self.0.last());
        if first == last {
            write!(f, "port {first}")
        } else {
            write!(f, "portrange {first}-{last}")
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "src",
            Self::Destination => "dst",
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length())
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

/// TCP flags by their names, in parentheses when there are several.
struct Flags(u8);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = TCP_FLAGS
            .iter()
            .filter(|(_, bit)| self.0 & bit != 0)
            .map(|(name, _)| *name)
            .collect();
        match names.as_slice() {
            [] | [_, _, _, _, _, ..] => write!(f, "{:#04x}", self.0),
            [name] => f.write_str(name),
            several => write!(f, "({})", several.join("|")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::clause::{Unexpanded, alternatives};
    use crate::rules::samples;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn expression_parses_back_unless_it_contradicts_itself(
            expression in samples::expression(),
        ) {
            let text = expression.to_string();
            match text.parse::<Expression>() {
                Ok(parsed) => prop_assert_eq!(parsed, expression, "{}", text),
                Err(error) => {
                    let expansion = alternatives(&expression, usize::MAX);
                    let contradicts = matches!(expansion, Err(Unexpanded::NeverHolds(_)));
                    prop_assert!(contradicts, "{}: {}", text, error);
                }
            }
        }

        #[test]
        fn rule_set_parses_back_unless_it_contradicts_itself(rules in samples::rule_set()) {
            let text = rules.to_string();
            match text.parse::<RuleSet>() {
                Ok(parsed) => prop_assert_eq!(parsed, rules, "{}", text),
                Err(error) => {
                    let line = error.line().expect("a rule set has lines");
                    let expansion = alternatives(&rules.rules[line - 1].expression, usize::MAX);
                    let contradicts = matches!(expansion, Err(Unexpanded::NeverHolds(_)));
                    prop_assert!(contradicts, "{}: {}", text, error);
                }
            }
        }

        #[test]
        fn values_parse_back(
            mac in any::<[u8; 6]>(),
            flow in samples::flow(),
            action in samples::action(),
            prefix in samples::prefix(),
        ) {
            prop_assert_eq!(MacAddress(mac).to_string().parse(), Ok(MacAddress(mac)));
            prop_assert_eq!(flow.to_string().parse(), Ok(flow));
            prop_assert_eq!(action.to_string().parse(), Ok(action));
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            let expression = Expression::from(flow);
            prop_assert_eq!(expression.to_string(), format!("flow {flow}"));
            prop_assert_eq!(expression.to_string().parse(), Ok(expression));
        }
    }

    #[test]
    fn text_is_as_tcpdump_has_it() {
        for text in [
            "tcp",
            "icmp6 and not icmp6[icmp6type] == icmp6-echo",
            "udp dst port 4433",
            "not tcp port 22",
            "host 10.0.0.1 or net fd00::/8 or arp",
            "vlan 5 and inner vlan and udp src portrange 1000-2000",
            "(udp port 53 and not src net 10.0.0.0/8) or tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
            "ether proto 0x88cc or ether dst 01:80:c2:00:00:0e or proto 47 or fragment",
            "not (tcp or udp)",
            "flow tcp 10.0.0.1:1 > 10.0.0.2:2 or flow udp [fd00::1]:1 > [fd00::2]:2",
        ] {
            let expression: Expression = text.parse().expect(text);

            assert_eq!(expression.to_string(), text);
        }
    }

    #[test]
    fn rule_set_is_a_line_a_rule_and_the_default() {
        let text = "redirect udp\nredirect:2 tcp\ndrop arp\ndefault pass";

        let rules: RuleSet = text.parse().expect("fine");

        assert_eq!(rules.to_string(), text);
        assert_eq!(RuleSet::everything().to_string(), "default redirect");
    }
}
