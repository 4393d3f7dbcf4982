//! What stands in front of a fragment: the caller's own headers.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The headers in front of each fragment, which depend on nothing but its length.
///
/// Bytes are headers that are the same for every frame, such as an Ethernet header with
/// an EtherType of one's own; [`UdpHeaders`] are Ethernet, IPv4 and UDP.
pub trait Headers {
    /// How many bytes they are, for every frame.
    fn header_bytes(&self) -> u32;

    /// Writes them to `bytes`, which are zeros and as many as they are. `behind` are the
    /// bytes that follow in the frame.
    fn write(&self, bytes: &mut [u8], behind: u32);
}

impl<const N: usize> Headers for [u8; N] {
    fn header_bytes(&self) -> u32 {
        u32::try_from(N).expect("headers are short")
    }

    fn write(&self, bytes: &mut [u8], _behind: u32) {
        bytes.copy_from_slice(self);
    }
}

/// An end of a UDP flow over IPv4, on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpEndpoint {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its IPv4 address and UDP port.
    pub socket: SocketAddrV4,
}

/// Ethernet, IPv4 and UDP headers, without a UDP checksum, which IPv4 leaves to the
/// sender's choice (RFC 768): the payload is read once less, and Ethernet has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeaders {
    from: UdpEndpoint,
    to: UdpEndpoint,
}

impl UdpHeaders {
    /// Bytes of all three headers.
    pub const BYTES: u32 = ETHERNET + IPV4 + UDP;

    /// Headers for frames from one end to the other.
    #[must_use]
    pub fn new(from: UdpEndpoint, to: UdpEndpoint) -> Self {
        Self { from, to }
    }
}

impl Headers for UdpHeaders {
    fn header_bytes(&self) -> u32 {
        Self::BYTES
    }

    /// A datagram of more than 65,535 bytes has a length that says less; no interface has
    /// so large an MTU.
    fn write(&self, bytes: &mut [u8], behind: u32) {
        let length = |header: u32| u16::try_from(header + behind).unwrap_or(u16::MAX);
        bytes[..6].copy_from_slice(&self.to.mac);
        bytes[6..12].copy_from_slice(&self.from.mac);
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);

        let (ip, udp) = bytes[14..].split_at_mut(IPV4 as usize);
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&length(IPV4 + UDP).to_be_bytes());
        // Never to be fragmented, so it needs no identification (RFC 6864).
        ip[6] = 0x40;
        ip[8..10].copy_from_slice(&[64, 17]);
        ip[12..16].copy_from_slice(&self.from.socket.ip().octets());
        ip[16..20].copy_from_slice(&self.to.socket.ip().octets());
        let sum = checksum(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());

        udp[..2].copy_from_slice(&self.from.socket.port().to_be_bytes());
        udp[2..4].copy_from_slice(&self.to.socket.port().to_be_bytes());
        udp[4..6].copy_from_slice(&length(UDP).to_be_bytes());
    }
}

/// The flow of a received frame, as far as it is UDP over IPv4 on Ethernet without tags
/// and options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPeer {
    /// Who sent it.
    pub from: UdpEndpoint,
    /// Whom it was sent to.
    pub to: UdpEndpoint,
}

impl UdpPeer {
    /// Reads it from the front of a frame; the payload begins behind
    /// [`UdpHeaders::BYTES`]. `None` for any other frame.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let headers: &[u8; UdpHeaders::BYTES as usize] = frame.first_chunk()?;
        let is_udp = headers[12..15] == [0x08, 0x00, 0x45]
            // No fragment of IPv4's own.
            && headers[20] & 0x3f == 0
            && headers[21] == 0
            && headers[23] == 17;
        let end = |mac: usize, ip: usize, port: usize| {
            let octets: [u8; 4] = headers[ip..ip + 4].try_into().expect("four bytes");
            let port = u16::from_be_bytes([headers[port], headers[port + 1]]);
            UdpEndpoint {
                mac: headers[mac..mac + 6].try_into().expect("six bytes"),
                socket: SocketAddrV4::new(Ipv4Addr::from(octets), port),
            }
        };
        is_udp.then(|| Self {
            from: end(6, 26, 34),
            to: end(0, 30, 36),
        })
    }

    /// Headers for the way back.
    #[must_use]
    pub fn reply(&self) -> UdpHeaders {
        UdpHeaders::new(self.to, self.from)
    }
}

/// The Internet checksum (RFC 1071) of an IPv4 header whose own is zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).expect("16 bits")
}

const ETHERNET: u32 = 14;
const IPV4: u32 = 20;
const UDP: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    fn end(last: u8, port: u16) -> UdpEndpoint {
        UdpEndpoint {
            mac: [2, 0, 0, 0, 0, last],
            socket: SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, last), port),
        }
    }

    #[test]
    fn headers_are_what_others_read() {
        let headers = UdpHeaders::new(end(1, 4000), end(2, 4433));
        let mut frame = vec![0; 42 + 100];

        headers.write(&mut frame[..42], 100);

        let packet = SlicedPacket::from_ethernet(&frame).expect("a whole packet");
        let Some(TransportSlice::Udp(udp)) = packet.transport else {
            panic!("not UDP: {packet:?}");
        };
        assert_eq!((udp.source_port(), udp.destination_port()), (4000, 4433));
        assert_eq!(udp.payload().len(), 100);
        assert_eq!(checksum(&frame[14..34]), 0, "with it, the sum is complete");
        let peer = UdpPeer::of(&frame).expect("UDP");
        assert_eq!((peer.from, peer.to), (end(1, 4000), end(2, 4433)));
        assert_eq!(peer.reply(), UdpHeaders::new(end(2, 4433), end(1, 4000)));
    }

    #[test]
    fn frames_of_other_kinds_have_no_peer() {
        let mut frame = vec![0; 60];
        UdpHeaders::new(end(1, 1), end(2, 2)).write(&mut frame[..42], 18);
        for (at, to) in [(12, 0x86), (14, 0x46), (20, 0x20), (21, 1), (23, 6)] {
            let mut other = frame.clone();
            other[at] = to;
            assert_eq!(UdpPeer::of(&other), None, "{at}");
        }
        assert_eq!(UdpPeer::of(&frame[..41]), None);
        assert!(UdpPeer::of(&frame).is_some());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = UdpPeer::of(&bytes);
        }
    }
}
