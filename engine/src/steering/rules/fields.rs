//! What a frame says in the fields that rules ask for, each of them present,
//! absent, or undecided.
//!
//! The plain parser: the XDP program in `ebpf/` comes to the same answers, and the
//! tests compare the two. Where the wire leaves a choice, this is the rule:
//!
//! - Less than an Ethernet header: all is undecided.
//! - A VLAN tag cut off by the frame's end: that tag and all behind it are
//!   undecided, its presence too. At most two tags are looked through; a third
//!   one's TPID is the EtherType.
//! - An IP header that is malformed or cut off: all of IP and above is undecided.
//! - An IPv6 extension header lies inside the frame and the packet's own length as
//!   a whole, or it is cut off: fragment, protocol and above are undecided.
//! - A field of an upper layer that the protocol does not have is absent, however
//!   little of that layer is there: a later fragment of UDP has no TCP flags. An
//!   IPv6 packet has no ICMPv4 type, an IPv4 packet no ICMPv6 type.
//! - Both ports are read together: with fewer than four bytes both are undecided.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use wharf_ebpf::EXTENSIONS;

use super::primitive::{MacAddress, VlanId};
use super::unread::Unread;

/// What one field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// The frame has no such field.
    Absent,
    /// The frame has it, or may have it, but it cannot be read.
    Undecided,
    /// This is its value.
    Is(T),
}

impl<T> From<Option<T>> for Field<T> {
    /// A field that the frame has, if it could be read.
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Undecided, Self::Is)
    }
}

/// All fields that rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Of the whole frame; [`u16::MAX`] stands for all that are longer.
    pub(crate) frame_bytes: Field<u16>,
    pub(crate) ether_source: Field<MacAddress>,
    pub(crate) ether_destination: Field<MacAddress>,
    pub(crate) ether_multicast: Field<bool>,
    pub(crate) outer_vlan: Field<VlanId>,
    pub(crate) inner_vlan: Field<VlanId>,
    pub(crate) ether_type: Field<u16>,
    pub(crate) source: Field<IpAddr>,
    pub(crate) destination: Field<IpAddr>,
    pub(crate) arp_source: Field<Ipv4Addr>,
    pub(crate) arp_destination: Field<Ipv4Addr>,
    pub(crate) protocol: Field<u8>,
    /// Which of [`EXTENSIONS`], a bit for each.
    pub(crate) extensions: Field<u8>,
    pub(crate) later_fragment: Field<bool>,
    pub(crate) source_port: Field<u16>,
    pub(crate) destination_port: Field<u16>,
    pub(crate) tcp_flags: Field<u8>,
    pub(crate) icmp_type_v4: Field<u8>,
    pub(crate) icmp_type_v6: Field<u8>,
    /// Why fields are undecided, if some are.
    pub(crate) unread: Option<Unread>,
}

impl Fields {
    pub(crate) const UNDECIDED: Self = Self {
        frame_bytes: Field::Undecided,
        ether_source: Field::Undecided,
        ether_destination: Field::Undecided,
        ether_multicast: Field::Undecided,
        outer_vlan: Field::Undecided,
        inner_vlan: Field::Undecided,
        ether_type: Field::Undecided,
        source: Field::Undecided,
        destination: Field::Undecided,
        arp_source: Field::Undecided,
        arp_destination: Field::Undecided,
        protocol: Field::Undecided,
        extensions: Field::Undecided,
        later_fragment: Field::Undecided,
        source_port: Field::Undecided,
        destination_port: Field::Undecided,
        tcp_flags: Field::Undecided,
        icmp_type_v4: Field::Undecided,
        icmp_type_v6: Field::Undecided,
        unread: None,
    };

