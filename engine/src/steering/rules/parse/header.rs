//! Primitives that look into a header, and whole flows: `tcp[tcpflags]`,
//! `icmp[icmptype]`, `flow`.

use super::cursor::{Cursor, Token};
use super::error::ParseError;
use super::reader::Reader;
use super::value;
use crate::steering::rules::names::{ICMP_TYPES, ICMP6_TYPES, PORT_PROTOCOLS, TCP_FLAGS};
use crate::steering::rules::{Expression, Flow, IcmpVersion, Primitive, TcpFlags};

impl<'a> Reader<'a> {
    /// `[tcpflags] & MASK != 0`, `[tcpflags] == VALUE` and so on, after `tcp`.
    pub(super) fn tcp_flags(&mut self, tcp: Token<'a>) -> Result<Expression, ParseError> {
        self.subscript("tcpflags", 13)?;
        let mask = match self.cursor.next_if(&["&"]) {
            Some(_) => self.flags()?,
            None => u8::MAX,
        };
        let relation = self.relation()?;
        let value = self.flags()?;
        Ok(match (relation, value) {
            (Relation::Different, 0) => self.leaf(tcp, Primitive::TcpFlags(TcpFlags::Any(mask))),
            (Relation::Equal, value) => {
                self.leaf(tcp, Primitive::TcpFlags(TcpFlags::Equal { mask, value }))
            }
            (Relation::Different, value) => {
                let equal = Primitive::TcpFlags(TcpFlags::Equal { mask, value });
                self.leaf(tcp, Primitive::Protocol(6)) & !self.leaf(tcp, equal)
            }
        })
    }

    /// `[icmptype] == TYPE` after `icmp` or `icmp6`.
    pub(super) fn icmp_type(&mut self, icmp: Token<'a>) -> Result<Expression, ParseError> {
        let (version, field, names) = if icmp.word == "icmp" {
            (IcmpVersion::V4, "icmptype", ICMP_TYPES)
        } else {
            (IcmpVersion::V6, "icmp6type", ICMP6_TYPES)
        };
        self.subscript(field, 0)?;
        let relation = self.relation()?;
        let token = self.cursor.expect("an ICMP type")?;
        let number = self.valid(token, |word| value::named_byte(word, "ICMP type", names))?;
        let icmp_type = Primitive::IcmpType(version, number);
        if relation == Relation::Equal {
            return Ok(self.leaf(icmp, icmp_type));
        }
        let (ether_type, protocol) = match version {
            IcmpVersion::V4 => (0x0800, 1),
            IcmpVersion::V6 => (0x86dd, 58),
        };
        Ok(self.leaf(icmp, Primitive::EtherType(ether_type))
            & self.leaf(icmp, Primitive::Protocol(protocol))
            & !self.leaf(icmp, icmp_type))
    }

    /// `[NAME]` or `[OFFSET]`.
    fn subscript(&mut self, name: &str, offset: u8) -> Result<(), ParseError> {
        let expected = format!("`{name}` or {offset}");
        self.cursor.expect_word("[")?;
        let token = self.cursor.expect(&expected)?;
        if token.word != name && value::byte(token.word, "") != Ok(offset) {
            return Err(self.cursor.not_expected(token, &expected));
        }
        self.cursor.expect_word("]")?;
        Ok(())
    }

    fn relation(&mut self) -> Result<Relation, ParseError> {
        let expected = "`=`, `==` or `!=`";
        let token = self.cursor.expect(expected)?;
        match token.word {
            "=" | "==" => Ok(Relation::Equal),
            "!=" => Ok(Relation::Different),
            "|" => Err(self.cursor.error(
                token,
                "several flags go in parentheses, as in `(tcp-syn|tcp-ack)`",
            )),
            _ => Err(self.cursor.not_expected(token, expected)),
        }
    }

    /// A flag, a number, or several of them with `|` in parentheses.
    fn flags(&mut self) -> Result<u8, ParseError> {
        if self.cursor.next_if(&["("]).is_none() {
            return self.flag();
        }
        let mut flags = self.flag()?;
        while self.cursor.next_if(&["|"]).is_some() {
            flags |= self.flag()?;
        }
        self.cursor.expect_word(")")?;
        Ok(flags)
    }

    fn flag(&mut self) -> Result<u8, ParseError> {
        let token = self
            .cursor
            .expect("a TCP flag such as `tcp-syn`, or a number")?;
        self.valid(token, |word| value::named_byte(word, "TCP flag", TCP_FLAGS))
    }

    /// `PROTOCOL SOURCE > DESTINATION` after `flow`.
    pub(super) fn flow(&mut self) -> Result<Expression, ParseError> {
        let words = FlowWords::take(&mut self.cursor)?;
        // In the order of the expression's primitives.
        self.leaves.push(words.protocol);
        self.leaves.extend([words.source; 2]);
        self.leaves.extend([words.destination; 2]);
        Ok(words.flow.into())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Relation {
    Equal,
    Different,
}

/// A flow, and the words it came from.
pub(super) struct FlowWords<'a> {
    pub(super) flow: Flow,
    protocol: Token<'a>,
    source: Token<'a>,
    destination: Token<'a>,
}

impl<'a> FlowWords<'a> {
    pub(super) fn take(cursor: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let protocol = cursor.expect("`tcp`, `udp` or `sctp`")?;
        let number = value::named_byte(protocol.word, "protocol", PORT_PROTOCOLS)
            .ok()
            .filter(|number| matches!(number, 6 | 17 | 132))
            .ok_or_else(|| cursor.not_expected(protocol, "`tcp`, `udp` or `sctp`"))?;
        let (source, source_end) = end_point(cursor)?;
        cursor.expect_word(">")?;
        let (destination, destination_end) = end_point(cursor)?;
        if source_end.is_ipv4() != destination_end.is_ipv4() {
            return Err(cursor.error(
                destination,
                "one end is IPv4 and the other IPv6: use two of one version",
            ));
        }
        Ok(Self {
            flow: Flow {
                protocol: number,
                source: source_end,
                destination: destination_end,
            },
            protocol,
            source,
            destination,
        })
    }
}

/// `10.0.0.1:80`, which is one word, or `[fd00::1]:80`, which is four.
fn end_point<'a>(cursor: &mut Cursor<'a>) -> Result<(Token<'a>, std::net::SocketAddr), ParseError> {
    let expected = "an address with a port such as 10.0.0.1:80 or [fd00::1]:80";
    let first = cursor.expect(expected)?;
    let mut word = first.word.to_owned();
    let mut at = first;
    if first.word == "[" {
        for _ in 0..3 {
            let part = cursor.expect(expected)?;
            if word == "[" {
                at = part;
            }
            word.push_str(part.word);
        }
    }
    match value::end_point(&word) {
        Ok(end_point) => Ok((at, end_point)),
        Err(message) => Err(cursor.error(at, message)),
    }
}
