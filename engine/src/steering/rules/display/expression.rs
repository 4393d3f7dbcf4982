//! Expressions as text.
//!
//! Neighbours in an `and` or `or` that tcpdump has a shorter form for are written
//! in it where the parser makes just them of it: `udp dst port 53`, `icmp`,
//! `host 10.0.0.1`, `flow ...`.

use std::fmt;
use std::net::SocketAddr;

use super::primitive::Asked;
use crate::steering::rules::names::{IPV4_PROTOCOL_WORDS, name_of};
use crate::steering::rules::primitive::{Ports, Prefix, Primitive, Side};
use crate::steering::rules::{Expression, Flow};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(primitive) => write!(f, "{primitive}"),
            Self::Not(inner) => write!(f, "not {}", Operand(inner)),
            Self::And(all) => write_members(f, all, " and ", short_and),
            Self::Or(any) => write_members(f, any, " or ", short_or),
        }
    }
}

/// An expression where others stand beside it: in parentheses, unless it is a
/// primitive in the text.
struct Operand<'a>(&'a Expression);

impl fmt::Display for Operand<'_> {
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
                write!(f, "{}", Operand(first))?;
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
        (Primitive::EtherType(0x0800), Expression::Primitive(Primitive::Protocol(number)))
            if name_of(IPV4_PROTOCOL_WORDS, *number).is_some() =>
        {
            name_of(IPV4_PROTOCOL_WORDS, *number)?.to_owned()
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
        (
            Primitive::ArpAddress(Side::Source, asked),
            Primitive::ArpAddress(Side::Destination, same),
        ) if asked == same => format!("arp {}", Asked(*asked)),
        (Primitive::Ether(Side::Source, asked), Primitive::Ether(Side::Destination, same))
            if asked == same =>
        {
            format!("ether host {asked}")
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