    /// Reads a frame that is all in one buffer, which starts with its Ethernet header.
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self::of_first(frame, frame.len())
    }

    /// Reads a frame of `frame_bytes` bytes, of which `frame` is the first buffer.
    pub(crate) fn of_first(frame: &[u8], frame_bytes: usize) -> Self {
        let mut fields = Self::UNDECIDED;
        fields.frame_bytes = Field::Is(u16::try_from(frame_bytes).unwrap_or(u16::MAX));
        if frame.len() < ETHERNET_HEADER {
            fields.unread = Some(Unread::EthernetHeader);
            return fields;
        }
        let destination = array(frame, 0).map(MacAddress);
        fields.ether_destination = destination.into();
        fields.ether_multicast = destination.map(MacAddress::is_multicast).into();
        fields.ether_source = array(frame, 6).map(MacAddress).into();
        let Some((ether_type, behind)) = fields.read_tags(frame) else {
            fields.unread = Some(Unread::VlanTag);
            return fields;
        };
        fields.ether_type = match ether_type {
            0..FIRST_ETHER_TYPE => Field::Absent,
            ether_type => Field::Is(ether_type),
        };
        match ether_type {
            0x0806 => fields.read_arp(behind),
            _ => {
                fields.arp_source = Field::Absent;
                fields.arp_destination = Field::Absent;
            }
        }
        match ether_type {
            0x0800 => fields.read_ipv4(behind),
            0x86dd => fields.read_ipv6(behind),
            _ => fields.without_ip(),
        }
        fields
    }

    /// Reads up to two tags. Returns the EtherType (or length) behind them with
    /// what follows. None when a tag is cut off.
    fn read_tags<'a>(&mut self, frame: &'a [u8]) -> Option<(u16, &'a [u8])> {
        let mut ether_type = u16_at(frame, 12)?;
        let mut behind = frame.get(ETHERNET_HEADER..)?;
        for tag in [&mut self.outer_vlan, &mut self.inner_vlan] {
            if !TAG_TYPES.contains(&ether_type) {
                *tag = Field::Absent;
                continue;
            }
            let control = u16_at(behind, 0)?;
            let next = u16_at(behind, 2)?;
            *tag = VlanId::new(control & 0x0fff).ok().into();
            ether_type = next;
            behind = behind.get(4..)?;
        }
        Some((ether_type, behind))
    }

    /// The addresses are where they are in ARP for IPv4 over Ethernet, which what is
    /// before them says; that is not looked at, as tcpdump does not.
    fn read_arp(&mut self, arp: &[u8]) {
        self.arp_source = array::<4>(arp, 14).map(Ipv4Addr::from).into();
        self.arp_destination = array::<4>(arp, 24).map(Ipv4Addr::from).into();
        if arp.len() < 28 {
            self.unread = Some(Unread::Arp);
        }
    }

    fn without_ip(&mut self) {
        self.source = Field::Absent;
        self.destination = Field::Absent;
        self.protocol = Field::Absent;
        self.extensions = Field::Absent;
        self.later_fragment = Field::Absent;
        self.source_port = Field::Absent;
        self.destination_port = Field::Absent;
        self.tcp_flags = Field::Absent;
        self.icmp_type_v4 = Field::Absent;
        self.icmp_type_v6 = Field::Absent;
    }

    fn read_ipv4(&mut self, ip: &[u8]) {
        self.unread = Some(Unread::IpHeader);
        let Some(header) = array::<20>(ip, 0) else {
            return;
        };
        let header_bytes = usize::from(header[0] & 0x0f) * 4;
        let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 4 != 4
            || header_bytes < 20
            || header_bytes > ip.len()
            || total_bytes < header_bytes
        {
            return;
        }
        self.unread = None;
        let packet = &ip[..total_bytes.min(ip.len())];
        let protocol = header[9];
        let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        self.source = array::<4>(ip, 12).map(IpAddr::from).into();
        self.destination = array::<4>(ip, 16).map(IpAddr::from).into();
        self.protocol = Field::Is(protocol);
        self.extensions = Field::Is(extension_bit(protocol).unwrap_or(0));
        self.later_fragment = Field::Is(offset > 0);
        self.icmp_type_v6 = Field::Absent;
        // None of the upper layer's header is in a later fragment.
        let upper = if offset > 0 {
            self.unread = Some(Unread::LaterFragment);
            &[]
        } else {
            &packet[header_bytes..]
        };
        self.icmp_type_v4 = if protocol == 1 {
            upper.first().copied().into()
        } else {
            Field::Absent
        };
        self.read_ports_and_flags(protocol, upper);
        self.note_cut_upper();
    }

    fn read_ipv6(&mut self, ip: &[u8]) {
        self.unread = Some(Unread::IpHeader);
        let Some(header) = array::<40>(ip, 0) else {
            return;
        };
        if header[0] >> 4 != 6 {
            return;
        }
        let payload_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = &ip[..(40 + payload_bytes).min(ip.len())];
        self.source = array::<16>(ip, 8).map(IpAddr::from).into();
        self.destination = array::<16>(ip, 24).map(IpAddr::from).into();
        self.icmp_type_v4 = Field::Absent;
        let chain = match walk(header[6], &packet[40..]) {
            Ok(chain) => chain,
            Err(unread) => {
                self.unread = Some(unread);
                return;
            }
        };
        self.unread = chain.later_fragment.then_some(Unread::LaterFragment);
        self.later_fragment = Field::Is(chain.later_fragment);
        if is_extension(chain.protocol) {
            // Only a later fragment stops at one, and the chain's rest is in the
            // first fragment.
            return;
        }
        self.protocol = Field::Is(chain.protocol);
        self.extensions = Field::Is(chain.seen);
        self.icmp_type_v6 = if chain.protocol == 58 {
            chain.upper.first().copied().into()
        } else {
            Field::Absent
        };
        self.read_ports_and_flags(chain.protocol, chain.upper);
        self.note_cut_upper();
    }

    /// Says so where the upper layer is there and cannot be read.
    fn note_cut_upper(&mut self) {
        let is_cut = self.destination_port == Field::Undecided
            || self.tcp_flags == Field::Undecided
            || self.icmp_type_v4 == Field::Undecided
            || self.icmp_type_v6 == Field::Undecided;
        if is_cut && self.unread.is_none() {
            self.unread = Some(Unread::UpperHeader);
        }
        if !is_cut {
            self.unread = None;
        }
    }

    fn read_ports_and_flags(&mut self, protocol: u8, upper: &[u8]) {
        (self.source_port, self.destination_port) = match (protocol, array::<4>(upper, 0)) {
            (6 | 17 | 132, Some([a, b, c, d])) => (
                Field::Is(u16::from_be_bytes([a, b])),
                Field::Is(u16::from_be_bytes([c, d])),
            ),
            (6 | 17 | 132, None) => (Field::Undecided, Field::Undecided),
            _ => (Field::Absent, Field::Absent),
        };
        self.tcp_flags = match protocol {
            6 => upper.get(13).copied().into(),
            _ => Field::Absent,
        };
    }
}

