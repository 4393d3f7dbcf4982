//! Primitives: what stands between `and` and `or`.

use super::super::names::{ETHER_TYPES, PORT_PROTOCOLS, PROTOCOLS, value_of};
use super::super::{Expression, Ports, Prefix, Primitive, Side, VlanTag};
use super::cursor::Token;
use super::error::{ParseError, shown};
use super::expression::{PRIMITIVE, Parser};
use super::suggest::suggestion;
use super::value;

/// What a value is preceded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    /// `ip` or `ip6`, as its EtherType, and `tcp`, `udp` or `sctp`, as its number.
    layer: Layer,
    direction: Direction,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    Any,
    Network(u16),
    Transport(u8),
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Source,
    Destination,
    Either,
    Both,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// None given: an address or a prefix.
    Bare,
    Host,
    Net,
    Port,
    PortRange,
}

impl<'a> Parser<'a> {
    /// The primitive that starts with `token`.
    pub(super) fn primitive(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        if value::looks_like_value(token.word) {
            return self.carried_over(token);
        }
        self.qualifiers = None;
        match token.word {
            "tcp" if self.cursor.next_is(&["["]) => self.tcp_flags(token),
            "icmp" | "icmp6" if self.cursor.next_is(&["["]) => self.icmp_type(token),
            "tcp" | "udp" | "sctp" => self.transport(token),
            "ip" | "ip6" => self.network(token),
            "arp" | "rarp" => {
                if self.cursor.next_is(DIRECTIONS) || self.cursor.next_is(KINDS) {
                    let next = self.cursor.expect("a word")?;
                    return Err(self.cursor.error(
                        next,
                        format!(
                            "addresses in {} are not looked at: write `{0}` alone",
                            token.word
                        ),
                    ));
                }
                let number = value_of(ETHER_TYPES, token.word).expect("it has a name");
                Ok(self.leaf(token, Primitive::EtherType(number)))
            }
            "icmp" => Ok(self.leaf(token, Primitive::EtherType(0x0800))
                & self.leaf(token, Primitive::Protocol(1))),
            "icmp6" => Ok(self.leaf(token, Primitive::EtherType(0x86dd))
                & self.leaf(token, Primitive::Protocol(58))),
            "vlan" => self.vlan(token, VlanTag::Outer),
            "inner" => {
                self.cursor.expect_word("vlan")?;
                self.vlan(token, VlanTag::Inner)
            }
            "fragment" => Ok(self.leaf(token, Primitive::LaterFragment)),
            "ether" => self.ether(),
            "proto" => self.protocol(),
            "src" | "dst" | "host" | "net" | "port" | "portrange" => {
                self.qualified(token, Layer::Any)
            }
            "flow" => self.flow(),
            _ => Err(self.unknown(token)),
        }
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

    pub(super) fn leaf(&mut self, token: Token<'a>, primitive: Primitive) -> Expression {
        self.leaves.push(token);
        primitive.into()
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

    fn transport(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        let number = value_of(PORT_PROTOCOLS, token.word).expect("it has a name");
        match self
            .cursor
            .next_if(DIRECTIONS)
            .or_else(|| self.cursor.next_if(KINDS))
        {
            Some(next) => self.qualified(next, Layer::Transport(number)),
            None => Ok(self.leaf(token, Primitive::Protocol(number))),
        }
    }

    fn network(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        let number = value_of(ETHER_TYPES, token.word).expect("it has a name");
        if let Some(sign) = self.cursor.next_if(&["["]) {
            return Err(self.cursor.error(
                sign,
                "only `tcp[tcpflags]`, `icmp[icmptype]` and `icmp6[icmp6type]` can be looked into",
            ));
        }
        if self.cursor.next_if(&["proto"]).is_some() {
            return Ok(self.leaf(token, Primitive::EtherType(number)) & self.protocol()?);
        }
        match self
            .cursor
            .next_if(DIRECTIONS)
            .or_else(|| self.cursor.next_if(KINDS))
        {
            Some(next) => self.qualified(next, Layer::Network(number)),
            None => Ok(self.leaf(token, Primitive::EtherType(number))),
        }
    }

    /// A direction, or `host`, `net`, `port`, `portrange`; `first` is taken.
    fn qualified(&mut self, first: Token<'a>, layer: Layer) -> Result<Expression, ParseError> {
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
            (Kind::Bare, _) => "an address, `host`, `net`, `port` or `portrange`",
            (Kind::Host, _) => "an address",
            (Kind::Net, _) => "a prefix such as 10.0.0.0/8",
            (Kind::Port, _) => "a port number",
            (Kind::PortRange, _) => "a range such as 1000-2000",
        };
        // `port (22 or 80)`: the values in parentheses carry over what is before.
        if self.cursor.next_is(&["("])
            && self
                .cursor
                .peek(1)
                .is_some_and(|next| value::looks_like_value(next.word))
        {
            return self.member();
        }
        let token = self.cursor.expect(expected)?;
        self.value(token, qualifiers, expected)
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
            ("host", _) => Ok(Kind::Host),
            ("net", _) => Ok(Kind::Net),
            ("port", _) => Ok(Kind::Port),
            _ => Ok(Kind::PortRange),
        }
    }

    /// A bare value, which takes over what came before the last one.
    fn carried_over(&mut self, token: Token<'a>) -> Result<Expression, ParseError> {
        match self.qualifiers {
            Some(qualifiers) => self.value(token, qualifiers, "a value"),
            None => {
                let word = shown(token.word);
                Err(self.cursor.error(
                    token,
                    format!("`{word}` of what? write `host {word}`, `net {word}` or `port {word}`"),
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
        match qualifiers.kind {
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

    /// The value of a word, or its message at the word.
    pub(super) fn valid<T>(
        &self,
        token: Token<'_>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ParseError> {
        read(token.word).map_err(|message| self.cursor.error(token, message))
    }
}

const DIRECTIONS: &[&str] = &["src", "dst"];
const KINDS: &[&str] = &["host", "net", "port", "portrange"];

/// Words that start a primitive or join them, to suggest from.
pub(super) const WORDS: &[&str] = &[
    "tcp",
    "udp",
    "sctp",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "icmp",
    "icmp6",
    "vlan",
    "inner",
    "fragment",
    "ether",
    "proto",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "flow",
    "not",
    "and",
    "or",
];
