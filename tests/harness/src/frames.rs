//! UDP frames, built and read with their checksums.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;

use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, LinkSlice,
    NetSlice, PacketBuilder, SlicedPacket, TransportSlice, VlanId,
};

use crate::mac::MacAddress;
use crate::payload::SequencedPayload;

/// Where frames come from and go to: both ends' Ethernet and IP addresses, UDP
/// ports, and perhaps a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpFlow {
    source_mac: MacAddress,
    destination_mac: MacAddress,
    vlan: Option<u16>,
    addresses: Addresses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Addresses {
    V4 {
        source: SocketAddrV4,
        destination: SocketAddrV4,
    },
    V6 {
        source: SocketAddrV6,
        destination: SocketAddrV6,
    },
}

/// A received UDP frame whose checksums are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpFrame {
    /// Where it came from and went to.
    pub flow: UdpFlow,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Why a frame is not an intact UDP frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is something else: ARP, TCP, a fragment.
    #[error("not a UDP frame")]
    NotUdp,
    /// It ends early, or a length in it is wrong.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// Its IPv4 header checksum is wrong.
    #[error("wrong IPv4 header checksum")]
    Ipv4Checksum,
    /// Its UDP checksum is wrong. That of a sender whose checksum offload is on
    /// is: only the pseudo-header is summed up.
    #[error("wrong UDP checksum; is checksum offload off at the sender?")]
    UdpChecksum {
        /// The frame apart from that.
        frame: Box<UdpFrame>,
    },
}

impl UdpFlow {
    /// A flow over IPv4, with Ethernet addresses still to be set.
    pub fn v4(source: SocketAddrV4, destination: SocketAddrV4) -> Self {
        Self::new(Addresses::V4 {
            source,
            destination,
        })
    }

    /// A flow over IPv6, with Ethernet addresses still to be set.
    pub fn v6(source: SocketAddrV6, destination: SocketAddrV6) -> Self {
        Self::new(Addresses::V6 {
            source,
            destination,
        })
    }

    fn new(addresses: Addresses) -> Self {
        Self {
            source_mac: MacAddress([0; 6]),
            destination_mac: MacAddress([0; 6]),
            vlan: None,
            addresses,
        }
    }

    /// The same flow between these Ethernet addresses.
    #[must_use]
    pub fn macs(mut self, source: MacAddress, destination: MacAddress) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// The same flow in a VLAN.
    ///
    /// # Panics
    ///
    /// When the VLAN's number exceeds 12 bits.
    #[must_use]
    pub fn vlan(mut self, vlan: u16) -> Self {
        assert!(vlan < 1 << 12, "VLAN {vlan} exceeds 12 bits");
        self.vlan = Some(vlan);
        self
    }

