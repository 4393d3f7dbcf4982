//! Primitives and their values as text.

use std::fmt;

use crate::steering::rules::names::{
    ETHER_TYPES, ICMP_TYPES, ICMP6_TYPES, PROTOCOL_WORDS, TCP_FLAGS, name_of,
};
use crate::steering::rules::primitive::{
    IcmpVersion, MacAddress, Ports, Prefix, Primitive, Side, TcpFlags, VlanTag,
};

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
                match id.map(|ids| (ids.first().get(), ids.last().get())) {
                    None => Ok(()),
                    Some((first, last)) if first == last => write!(f, " {first}"),
                    Some((first, last)) => write!(f, " {first}-{last}"),
                }
            }
            Self::Ether(side, address) => write!(f, "ether {side} {address}"),
            Self::EtherMulticast => f.write_str("ether multicast"),
            Self::AtMostBytes(most) => write!(f, "less {most}"),
            Self::AtLeastBytes(least) => write!(f, "greater {least}"),
            Self::ArpAddress(side, prefix) => write!(f, "arp {side} {}", Asked(prefix)),
            Self::Address(side, prefix) => write!(f, "{side} {}", Asked(prefix)),
            Self::Protocol(number) => match name_of(PROTOCOL_WORDS, number) {
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
pub(super) struct Asked<T>(pub(super) T);

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