/// Where a chain of IPv6 extension headers ends.
struct Chain<'a> {
    protocol: u8,
    later_fragment: bool,
    /// The headers on the way, as bits.
    seen: u8,
    /// The upper layer as far as it is there; nothing in a later fragment.
    upper: &'a [u8],
}

/// Walks the extension headers.
///
/// # Errors
///
/// When there are too many, or one is cut off.
fn walk(first: u8, mut rest: &[u8]) -> Result<Chain<'_>, Unread> {
    let cut = Unread::ExtensionHeader;
    let mut next = first;
    let mut seen = 0;
    for _ in 0..MOST_EXTENSIONS {
        let Some(bit) = extension_bit(next) else {
            break;
        };
        let length = || rest.get(1).copied().map(usize::from).ok_or(cut);
        let bytes = match next {
            44 => 8,
            51 => (length()? + 2) * 4,
            _ => (length()? + 1) * 8,
        };
        let header = rest.get(..bytes).ok_or(cut)?;
        let offset = u16_at(header, 2).ok_or(cut)? >> 3;
        seen |= bit;
        if next == 44 && offset > 0 {
            return Ok(Chain {
                protocol: header[0],
                later_fragment: true,
                seen,
                upper: &[],
            });
        }
        next = header[0];
        rest = &rest[bytes..];
    }
    if is_extension(next) {
        return Err(Unread::ManyExtensionHeaders);
    }
    Ok(Chain {
        protocol: next,
        later_fragment: false,
        seen,
        upper: rest,
    })
}

/// Whether it is an extension header that is walked.
fn is_extension(next_header: u8) -> bool {
    extension_bit(next_header).is_some()
}

/// The bit of an extension header that is walked.
pub(super) fn extension_bit(protocol: u8) -> Option<u8> {
    let index = EXTENSIONS.iter().position(|walked| *walked == protocol)?;
    Some(1 << index)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

const ETHERNET_HEADER: usize = 14;

/// Smaller values are the length of an 802.3 frame (IEEE 802.3, 3.2.6).
const FIRST_ETHER_TYPE: u16 = 1536;

/// The TPIDs of VLAN tags: 802.1Q, 802.1ad, and the one before it.
const TAG_TYPES: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Extension headers that are walked; the XDP program's loop has this bound.
const MOST_EXTENSIONS: usize = 4;
