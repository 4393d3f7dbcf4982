//! Primitives: what stands between `and` and `or`.

use super::cursor::Token;
use super::error::{ParseError, shown};
use super::qualifiers::Layer;
use super::reader::Reader;
use super::suggest::suggestion;
use super::value;
use super::words::{DIRECTIONS, KINDS, PRIMITIVE, WORDS};
use crate::steering::rules::names::{ETHER_TYPES, PORT_PROTOCOLS, PROTOCOLS, value_of};
use crate::steering::rules::{Expression, Primitive, VlanTag};

impl<'a> Reader<'a> {
    /// The primitive that starts with `token`. None where only the words before a
    /// parenthesis were read: see [`qualified`](Self::qualified).
    pub(super) fn primitive(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        if value::looks_like_value(token.word) {
            return self.carried_over(token).map(Some);
        }
        self.qualifiers = None;
        let expression = match token.word {
            "tcp" if self.cursor.next_is(&["["]) => self.tcp_flags(token)?,
            "icmp" | "icmp6" if self.cursor.next_is(&["["]) => self.icmp_type(token)?,
            "tcp" | "udp" | "sctp" => return self.transport(token),
            "ip" | "ip6" => return self.network(token),
            "src" | "dst" | "host" | "net" | "port" | "portrange" => {
                return self.qualified(token, Layer::Any);
            }
            "arp" | "rarp" => self.arp(token)?,
            "icmp" => {
                self.leaf(token, Primitive::EtherType(0x0800))
                    & self.leaf(token, Primitive::Protocol(1))
            }
            "icmp6" => {
                self.leaf(token, Primitive::EtherType(0x86dd))
                    & self.leaf(token, Primitive::Protocol(58))
            }
            "vlan" => self.vlan(token, VlanTag::Outer)?,
            "inner" => {
                self.cursor.expect_word("vlan")?;
                self.vlan(token, VlanTag::Inner)?
            }
            "fragment" => self.leaf(token, Primitive::LaterFragment),
            "ether" => self.ether()?,
            "proto" => self.protocol()?,
            "flow" => self.flow()?,
            _ => return Err(self.unknown(token)),
        };
        Ok(Some(expression))
    }

    fn arp(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        if self.cursor.next_is(DIRECTIONS) || self.cursor.next_is(KINDS) {
            let next = self.cursor.expect("a word")?;
            let message = format!(
                "addresses in {} are not looked at: write `{0}` alone",
                token.word
            );
            return Err(self.cursor.error(next, message));
        }
        let number = value_of(ETHER_TYPES, token.word).expect("it has a name");
        Ok(self.leaf(token, Primitive::EtherType(number)))
    }

    fn unknown(&self, token: Token<'_>) -> ParseError {
        let word = shown(token.word);
        let message = if matches!(token.word, "and" | "or" | "&&" | "||" | ")") {
            format!("expected {PRIMITIVE}, not `{word}`")
        } else if let Some(near) = suggestion(token.word, WORDS.iter().copied()) {
            format!("unknown word `{word}`: did you mean `{near}`?")
        } else {
            format!("unknown word `{word}`: expected {PRIMITIVE}")
        };
        self.cursor.error(token, message)
    }

    fn vlan(&mut self, token: Token<'a>, tag: VlanTag) -> Result<Expression, ParseError> {
        let is_id = |next: &Token<'_>| value::looks_like_value(next.word);
        let id = self.cursor.peek(0).filter(is_id);
        let Some(id_token) = id else {
            return Ok(self.leaf(token, Primitive::Vlan(tag, None)));
        };
        self.cursor.next();
        let id = self.valid(id_token, value::vlan_id)?;
        Ok(self.leaf(id_token, Primitive::Vlan(tag, Some(id))))
    }

    fn ether(&mut self) -> Result<Expression, ParseError> {
        let expected = "`proto` or `dst` after `ether`";
        let token = self.cursor.expect(expected)?;
        match token.word {
            "proto" => {
                let number = self.cursor.expect("an EtherType")?;
                let ether_type = self.valid(number, |word| value::ether_type(word, ETHER_TYPES))?;
                Ok(self.leaf(number, Primitive::EtherType(ether_type)))
            }
            "dst" => {
                self.cursor.next_if(&["host"]);
                let address = self.cursor.expect("a MAC address")?;
                let mac = self.valid(address, value::mac)?;
                Ok(self.leaf(address, Primitive::EtherDestination(mac)))
            }
            _ => Err(self.cursor.not_expected(token, expected)),
        }
    }

    fn protocol(&mut self) -> Result<Expression, ParseError> {
        let token = self.cursor.expect("a protocol's number or name")?;
        let number = self.valid(token, |word| value::named_byte(word, "protocol", PROTOCOLS))?;
        Ok(self.leaf(token, Primitive::Protocol(number)))
    }

    fn transport(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        let number = value_of(PORT_PROTOCOLS, token.word).expect("it has a name");
        match self
            .cursor
            .next_if(DIRECTIONS)
            .or_else(|| self.cursor.next_if(KINDS))
        {
            Some(next) => self.qualified(next, Layer::Transport(number)),
            None => Ok(Some(self.leaf(token, Primitive::Protocol(number)))),
        }
    }

    fn network(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        let number = value_of(ETHER_TYPES, token.word).expect("it has a name");
        if let Some(sign) = self.cursor.next_if(&["["]) {
            return Err(self.cursor.error(
                sign,
                "only `tcp[tcpflags]`, `icmp[icmptype]` and `icmp6[icmp6type]` can be looked into",
            ));
        }
        if self.cursor.next_if(&["proto"]).is_some() {
            let version = self.leaf(token, Primitive::EtherType(number));
            return Ok(Some(version & self.protocol()?));
        }
        match self
            .cursor
            .next_if(DIRECTIONS)
            .or_else(|| self.cursor.next_if(KINDS))
        {
            Some(next) => self.qualified(next, Layer::Network(number)),
            None => Ok(Some(self.leaf(token, Primitive::EtherType(number)))),
        }
    }
}