    /// The flow of the answers.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            source_mac: self.destination_mac,
            destination_mac: self.source_mac,
            vlan: self.vlan,
            addresses: match self.addresses {
                Addresses::V4 {
                    source,
                    destination,
                } => Addresses::V4 {
                    source: destination,
                    destination: source,
                },
                Addresses::V6 {
                    source,
                    destination,
                } => Addresses::V6 {
                    source: destination,
                    destination: source,
                },
            },
        }
    }

    /// A frame with this payload and correct checksums.
    ///
    /// The MTU is not looked at, nor is the frame padded: the least Ethernet
    /// length is not enforced on a veth.
    ///
    /// # Panics
    ///
    /// When the payload exceeds what UDP can carry, 65507 bytes over IPv4.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        const FITS: &str = "the payload fits a UDP datagram";

        let (source, destination) = (self.source(), self.destination());
        let (source_port, destination_port) = (source.port(), destination.port());
        let ethernet =
            PacketBuilder::ethernet2(self.source_mac.octets(), self.destination_mac.octets());
        let mut frame = Vec::new();
        match self.vlan {
            Some(vlan) => {
                let vlan = VlanId::try_new(vlan).expect("checked where it was set");
                let datagram = ethernet
                    .single_vlan(vlan)
                    .ip(self.ip_headers())
                    .udp(source_port, destination_port);
                datagram.write(&mut frame, payload).expect(FITS);
            }
            None => {
                let datagram = ethernet
                    .ip(self.ip_headers())
                    .udp(source_port, destination_port);
                datagram.write(&mut frame, payload).expect(FITS);
            }
        }
        frame
    }

    /// Frames with [`SequencedPayload`]s of flow number `flow`, one for each
    /// sequence number.
    ///
    /// # Panics
    ///
    /// When a payload is shorter than [`SequencedPayload::MIN_LEN`] or exceeds
    /// what UDP can carry.
    pub fn sequenced(
        &self,
        flow: u32,
        payload_bytes: usize,
        sequence: Range<u64>,
    ) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
        let addressed = *self;
        sequence.map(move |sequence| {
            let payload = SequencedPayload { flow, sequence };
            addressed.frame(&payload.to_bytes(payload_bytes))
        })
    }

    /// The sender's Ethernet address.
    pub fn source_mac(&self) -> MacAddress {
        self.source_mac
    }

    /// The receiver's Ethernet address.
    pub fn destination_mac(&self) -> MacAddress {
        self.destination_mac
    }

    /// The VLAN, if any.
    pub fn vlan_id(&self) -> Option<u16> {
        self.vlan
    }

    /// The sender's IP address and port.
    pub fn source(&self) -> SocketAddr {
        match self.addresses {
            Addresses::V4 { source, .. } => source.into(),
            Addresses::V6 { source, .. } => source.into(),
        }
    }

    /// The receiver's IP address and port.
    pub fn destination(&self) -> SocketAddr {
        match self.addresses {
            Addresses::V4 { destination, .. } => destination.into(),
            Addresses::V6 { destination, .. } => destination.into(),
        }
    }

    fn ip_headers(&self) -> IpHeaders {
        match self.addresses {
            Addresses::V4 {
                source,
                destination,
            } => {
                let header = Ipv4Header::new(
                    0,
                    HOP_LIMIT,
                    IpNumber::UDP,
                    source.ip().octets(),
                    destination.ip().octets(),
                )
                .expect("the length of nothing fits; the builder sets the real one");
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            Addresses::V6 {
                source,
                destination,
            } => {
                let header = Ipv6Header {
                    next_header: IpNumber::UDP,
                    hop_limit: HOP_LIMIT,
                    source: source.ip().octets(),
                    destination: destination.ip().octets(),
                    ..Ipv6Header::default()
                };
                IpHeaders::Ipv6(header, Ipv6Extensions::default())
            }
        }
    }
}

impl UdpFrame {
    /// Reads a UDP frame over IPv4 or IPv6, with one VLAN tag or none, and
    /// checks its checksums.
    ///
    /// # Errors
    ///
    /// [`FrameError`] says what else it is.
    pub fn parse(frame: &[u8]) -> Result<Self, FrameError> {
        let sliced = SlicedPacket::from_ethernet(frame)
            .map_err(|error| FrameError::Malformed(error.to_string()))?;
        let (Some(LinkSlice::Ethernet2(ethernet)), Some(TransportSlice::Udp(udp))) =
            (&sliced.link, &sliced.transport)
        else {
            return Err(FrameError::NotUdp);
        };
        let (source_port, destination_port) = (udp.source_port(), udp.destination_port());
        let header = udp.to_header();
        let too_long = |_| FrameError::Malformed("UDP payload too long".to_owned());

        let (flow, expected) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let ip = ip.header().to_header();
                if ip.calc_header_checksum() != ip.header_checksum {
                    return Err(FrameError::Ipv4Checksum);
                }
                let flow = UdpFlow::v4(
                    SocketAddrV4::new(ip.source.into(), source_port),
                    SocketAddrV4::new(ip.destination.into(), destination_port),
                );
                // Zero means "not summed" over IPv4.
                let expected = if header.checksum == 0 {
                    0
                } else {
                    header
                        .calc_checksum_ipv4(&ip, udp.payload())
                        .map_err(too_long)?
                };
                (flow, expected)
            }
            Some(NetSlice::Ipv6(ip)) => {
                let ip = ip.header().to_header();
                let flow = UdpFlow::v6(
                    SocketAddrV6::new(ip.source.into(), source_port, 0, 0),
                    SocketAddrV6::new(ip.destination.into(), destination_port, 0, 0),
                );
                let expected = header
                    .calc_checksum_ipv6(&ip, udp.payload())
                    .map_err(too_long)?;
                (flow, expected)
            }
            _ => return Err(FrameError::NotUdp),
        };
        let flow = UdpFlow {
            vlan: sliced.vlan_ids().first().map(|vlan| vlan.value()),
            ..flow.macs(ethernet.source().into(), ethernet.destination().into())
        };
        let received = Self {
            flow,
            payload: udp.payload().to_vec(),
        };
        if header.checksum != expected {
            let frame = Box::new(received);
            return Err(FrameError::UdpChecksum { frame });
        }
        Ok(received)
    }
}

