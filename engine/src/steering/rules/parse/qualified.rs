//! Addresses and ports with what comes before them: `tcp src port 80`,
//! `ip dst net 10.0.0.0/8`; and bare values, which take that over.

use std::net::IpAddr;

use super::cursor::Token;
use super::error::{ParseError, shown};
use super::qualifiers::{Direction, Kind, Layer, Qualifiers};
use super::reader::Reader;
use super::value;
use super::words::KINDS;
use crate::steering::rules::{Expression, MacAddress, Ports, Prefix, Primitive, Side};

impl<'a> Reader<'a> {
    /// A direction, or `host`, `net`, `port`, `portrange`; `first` is taken.
    ///
    /// None where a parenthesis with values follows, as in `port (22 or 80)`: the
    /// caller reads it, and each value takes over the words read here.
    pub(super) fn qualified(
        &mut self,
        first: Token<'a>,
        layer: Layer,
    ) -> Result<Option<Expression>, ParseError> {
        let (direction, kind) = match first.word {
            "src" | "dst" => (self.direction(first), self.cursor.next_if(KINDS)),
            _ => (Direction::Either, Some(first)),
        };
        let kind = match kind {
            Some(token) => self.kind(token, layer)?,
            None => Kind::Bare,
        };
        let qualifiers = Qualifiers {
            layer,
            direction,
            kind,
        };
        self.qualifiers = Some(qualifiers);
        let expected = match (kind, layer) {
            (Kind::Bare, Layer::Transport(_)) => "`port` or `portrange`",
            (Kind::Bare | Kind::Host, Layer::Ether) => "a MAC address",
            (Kind::Bare, Layer::Arp) => "an address, `host` or `net`",
            (Kind::Bare, _) => "an address, `host`, `net`, `port` or `portrange`",
            (Kind::Host, _) => "an address",
            (Kind::Net, _) => "a prefix such as 10.0.0.0/8",
            (Kind::Port, _) => "a port number",
            (Kind::PortRange, _) => "a range such as 1000-2000",
        };
        if self.cursor.next_is(&["("])
            && self
                .cursor
                .peek(1)
                .is_some_and(|next| value::looks_like_value(next.word))
        {
            return Ok(None);
        }
        let token = self.cursor.expect(expected)?;
        self.value(token, qualifiers, expected).map(Some)
    }

    fn direction(&mut self, first: Token<'a>) -> Direction {
        let other = if first.word == "src" { "dst" } else { "src" };
        if self
            .cursor
            .peek(1)
            .is_some_and(|second| second.word == other)
        {
            let joined = match self.cursor.peek(0).map(|token| token.word) {
                Some("or" | "||") => Some(Direction::Either),
                Some("and" | "&&") => Some(Direction::Both),
                _ => None,
            };
            if let Some(direction) = joined {
                self.cursor.next();
                self.cursor.next();
                return direction;
            }
        }
        if first.word == "src" {
            Direction::Source
        } else {
            Direction::Destination
        }
    }

    fn kind(&self, token: Token<'_>, layer: Layer) -> Result<Kind, ParseError> {
        let word = token.word;
        match (word, layer) {
            ("host" | "net", Layer::Transport(_)) => Err(self.cursor.error(
                token,
                format!("`{word}` is no part of a transport protocol: write `and {word}`"),
            )),
            ("port" | "portrange", Layer::Network(_)) => Err(self.cursor.error(
                token,
                format!("`{word}` is no part of IP itself: write `and {word}`"),
            )),
            ("port" | "portrange", Layer::Ether | Layer::Arp) => Err(self.cursor.error(
                token,
                format!("there are no ports before IP: write `{word}` alone"),
            )),
            ("net", Layer::Ether) => Err(self.cursor.error(
                token,
                "a MAC address has no prefix: write `ether host` and the address",
            )),
            ("host", _) => Ok(Kind::Host),
            ("net", _) => Ok(Kind::Net),
            ("port", _) => Ok(Kind::Port),
            _ => Ok(Kind::PortRange),
        }
    }

    /// A bare value, which takes over what came before the last one.
    pub(super) fn carried_over(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        match self.qualifiers {
            Some(qualifiers) => self.value(token, qualifiers, "a value"),
            None if self.after_vlan => {
                let word = shown(token.word);
                Err(self.cursor.error(
                    token,
                    format!(
                        "`{word}` of what? write `vlan {word}`, or a range such as `vlan 100-200`"
                    ),
                ))
            }
            None => {
                let word = shown(token.word);
                Err(self.cursor.error(
                    token,
                    format!(
                        "`{word}` of what? write `{} {word}`",
                        words_before(token.word)
                    ),
                ))
            }
        }
    }

