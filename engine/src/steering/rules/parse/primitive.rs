//! Primitives: what stands between `and` and `or`.

use std::net::Ipv6Addr;

use super::cursor::Token;
use super::elsewhere::{instead_of, instead_of_bytes};
use super::error::{ParseError, shown};
use super::qualifiers::Layer;
use super::reader::Reader;
use super::suggest::suggestion;
use super::value;
use super::words::{DIRECTIONS, KINDS, PRIMITIVE, WORDS};
use crate::steering::rules::names::{
    ETHER_TYPES, IPV4_PROTOCOL_WORDS, PORT_PROTOCOLS, PROTOCOL_WORDS, PROTOCOLS, value_of,
};
use crate::steering::rules::{Expression, MacAddress, Prefix, Primitive, Side, VlanTag};

impl<'a> Reader<'a> {
    /// The primitive that starts with `token`. None where only the words before a
    /// parenthesis were read: see [`qualified`](Self::qualified).
    pub(super) fn primitive(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        if value::looks_like_value(token.word) {
            return self.carried_over(token).map(Some);
        }
        self.qualifiers = None;
        self.after_vlan = false;
        let expression = match token.word {
            "tcp" if self.cursor.next_is(&["["]) => self.tcp_flags(token)?,
            "icmp" | "icmp6" if self.cursor.next_is(&["["]) => self.icmp_type(token)?,
            "tcp" | "udp" | "sctp" => return self.transport(token),
            "ip" | "ip6" => return self.network(token),
            "src" | "dst" | "host" | "net" | "port" | "portrange" => {
                return self.qualified(token, Layer::Any);
            }
            "arp" => return self.arp(token),
            "rarp" => self.rarp(token)?,
            "esp" | "ah" | "pim" => {
                let number = value_of(PROTOCOL_WORDS, token.word).expect("it has a name");
                self.leaf(token, Primitive::Protocol(number))
            }
            "icmp" | "igmp" | "igrp" | "vrrp" | "carp" => {
                let number = value_of(IPV4_PROTOCOL_WORDS, token.word).expect("it has a name");
                self.leaf(token, Primitive::EtherType(0x0800))
                    & self.leaf(token, Primitive::Protocol(number))
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
            "ether" => return self.ether(token),
            "broadcast" => self.leaf(token, BROADCAST),
            "multicast" => self.leaf(token, Primitive::EtherMulticast),
            "less" => self.bound(Primitive::AtMostBytes)?,
            "greater" => self.bound(Primitive::AtLeastBytes)?,
            "len" => self.length(token)?,
            "proto" => self.protocol()?,
            "flow" => self.flow()?,
            _ => return Err(self.unknown(token)),
        };
        Ok(Some(expression))
    }

    fn arp(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        self.no_bytes(token)?;
        match self
            .cursor
            .next_if(DIRECTIONS)
            .or_else(|| self.cursor.next_if(KINDS))
        {
            Some(next) => self.qualified(next, Layer::Arp),
            None => Ok(Some(self.leaf(token, Primitive::EtherType(0x0806)))),
        }
    }

    fn rarp(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        self.no_bytes(token)?;
        if self.cursor.next_is(DIRECTIONS) || self.cursor.next_is(KINDS) {
            let next = self.cursor.expect("a word")?;
            let message = "addresses in rarp are not looked at: write `rarp` alone";
            return Err(self.cursor.error(next, message));
        }
        Ok(self.leaf(token, Primitive::EtherType(0x8035)))
    }

    /// `ip[8]` and the like: only some headers can be looked into.
    fn no_bytes(&mut self, header: Token<'a>) -> Result<(), ParseError> {
        let Some(bracket) = self.cursor.next_if(&["["]) else {
            return Ok(());
        };
        let offset = self.cursor.next().map_or("", |token| token.word);
        let offset = offset.split(':').next().unwrap_or_default();
        let message = instead_of_bytes(header.word, offset);
        Err(self.cursor.error(bracket, message))
    }

    fn unknown(&self, token: Token<'_>) -> ParseError {
        let word = shown(token.word);
        let message = if matches!(token.word, "and" | "or" | "&&" | "||" | ")") {
            format!("expected {PRIMITIVE}, not `{word}`")
        } else if let Some(remedy) = instead_of(token.word) {
            format!("`{word}` is no word of this language: {remedy}")
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
        if let Some((first, rest)) = id_token.word.split_once(',') {
            let list = rest.replace(',', " or vlan ");
            let message = format!(
                "a list is written with `or`: `vlan {} or vlan {}`",
                shown(first),
                shown(&list)
            );
            return Err(self.cursor.error(id_token, message));
        }
        let ids = self.valid(id_token, value::vlan_ids)?;
        self.after_vlan = true;
        Ok(self.leaf(id_token, Primitive::Vlan(tag, Some(ids))))
    }

    fn ether(&mut self, ether: Token<'a>) -> Result<Option<Expression>, ParseError> {
        self.no_bytes(ether)?;
        let expected = "`proto`, `src`, `dst`, `host`, `multicast` or `broadcast` after `ether`";
        let token = self.cursor.expect(expected)?;
        let expression = match token.word {
            "proto" => {
                let number = self.cursor.expect("an EtherType")?;
                let ether_type = self.valid(number, |word| value::ether_type(word, ETHER_TYPES))?;
                self.leaf(number, Primitive::EtherType(ether_type))
            }
            "src" | "dst" | "host" | "net" | "port" | "portrange" => {
                return self.qualified(token, Layer::Ether);
            }
            "multicast" => self.leaf(token, Primitive::EtherMulticast),
            "broadcast" => self.leaf(token, BROADCAST),
            _ => return Err(self.cursor.not_expected(token, expected)),
        };
        Ok(Some(expression))
    }

    fn protocol(&mut self) -> Result<Expression, ParseError> {
        let token = self.cursor.expect("a protocol's number or name")?;
        let number = self.valid(token, |word| value::named_byte(word, "protocol", PROTOCOLS))?;
        Ok(self.leaf(token, Primitive::Protocol(number)))
    }

    fn transport(&mut self, token: Token<'a>) -> Result<Option<Expression>, ParseError> {
        let number = value_of(PORT_PROTOCOLS, token.word).expect("it has a name");
        self.no_bytes(token)?;
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
        self.no_bytes(token)?;
        if let Some(expression) = self.group(token)? {
            return Ok(Some(expression));
        }
        if let Some(flow) = self.cursor.next_if(&["flow"]) {
            let message = "the flow label is not looked at: match by addresses, protocol or ports";
            return Err(self.cursor.error(flow, message));
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

    /// `multicast` or `broadcast` after `ip` or `ip6`.
    fn group(&mut self, ip: Token<'a>) -> Result<Option<Expression>, ParseError> {
        let Some(token) = self.cursor.next_if(&["multicast", "broadcast"]) else {
            return Ok(None);
        };
        let (number, groups) = match (ip.word, token.word) {
            // As tcpdump has it: from 224.0.0.0 on, up to 255.255.255.255.
            ("ip", "multicast") => (0x0800, Prefix::new([224, 0, 0, 0].into(), 3)),
            ("ip6", "multicast") => {
                let groups = Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0);
                (0x86dd, Prefix::new(groups.into(), 8))
            }
            ("ip", _) => {
                let message = "a broadcast address depends on the network's mask: write `dst host` and the address, such as 255.255.255.255, or `ether broadcast`";
                return Err(self.cursor.error(token, message));
            }
            _ => {
                let message = "IPv6 has no broadcast: write `ip6 multicast`";
                return Err(self.cursor.error(token, message));
            }
        };
        let groups = groups.expect("the bits behind it are clear");
        let network = self.leaf(ip, Primitive::EtherType(number));
        Ok(Some(
            network & self.leaf(token, Primitive::Address(Side::Destination, groups)),
        ))
    }
}

const BROADCAST: Primitive = Primitive::Ether(Side::Destination, MacAddress::BROADCAST);
