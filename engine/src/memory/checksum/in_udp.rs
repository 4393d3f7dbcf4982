//! Tunnels in UDP.
//!
//! Their ports are as people configure them, so they are told by their headers. What
//! looks like a tunnel and is none has to look like a packet with an undone
//! checksum as well, inside a datagram whose own checksum is right only once that one
//! is finished.

use super::place::{ETHERNET, Header, IPV4, IPV6, MPLS, Place};

/// Steps over a tunnel's header behind one of UDP, and says what is behind it. `None`
/// if it is no tunnel.
#[inline]
pub(super) fn step(place: &mut Place<'_>, port: u16) -> Option<Header> {
    let header: [u8; 8] = place.array(0)?;
    let len = place.end.checked_sub(place.at)?;
    let [first, second, third, fourth, .., last] = header;
    match (port, first) {
        (GRE_PORT, _) => return Some(Header::Gre),
        (MPLS_PORT, _) => return Some(Header::Typed(MPLS)),
        // IP as it is, which fills the datagram.
        (_, 0x45..=0x4f) if word(third, fourth) == len => return Some(Header::Ip),
        (_, 0x60..=0x6f) if word(header[4], header[5]) + 40 == len => return Some(Header::Ip),
        // GTP-U, version 1, which carries a packet.
        (_, 0x30..=0x37) if second == 0xff && word(third, fourth) + 8 == len => {
            return gtp(place, first);
        }
        // GUE, version 0, without options: the next is an IP protocol.
        (_, 0) if [third, fourth] == [0, 0] => {
            place.at += 4;
            return match second {
                4 | 41 => Some(Header::Ip),
                47 => Some(Header::Gre),
                _ => None,
            };
        }
        _ if last != 0 => return None,
        // VXLAN.
        (_, 0x08) if [second, third, fourth] == [0; 3] => {
            place.at += 8;
            return Some(Header::Ethernet);
        }
        // VXLAN with a group policy, and nothing else that changes the payload.
        (_, 0x88) if second & !0x48 == 0 => {
            place.at += 8;
            return Some(Header::Ethernet);
        }
        _ => {}
    }
    // VXLAN-GPE: a VNI, and the next protocol.
    if first & 0xfc == 0x0c && [second, third] == [0, 0] {
        place.at += 8;
        return match fourth {
            1 | 2 => Some(Header::Ip),
            3 => Some(Header::Ethernet),
            5 => Some(Header::Typed(MPLS)),
            _ => None,
        };
    }
    // Geneve, version 0, and its options.
    let kind = u16::from_be_bytes([third, fourth]);
    if first & 0xc0 == 0 && second & 0x3f == 0 && matches!(kind, ETHERNET | IPV4 | IPV6) {
        place.at += 8 + usize::from(first & 0x3f) * 4;
        return Some(Header::Typed(kind));
    }
    None
}

/// Steps over a header of GTP-U and its extensions (3GPP TS 29.281).
#[inline(never)]
fn gtp(place: &mut Place<'_>, flags: u8) -> Option<Header> {
    place.at += 8;
    if flags & 7 == 0 {
        return Some(Header::Ip);
    }
    let [_, _, _, mut next]: [u8; 4] = place.array(0)?;
    place.at += 4;
    for _ in 0..MOST_EXTENSIONS {
        if flags & 4 == 0 || next == 0 {
            return Some(Header::Ip);
        }
        let [words]: [u8; 1] = place.array(0)?;
        if words == 0 {
            return None;
        }
        let len = usize::from(words) * 4;
        [next] = place.array(len - 1)?;
        place.at += len;
    }
    None
}

fn word(high: u8, low: u8) -> usize {
    u16::from_be_bytes([high, low]).into()
}

const MOST_EXTENSIONS: usize = 4;
/// RFC 8086 and RFC 7510.
const GRE_PORT: u16 = 4754;
const MPLS_PORT: u16 = 6635;
