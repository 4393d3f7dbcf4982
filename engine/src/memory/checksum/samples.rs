//! Frames for tests, built from the inside out with right checksums, which are
//! summed up as RFC 1071 has it.

use super::ChecksumProtocol;

/// A packet, or a frame, with right checksums, and what their fields have when they
/// are left undone: from the outermost to the innermost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) undone: Vec<(usize, Vec<u8>, ChecksumProtocol)>,
}

impl Sample {
    fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            undone: Vec::new(),
        }
    }

    /// The sample behind a header.
    pub(crate) fn behind(self, header: &[u8]) -> Self {
        let shift = |(field, value, protocol)| (field + header.len(), value, protocol);
        Self {
            bytes: [header, &self.bytes].concat(),
            undone: self.undone.into_iter().map(shift).collect(),
        }
    }

    /// The same with something behind it.
    pub(crate) fn before(mut self, trailer: &[u8]) -> Self {
        self.bytes.extend(trailer);
        self
    }

    /// The frame with the `index`-th of its checksums left undone.
    pub(crate) fn left_undone(&self, index: usize) -> Vec<u8> {
        let (field, value, _) = &self.undone[index];
        let mut bytes = self.bytes.clone();
        bytes[*field..field + value.len()].copy_from_slice(value);
        bytes
    }

    /// Fills in the checksum at `field`, with a pseudo-header.
    fn sealed(mut self, field: usize, pseudo: &[u8], protocol: ChecksumProtocol) -> Self {
        self.bytes[field..field + 2].fill(0);
        let all = [pseudo, &self.bytes].concat();
        let checksum = match !sum(&all) {
            0 => 0xffff,
            sum => sum,
        };
        self.bytes[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
        let undone = sum(pseudo).to_be_bytes().to_vec();
        self.undone.insert(0, (field, undone, protocol));
        self
    }
}

const V4: [u8; 8] = [10, 0, 0, 1, 10, 0, 0, 2];
const V6: [u8; 32] = *b"\xfd\x00source-address\xfd\x01destination-ad";

/// Who a sample is for: IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::V4, Version::V6];

impl Version {
    pub(crate) fn ether_type(self) -> u16 {
        match self {
            Self::V4 => 0x0800,
            Self::V6 => 0x86dd,
        }
    }

    pub(crate) fn protocol(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 41,
        }
    }

    fn header(self, protocol: u8, len: usize) -> Vec<u8> {
        let len = |more: usize| u16::try_from(len + more).expect("short").to_be_bytes();
        match self {
            Self::V4 => {
                let mut header =
                    [&[0x45, 0, 0, 0, 7, 7, 0x40, 0, 64, protocol, 0, 0], &V4[..]].concat();
                header[2..4].copy_from_slice(&len(20));
                let checksum = !sum(&header);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
                header
            }
            Self::V6 => {
                let [high, low] = len(0);
                [&[0x60, 0, 0, 0, high, low, protocol, 64], &V6[..]].concat()
            }
        }
    }

    fn pseudo(self, protocol: u8, len: usize) -> Vec<u8> {
        let len = u32::try_from(len).expect("short").to_be_bytes();
        let addresses = match self {
            Self::V4 => &V4[..],
            Self::V6 => &V6[..],
        };
        [addresses, &len, &[0, 0, 0, protocol]].concat()
    }

    /// An IP packet.
    pub(crate) fn ip(self, protocol: u8, payload: Sample) -> Sample {
        let header = self.header(protocol, payload.bytes.len());
        payload.behind(&header)
    }

    pub(crate) fn tcp(self, payload: &[u8]) -> Sample {
        let header = *b"\x12\x34\x00\x50seq#ack#\x50\x18\x01\x00\x00\x00\x00\x00";
        self.ip(6, self.tcp_segment(&header, payload))
    }

    fn tcp_segment(self, header: &[u8], payload: &[u8]) -> Sample {
        let segment = Sample::of(payload).behind(header);
        let pseudo = self.pseudo(6, segment.bytes.len());
        segment.sealed(16, &pseudo, ChecksumProtocol::Tcp)
    }

    /// TCP in an IPv6 packet with extension headers, the first of the kind `first`.
    pub(crate) fn tcp_behind(first: u8, extensions: &[u8], payload: &[u8]) -> Sample {
        let header = [0x11; 20];
        let segment = Self::V6.tcp_segment(&header, payload);
        Self::V6.ip(first, segment.behind(extensions))
    }

    fn datagram(port: u16, payload: Sample) -> Sample {
        let len = u16::try_from(payload.bytes.len() + 8).expect("short");
        let words = [40_000, port, len, 0].map(u16::to_be_bytes);
        payload.behind(&words.concat())
    }

    /// UDP with a checksum.
    pub(crate) fn udp(self, port: u16, payload: Sample) -> Sample {
        let datagram = Self::datagram(port, payload);
        let pseudo = self.pseudo(17, datagram.bytes.len());
        self.ip(17, datagram.sealed(6, &pseudo, ChecksumProtocol::Udp))
    }

    /// UDP without one.
    pub(crate) fn unsummed_udp(self, port: u16, payload: Sample) -> Sample {
        self.ip(17, Self::datagram(port, payload))
    }

    pub(crate) fn sctp(self, payload: &[u8]) -> Sample {
        let mut bytes = [b"\x12\x34\x00\x50vtag\0\0\0\0", payload].concat();
        let crc = crc32c(&bytes).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
        let mut packet = Sample::of(&bytes);
        packet.undone.push((8, vec![0; 4], ChecksumProtocol::Sctp));
        self.ip(132, packet)
    }
}

/// GRE: flags and optional words.
pub(crate) fn gre(kind: u16, key: bool, sequence: bool, payload: Sample) -> Sample {
    let flags = u16::from(key) << 13 | u16::from(sequence) << 12;
    let header = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
    let optional = vec![0x5a; 4 * (usize::from(key) + usize::from(sequence))];
    payload.behind(&[header, optional].concat())
}

/// GRE with a checksum of its own.
pub(crate) fn summed_gre(kind: u16, payload: Sample) -> Sample {
    let [high, low] = kind.to_be_bytes();
    let packet = payload.behind(&[0x80, 0, high, low, 0, 0, 0, 0]);
    packet.sealed(4, &[], ChecksumProtocol::Gre)
}

pub(crate) fn ethernet(kind: u16, payload: Sample) -> Sample {
    let header = [b"\x02to-me\x02to-it".as_slice(), &kind.to_be_bytes()].concat();
    payload.behind(&header)
}

/// An Ethernet frame in VXLAN.
pub(crate) fn vxlan(frame: Sample) -> Sample {
    frame.behind(&[8, 0, 0, 0, 0, 0, 42, 0])
}

/// Geneve with `options` words of options.
pub(crate) fn geneve(kind: u16, options: u8, payload: Sample) -> Sample {
    let [high, low] = kind.to_be_bytes();
    let header = [options, 0, high, low, 0, 0, 42, 0];
    let options = vec![0x77; usize::from(options) * 4];
    payload.behind(&[&header[..], &options].concat())
}

/// RFC 1071, word by word.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// RFC 9260, appendix A, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    let add = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, add)
}
