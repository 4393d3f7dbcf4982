//! The questions an expression is made of, each about one field of a frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// One question about one field. VLAN tags, up to two, are looked through:
/// whatever is asked behind the Ethernet header is asked behind its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Primitive {
    /// The EtherType behind the VLAN tags. A frame with an 802.3 length has none.
    EtherType(u16),
    /// Whether the tag is there (802.1Q, 802.1ad or 0x9100) and has one of these ids.
    Vlan(VlanTag, Option<VlanIds>),
    /// A MAC address.
    Ether(Side, MacAddress),
    /// Whether the destination MAC address is a group's: multicast or broadcast.
    EtherMulticast,
    /// The frame has at most this many bytes, its Ethernet header and all, without the
    /// frame check sequence. The bytes of all its buffers count.
    AtMostBytes(u16),
    /// The frame has at least this many bytes, counted the same way.
    AtLeastBytes(u16),
    /// An IP address in a prefix. Addresses in ARP are not looked at.
    Address(Side, Prefix),
    /// An IPv4 address in ARP: the sender's as the source, the one asked for as the
    /// destination. False for all other frames.
    ArpAddress(Side, Prefix),
    /// The upper-layer protocol of IPv4 or IPv6, behind extension headers. The number
    /// of an extension header (0, 43, 44, 51, 60) asks whether an IPv6 packet has that
    /// header, or an IPv4 packet that protocol.
    Protocol(u8),
    /// An IP fragment after the first: one without the upper layer's header.
    LaterFragment,
    /// A port of TCP, UDP or SCTP.
    Port(Side, Ports),
    /// Bits of the TCP flags.
    TcpFlags(TcpFlags),
    /// The type of an ICMP (IPv4) or ICMPv6 message.
    IcmpType(IcmpVersion, u8),
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// Which of two VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VlanTag {
    /// The first on the wire.
    Outer,
    /// The second.
    Inner,
}

/// Which of the two ICMP protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpVersion {
    /// ICMP, of IPv4.
    V4,
    /// ICMPv6.
    V6,
}

/// A VLAN id, 0 to 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VlanId(u16);

impl VlanId {
    /// The id `id`.
    ///
    /// # Errors
    ///
    /// Above 4095: ids have 12 bits.
    pub fn new(id: u16) -> Result<Self, ValueError> {
        if id <= 4095 {
            Ok(Self(id))
        } else {
            Err(ValueError::VlanId(id))
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// VLAN ids from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanIds {
    first: VlanId,
    last: VlanId,
}

impl VlanIds {
    /// A single id.
    #[must_use]
    pub fn one(id: VlanId) -> Self {
        Self {
            first: id,
            last: id,
        }
    }

    /// The ids from `first` to `last`, both included.
    ///
    /// # Errors
    ///
    /// When `last` is below `first`.
    pub fn range(first: VlanId, last: VlanId) -> Result<Self, ValueError> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(ValueError::VlanIds {
                first: first.get(),
                last: last.get(),
            })
        }
    }

    /// The first.
    #[must_use]
    pub fn first(self) -> VlanId {
        self.first
    }

    /// The last, which is included.
    #[must_use]
    pub fn last(self) -> VlanId {
        self.last
    }

    /// Whether `id` is in the range.
    #[must_use]
    pub fn contains(self, id: VlanId) -> bool {
        (self.first..=self.last).contains(&id)
    }
}

impl From<VlanId> for VlanIds {
    fn from(id: VlanId) -> Self {
        Self::one(id)
    }
}

/// A MAC address, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// All hosts.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it is a group's: multicast or broadcast.
    #[must_use]
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

/// Ports from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// A single port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// The ports from `first` to `last`, both included.
    ///
    /// # Errors
    ///
    /// When `last` is below `first`.
    pub fn range(first: u16, last: u16) -> Result<Self, ValueError> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(ValueError::Ports { first, last })
        }
    }

    /// The first.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last, which is included.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether `port` is in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// An address with a number of bits that count. The others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `address`/`length`.
    ///
    /// # Errors
    ///
    /// When `length` is above 32 for IPv4 or 128 for IPv6, or the address has
    /// bits set that do not count: that is usually a slip, as in 10.0.0.1/8.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, ValueError> {
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if length > most {
            return Err(ValueError::PrefixLength { length, most });
        }
        let network = network(address, length);
        if network != address {
            return Err(ValueError::HostBits { network, length });
        }
        Ok(Self { address, length })
    }

    /// The prefix that has only `address` in it.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits count, from the left.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether `address` is in it; one of the other version never is.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && network(address, self.length) == self.address
    }
}

/// `address` with all bits but the first `length` cleared.
fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// What is asked of the TCP flags, the header's byte 13: FIN 1, SYN 2, RST 4,
/// PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpFlags {
    /// At least one of these bits is set: `tcp[tcpflags] & MASK != 0`.
    Any(u8),
    /// The bits under the mask are these: `tcp[tcpflags] & MASK == VALUE`.
    Equal {
        /// The bits that count.
        mask: u8,
        /// What they must be.
        value: u8,
    },
}

/// A value that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// VLAN ids have 12 bits.
    #[error("VLAN id {0} is out of range: use 0 to 4095")]
    VlanId(u16),
    /// The range is the wrong way round.
    #[error("VLAN ids {first}-{last} are the wrong way round: use {last}-{first}")]
    VlanIds {
        /// The first, which is above the last.
        first: u16,
        /// The last.
        last: u16,
    },
    /// The range is the wrong way round.
    #[error("ports {first}-{last} are the wrong way round: use {last}-{first}")]
    Ports {
        /// The first, which is above the last.
        first: u16,
        /// The last.
        last: u16,
    },
    /// More bits than an address has.
    #[error("prefix length {length} is out of range: use 0 to {most}")]
    PrefixLength {
        /// The length asked for.
        length: u8,
        /// The bits of an address.
        most: u8,
    },
    /// Bits behind the prefix.
    #[error("the address has bits set behind its /{length}: use {network}/{length}")]
    HostBits {
        /// The address without them.
        network: IpAddr,
        /// The length asked for.
        length: u8,
    },
}
