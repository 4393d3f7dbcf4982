//! The checksums of a frame, from the outermost to the innermost.
//!
//! Every header is checked to lie in the packet around it, and their number is
//! bounded, so that a frame of nothing but headers costs little.

use super::cover::{ChecksumProtocol, Cover};
use super::header::{array, sum_of_words};
use super::in_udp;
use super::place::{ERSPAN, ETHERNET, Header, IPV4, IPV6, MPLS, Place};

/// Headers that are looked at, tags and labels included; tunnels in tunnels have a
/// dozen.
const MOST_HEADERS: usize = 24;
/// Extension headers of an IPv6 packet that are looked at. RFC 8200 has each at most
/// once, but for one of them.
const MOST_EXTENSIONS: usize = 10;

/// Calls `visit` with each checksum of a frame of `total` bytes, whose headers are in
/// `head`.
#[inline]
pub(super) fn walk(head: &[u8], total: usize, mut visit: impl FnMut(Cover)) {
    let mut place = Place {
        head,
        at: 0,
        end: total,
    };
    let mut header = Header::Ethernet;
    for _ in 0..MOST_HEADERS {
        let Some(next) = place.step(header, &mut visit) else {
            return;
        };
        header = next;
    }
}

impl Place<'_> {
    /// Steps over a header, and says what is behind it. `None` if nothing is that
    /// could have a checksum.
    #[inline]
    fn step(&mut self, header: Header, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        match header {
            Header::Ethernet => {
                let kind = self.word(12)?;
                self.at += 14;
                Some(Header::Typed(kind))
            }
            Header::Typed(IPV4 | IPV6) | Header::Ip => self.ip(visit),
            Header::Typed(kind) => self.typed(kind),
            Header::Gre => self.gre(visit),
        }
    }

    /// What an EtherType other than IP's names.
    #[inline(never)]
    fn typed(&mut self, kind: u16) -> Option<Header> {
        match kind {
            // VLAN tags, of the standards and from before them.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let kind = self.word(2)?;
                self.at += 4;
                Some(Header::Typed(kind))
            }
            MPLS | 0x8848 => {
                let label: [u8; 4] = self.array(0)?;
                self.at += 4;
                let is_last = label[2] & 1 == 1;
                Some(if is_last {
                    Header::Ip
                } else {
                    Header::Typed(MPLS)
                })
            }
            // A PPPoE session, of which IP is PPP's 0x21 and 0x57.
            0x8864 => {
                let protocol = self.word(6)?;
                self.at += 8;
                matches!(protocol, 0x21 | 0x57).then_some(Header::Ip)
            }
            ETHERNET => Some(Header::Ethernet),
            // ERSPAN of type III, perhaps with a subheader.
            0x22eb => {
                let flags: [u8; 12] = self.array(0)?;
                self.at += if flags[11] & 1 == 1 { 20 } else { 12 };
                Some(Header::Ethernet)
            }
            _ => None,
        }
    }

    #[inline]
    fn ip(&mut self, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        match self.head.get(self.at)? >> 4 {
            4 => self.ipv4(visit),
            6 => self.ipv6(visit),
            _ => None,
        }
    }

    #[inline]
    fn ipv4(&mut self, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        let header: [u8; 20] = self.array(0)?;
        let header_len = usize::from(header[0] & 0xf) * 4;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
        if header_len < 20 || total_len < header_len || fragment != 0 {
            return None;
        }
        self.enclose(total_len)?;
        self.at += header_len;
        let addresses: [u8; 8] = array(&header, 12)?;
        self.protocol(header[9], sum_of_words(&addresses), visit)
    }

    #[inline]
    fn ipv6(&mut self, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        let header: [u8; 40] = self.array(0)?;
        // A length of 0 is a jumbogram's, which AF_XDP does not carry.
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        self.enclose(40 + len)?;
        self.at += 40;
        let addresses: [u8; 32] = array(&header, 8)?;
        let sum = sum_of_words(&addresses);
        match header[6] {
            next @ (TCP | UDP) => self.protocol(next, sum, visit),
            next => self.extensions(next, sum, &addresses, visit),
        }
    }

    /// The rest of an IPv6 packet whose next header is `next`.
    #[inline(never)]
    fn extensions(
        &mut self,
        mut next: u8,
        mut sum: u64,
        addresses: &[u8; 32],
        visit: &mut impl FnMut(Cover),
    ) -> Option<Header> {
        for _ in 0..MOST_EXTENSIONS {
            let len = match next {
                // Hop by hop, destination options, mobility, HIP, Shim6, routing.
                0 | 60 | 135 | 139 | 140 | ROUTING => {
                    (usize::from(*self.head.get(self.at + 1)?) + 1) * 8
                }
                // A fragment that is the whole packet (RFC 6946).
                44 if self.word(2)? & 0xfff9 == 0 => 8,
                _ => return self.protocol(next, sum, visit),
            };
            if next == ROUTING {
                let source: [u8; 16] = array(addresses, 0)?;
                if let Some(last) = self.final_destination(len)? {
                    sum = sum_of_words(&source) + sum_of_words(&last);
                }
            }
            next = *self.head.get(self.at)?;
            self.at += len;
        }
        None
    }

    /// The address that the pseudo-header has in the place of the destination, if
    /// the routing header of `len` bytes has one that is still to come (RFC 8200,
    /// section 8.1).
    fn final_destination(&self, len: usize) -> Option<Option<[u8; 16]>> {
        let [_, _, kind, left] = self.array(0)?;
        match (left, kind) {
            (0, _) => Some(None),
            // Source route, home address: the last is last.
            (_, 0 | 2) => Some(Some(self.array(len.checked_sub(16)?)?)),
            // Segments: the last is first.
            (_, 4) => Some(Some(self.array(8)?)),
            _ => None,
        }
    }

    /// What an IP protocol names, in a packet whose addresses sum up to `addresses`.
    #[inline]
    fn protocol(
        &mut self,
        protocol: u8,
        addresses: u64,
        visit: &mut impl FnMut(Cover),
    ) -> Option<Header> {
        let len = self.end.checked_sub(self.at)?;
        let pseudo = addresses + u64::from(protocol) + u64::try_from(len).ok()?;
        match protocol {
            TCP if len >= 20 => {
                visit(self.cover(ChecksumProtocol::Tcp, 16, pseudo));
                None
            }
            UDP => self.udp(addresses, visit),
            SCTP if len >= 12 => {
                visit(self.cover(ChecksumProtocol::Sctp, 8, 0));
                None
            }
            4 | 41 => Some(Header::Ip),
            47 => Some(Header::Gre),
            // EtherIP, of version 3.
            97 if self.word(0)? == 0x3000 => {
                self.at += 2;
                Some(Header::Ethernet)
            }
            137 => Some(Header::Typed(MPLS)),
            _ => None,
        }
    }

    #[inline]
    fn udp(&mut self, addresses: u64, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        let header: [u8; 8] = self.array(0)?;
        let port = u16::from_be_bytes([header[2], header[3]]);
        let len = u16::from_be_bytes([header[4], header[5]]);
        if len < 8 {
            return None;
        }
        self.enclose(len.into())?;
        let pseudo = addresses + u64::from(UDP) + u64::from(len);
        visit(self.cover(ChecksumProtocol::Udp, 6, pseudo));
        self.at += 8;
        in_udp::step(self, port)
    }

    /// GRE of version 0, and what it carries (RFC 2784, RFC 2890).
    #[inline(never)]
    fn gre(&mut self, visit: &mut impl FnMut(Cover)) -> Option<Header> {
        let flags = self.word(0)?;
        if flags & 0x4007 != 0 {
            return None;
        }
        let kind = self.word(2)?;
        let (has_checksum, has_sequence) = (flags & 0x8000 != 0, flags & 0x1000 != 0);
        let words = [has_checksum, flags & 0x2000 != 0, has_sequence];
        let len = 4 * (1 + words.into_iter().filter(|word| *word).count());
        if self.end.checked_sub(self.at)? < len {
            return None;
        }
        if has_checksum {
            visit(self.cover(ChecksumProtocol::Gre, 4, 0));
        }
        self.at += len;
        if kind == ERSPAN {
            // Of type II, whose header is there if there is a sequence number.
            self.at += if has_sequence { 8 } else { 0 };
            return Some(Header::Ethernet);
        }
        Some(Header::Typed(kind))
    }

    /// The checksum `offset` bytes into the header here, which covers all from here.
    #[inline]
    fn cover(&self, protocol: ChecksumProtocol, offset: usize, pseudo: u64) -> Cover {
        Cover {
            protocol,
            start: self.at,
            end: self.end,
            field: self.at + offset,
            pseudo,
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ROUTING: u8 = 43;