    /// The value that `qualifiers` are followed by.
    fn value(
        &mut self,
        token: Token<'a>,
        qualifiers: Qualifiers,
        expected: &str,
    ) -> Result<Expression, ParseError> {
        if matches!(
            token.word,
            "(" | ")" | "and" | "or" | "not" | "!" | "&&" | "||"
        ) {
            return Err(self.cursor.not_expected(token, expected));
        }
        let Qualifiers {
            layer, direction, ..
        } = qualifiers;
        if let Some((first, rest)) = token.word.split_once(',') {
            let list = rest.replace(',', " or ");
            let message = format!(
                "a list is written with `or`: `{} or {}`",
                shown(first),
                shown(&list)
            );
            return Err(self.cursor.error(token, message));
        }
        match qualifiers.kind {
            Kind::Host | Kind::Bare if layer == Layer::Ether => {
                let mac = self.valid(token, value::mac)?;
                Ok(self.sides(token, direction, |side| Primitive::Ether(side, mac)))
            }
            Kind::Port if matches!(token.word, "<" | ">" | "=" | "==" | "!=") => {
                Err(self.cursor.error(
                    token,
                    "ports from one to another are a range, such as `portrange 1024-65535`",
                ))
            }
            Kind::Bare if matches!(layer, Layer::Transport(_)) => {
                Err(self.cursor.not_expected(token, expected))
            }
            Kind::Bare if !value::looks_like_value(token.word) => {
                Err(self.cursor.not_expected(token, expected))
            }
            Kind::Bare if token.word.contains('/') => {
                let prefix = self.valid(token, value::prefix)?;
                self.prefix(token, prefix, layer, direction)
            }
            Kind::Host | Kind::Bare => {
                let prefix = self.valid(token, value::address).map(Prefix::host)?;
                self.prefix(token, prefix, layer, direction)
            }
            Kind::Net => {
                let prefix = if self.cursor.next_if(&["mask"]).is_some() {
                    let mask = self.cursor.expect("a mask such as 255.255.0.0")?;
                    self.valid(mask, |mask| value::masked_prefix(token.word, mask))?
                } else {
                    self.valid(token, value::prefix)?
                };
                self.prefix(token, prefix, layer, direction)
            }
            Kind::Port => {
                let ports = self.valid(token, value::port).map(Ports::one)?;
                Ok(self.ports(token, ports, layer, direction))
            }
            Kind::PortRange => {
                let ports = self.valid(token, value::port_range)?;
                Ok(self.ports(token, ports, layer, direction))
            }
        }
    }

    fn prefix(
        &mut self,
        token: Token<'a>,
        prefix: Prefix,
        layer: Layer,
        direction: Direction,
    ) -> Result<Expression, ParseError> {
        let is_ipv4 = prefix.address().is_ipv4();
        let on = |side| Primitive::Address(side, prefix);
        match layer {
            Layer::Arp if !is_ipv4 => {
                let word = shown(token.word);
                let message = format!(
                    "`{word}` is IPv6, but ARP has IPv4 addresses: IPv6 asks with `icmp6[icmp6type] == icmp6-neighborsolicit`"
                );
                Err(self.cursor.error(token, message))
            }
            Layer::Arp => {
                Ok(self.sides(token, direction, |side| Primitive::ArpAddress(side, prefix)))
            }
            Layer::Network(number) if is_ipv4 != (number == 0x0800) => {
                let (asked, given) = if is_ipv4 {
                    ("ip6", "IPv4")
                } else {
                    ("ip", "IPv6")
                };
                let word = shown(token.word);
                Err(self.cursor.error(
                    token,
                    format!(
                        "`{word}` is {given}, but `{asked}` comes before it: leave out `{asked}`"
                    ),
                ))
            }
            Layer::Network(number) => {
                let network = self.leaf(token, Primitive::EtherType(number));
                Ok(network & self.sides(token, direction, on))
            }
            _ => Ok(self.sides(token, direction, on)),
        }
    }

    fn ports(
        &mut self,
        token: Token<'a>,
        ports: Ports,
        layer: Layer,
        direction: Direction,
    ) -> Expression {
        let on = |side| Primitive::Port(side, ports);
        match layer {
            Layer::Transport(number) => {
                let transport = self.leaf(token, Primitive::Protocol(number));
                transport & self.sides(token, direction, on)
            }
            _ => self.sides(token, direction, on),
        }
    }

    fn sides(
        &mut self,
        token: Token<'a>,
        direction: Direction,
        on: impl Fn(Side) -> Primitive,
    ) -> Expression {
        let mut leaf = |side| self.leaf(token, on(side));
        match direction {
            Direction::Source => leaf(Side::Source),
            Direction::Destination => leaf(Side::Destination),
            Direction::Either => leaf(Side::Source) | leaf(Side::Destination),
            Direction::Both => leaf(Side::Source) & leaf(Side::Destination),
        }
    }
}

/// The words that a bare value most likely lacks, going by its form.
fn words_before(value: &str) -> &'static str {
    let is_range = |(from, to): (&str, &str)| is_number(from) && is_number(to);
    if value.parse::<MacAddress>().is_ok() {
        "ether host"
    } else if value.parse::<IpAddr>().is_ok() {
        "host"
    } else if is_number(value) {
        "port"
    } else if value.split_once('-').is_some_and(is_range) {
        "portrange"
    } else {
        "net"
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