/// What Linux puts into packets of its own.
const HOP_LIMIT: u8 = 64;

#[cfg(test)]
mod tests {
    use etherparse::EtherType;

    use super::*;

    fn flow_v4() -> UdpFlow {
        UdpFlow::v4(
            "10.0.0.1:4000".parse().unwrap(),
            "10.0.0.2:4433".parse().unwrap(),
        )
        .macs(
            MacAddress([2, 0, 0, 0, 0, 1]),
            MacAddress([2, 0, 0, 0, 0, 2]),
        )
    }

    fn flow_v6() -> UdpFlow {
        UdpFlow::v6(
            "[fd00::1]:4000".parse().unwrap(),
            "[fd00::2]:4433".parse().unwrap(),
        )
    }

    #[test]
    fn frame_reads_back_as_built() {
        for flow in [
            flow_v4(),
            flow_v6(),
            flow_v4().vlan(42),
            flow_v6().vlan(4095),
        ] {
            for payload in [&b""[..], b"odd", &[0xff; 1400]] {
                let frame = flow.frame(payload);

                let read = UdpFrame::parse(&frame).unwrap();

                assert_eq!(read.flow, flow);
                assert_eq!(read.payload, payload);
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_the_payload_breaks_the_checksum() {
        for flow in [flow_v4(), flow_v6()] {
            let frame = flow.frame(b"payload");
            for bit in 0..7 * 8 {
                let mut corrupt = frame.clone();
                let position = frame.len() - 7 + bit / 8;
                corrupt[position] ^= 1 << (bit % 8);

                let error = UdpFrame::parse(&corrupt).unwrap_err();

                assert!(matches!(error, FrameError::UdpChecksum { .. }), "bit {bit}");
            }
        }
    }

    #[test]
    fn corrupt_ipv4_header_is_named() {
        let mut frame = flow_v4().frame(b"payload");
        frame[14 + 8] ^= 1;

        assert_eq!(UdpFrame::parse(&frame), Err(FrameError::Ipv4Checksum));
    }

    #[test]
    fn frames_cut_short_are_malformed() {
        let frame = flow_v4().vlan(5).frame(b"payload");
        for length in 0..frame.len() {
            let error = UdpFrame::parse(&frame[..length]).unwrap_err();

            assert!(
                matches!(error, FrameError::Malformed(_)),
                "{length}: {error}"
            );
        }
    }

    #[test]
    fn other_protocols_are_not_udp() {
        let mut frame = flow_v4().frame(b"payload");
        frame[12..14].copy_from_slice(&EtherType::WAKE_ON_LAN.0.to_be_bytes());

        assert_eq!(UdpFrame::parse(&frame), Err(FrameError::NotUdp));
    }

    #[test]
    fn reversing_twice_changes_nothing() {
        assert_ne!(flow_v4().reversed(), flow_v4());
        assert_eq!(flow_v4().reversed().reversed(), flow_v4());
        assert_eq!(flow_v6().reversed().source(), flow_v6().destination());
    }
}
