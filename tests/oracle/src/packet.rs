//! A packet as a description, and the bytes it makes: the frame on the wire, and
//! its twin for libpcap.
//!
//! The twin is built from the same description without VLAN tags and without
//! IPv6 extension headers; only the fragment header of a later fragment stays,
//! right behind the IPv6 header, where libpcap knows it. Nothing is parsed.

use std::ops::Range;

use crate::pools::EXTENSIONS;
use crate::shape::Shape;

/// What a frame is made of.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The receiver's MAC address.
    pub destination: [u8; 6],
    /// The sender's.
    pub source: [u8; 6],
    /// Tag protocol identifier and control information, outermost first.
    pub tags: Vec<(u16, u16)>,
    /// What it carries.
    pub network: Network,
    /// Ethernet padding behind the packet.
    pub padding: Vec<u8>,
    /// How much is left of the frame where its end is missing.
    pub cut: Option<usize>,
}

/// What is behind the Ethernet header and its tags.
#[derive(Clone, Debug)]
pub enum Network {
    /// Not IP; below 1536 the type is an 802.3 length.
    Other(u16, Vec<u8>),
    /// IPv4.
    V4(V4),
    /// IPv6.
    V6(V6),
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub struct V4 {
    /// The sender.
    pub source: [u8; 4],
    /// The receiver.
    pub destination: [u8; 4],
    /// What the version field says.
    pub version: u8,
    /// Header length in words, when it does not say the truth.
    pub header_words: Option<u8>,
    /// Whole words.
    pub options: Vec<u8>,
    /// In units of eight bytes.
    pub fragment_offset: u16,
    /// Whether fragments follow.
    pub more_fragments: bool,
    /// The upper layer's.
    pub protocol: u8,
    /// Total length, when it does not say the truth.
    pub total_length: Option<u16>,
    /// What is behind the headers.
    pub payload: Vec<u8>,
}

/// An IPv6 packet.
#[derive(Clone, Debug)]
pub struct V6 {
    /// The sender.
    pub source: [u8; 16],
    /// The receiver.
    pub destination: [u8; 16],
    /// What the version field says.
    pub version: u8,
    /// The extension headers.
    pub chain: Vec<Extension>,
    /// The one that the last of them names.
    pub protocol: u8,
    /// Payload length, when it does not say the truth.
    pub payload_length: Option<u16>,
    /// What is behind the headers.
    pub payload: Vec<u8>,
}

/// An extension header.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its number.
    pub kind: u8,
    /// Behind the byte that says the kind of the next.
    pub rest: Vec<u8>,
}

/// A frame, its twin, and how much of each the packet really has.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// What may be unreadable in it.
    pub shape: Shape,
    /// As on the wire.
    pub frame: Vec<u8>,
    /// The twin.
    pub twin: Vec<u8>,
    /// Bytes of the twin that a verdict may depend on.
    pub twin_visible: usize,
}

/// The parts of a frame that was built.
struct Built {
    bytes: Vec<u8>,
    network_at: usize,
    /// Extension headers; empty where there are none.
    chain: Range<usize>,
    /// Where the packet says that it ends.
    says_end: usize,
}

impl Packet {
    /// The bytes.
    #[must_use]
    pub fn render(&self) -> Rendered {
        let wire = self.build(&self.tags, self.chain());
        // Two tags are looked through; a third is what the frame carries.
        let behind = self.tags.get(2..).unwrap_or_default();
        let twin = self.build(behind, self.twin_chain());
        let kept = self.cut.map_or(wire.bytes.len(), |cut| cut.max(14));
        let kept = kept.min(wire.bytes.len());
        let visible = if behind.is_empty() {
            kept.min(wire.says_end)
        } else {
            kept
        };

        let shape = self.shape(&wire, kept, visible);
        let removed_tags = (self.tags.len() - behind.len()) * 4;
        let removed_chain = wire.chain.len() - twin.chain.len();
        let twin_visible = if shape == Shape::TagCut {
            12
        } else if visible < wire.chain.start {
            visible - removed_tags
        } else if visible < wire.chain.end {
            wire.chain.start - removed_tags
        } else {
            visible - removed_tags - removed_chain
        };
        let twin_kept = if kept == wire.bytes.len() {
            twin.bytes.len()
        } else {
            twin_visible
        };

        let mut frame = wire.bytes;
        frame.truncate(kept);
        let mut twin = twin.bytes;
        twin.truncate(twin_kept);
        Rendered {
            shape,
            frame,
            twin,
            twin_visible,
        }
    }

    fn shape(&self, wire: &Built, kept: usize, visible: usize) -> Shape {
        let looked_through = self.tags.len().min(2);
        if kept < 14 + 4 * looked_through {
            return Shape::TagCut;
        }
        if self.tags.len() > 2 {
            return Shape::Whole;
        }
        match &self.network {
            Network::Other(0x0806, _) if kept < wire.network_at + 28 => Shape::ArpCut,
            Network::Other(..) => Shape::Whole,
            Network::V4(v4) => {
                let header = 20 + v4.options.len();
                let total = wire.says_end - wire.network_at;
                let bad = v4.version != 4 || v4.header_words.is_some() || total < header;
                if bad || kept < wire.network_at + header {
                    Shape::BadHeader
                } else if v4.fragment_offset > 0 {
                    Shape::LaterFragment
                } else {
                    upper(v4.protocol, visible, wire.network_at + header)
                }
            }
            Network::V6(v6) => {
                if v6.version != 6 || kept < wire.network_at + 40 {
                    Shape::BadHeader
                } else if v6.chain.len() > 4 {
                    Shape::LongChain
                } else if visible < wire.chain.end {
                    Shape::ChainCut
                } else if v6.chain.iter().any(Extension::is_later_fragment) {
                    if EXTENSIONS.contains(&v6.protocol) {
                        Shape::LaterFragmentOfExtension
                    } else {
                        Shape::LaterFragment
                    }
                } else {
                    upper(v6.protocol, visible, wire.chain.end)
                }
            }
        }
    }

    /// Whether it is an IPv6 packet with this extension header. Behind a third tag there
    /// is none that is looked at.
    #[must_use]
    pub fn has_extension(&self, kind: u8) -> bool {
        self.tags.len() <= 2 && self.chain().iter().any(|header| header.kind == kind)
    }

    fn chain(&self) -> Vec<Extension> {
        match &self.network {
            Network::V6(v6) => v6.chain.clone(),
            _ => Vec::new(),
        }
    }

    fn twin_chain(&self) -> Vec<Extension> {
        let mut chain = self.chain();
        chain.retain(Extension::is_later_fragment);
        chain
    }

    fn build(&self, tags: &[(u16, u16)], chain: Vec<Extension>) -> Built {
        let mut bytes = Vec::from(self.destination);
        bytes.extend(self.source);
        for (identifier, control) in tags {
            bytes.extend(identifier.to_be_bytes());
            bytes.extend(control.to_be_bytes());
        }
        let network_at = bytes.len() + 2;
        let mut built = Built {
            bytes,
            network_at,
            chain: network_at..network_at,
            says_end: usize::MAX,
        };
        match &self.network {
            Network::Other(kind, payload) => {
                built.bytes.extend(kind.to_be_bytes());
                built.bytes.extend(payload);
            }
            Network::V4(v4) => v4.append(&mut built),
            Network::V6(v6) => v6.append(&mut built, chain),
        }
        built.bytes.extend(&self.padding);
        built
    }
}

/// Whether all of the upper layer's header that is ever asked for is there.
fn upper(protocol: u8, visible: usize, at: usize) -> Shape {
    let needed = match protocol {
        6 => 14,
        17 | 132 => 4,
        1 | 58 => 1,
        _ => 0,
    };
    if visible < at + needed {
        Shape::UpperCut
    } else {
        Shape::Whole
    }
}

fn low16(value: usize) -> [u8; 2] {
    u16::try_from(value)
        .expect("packets are small")
        .to_be_bytes()
}

impl V4 {
    fn append(&self, built: &mut Built) {
        let header = 20 + self.options.len();
        let words = u8::try_from(header / 4).expect("at most 15");
        let total = self
            .total_length
            .map_or(header + self.payload.len(), usize::from);
        let offset = self.fragment_offset | (u16::from(self.more_fragments) << 13);
        let out = &mut built.bytes;
        out.extend([0x08, 0x00]);
        out.push(self.version << 4 | self.header_words.unwrap_or(words));
        out.push(0);
        out.extend(low16(total));
        out.extend([0x12, 0x34]);
        out.extend(offset.to_be_bytes());
        out.extend([64, self.protocol, 0, 0]);
        out.extend(self.source);
        out.extend(self.destination);
        out.extend(&self.options);
        out.extend(&self.payload);
        built.says_end = built.network_at + total;
    }
}

impl V6 {
    fn append(&self, built: &mut Built, chain: Vec<Extension>) {
        let chain_length: usize = chain.iter().map(|header| 1 + header.rest.len()).sum();
        let length = self
            .payload_length
            .map_or(chain_length + self.payload.len(), usize::from);
        let start = built.network_at + 40;
        let out = &mut built.bytes;
        out.extend([0x86, 0xdd]);
        out.extend([self.version << 4, 0, 0, 0]);
        out.extend(low16(length));
        out.push(chain.first().map_or(self.protocol, |header| header.kind));
        out.push(64);
        out.extend(self.source);
        out.extend(self.destination);
        for (index, header) in chain.iter().enumerate() {
            let next = chain.get(index + 1);
            out.push(next.map_or(self.protocol, |header| header.kind));
            out.extend(&header.rest);
        }
        out.extend(&self.payload);
        built.chain = start..start + chain_length;
        built.says_end = start + length;
    }
}

impl Extension {
    /// Whether it is the fragment header of a fragment after the first.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.kind == 44 && (self.rest[1] != 0 || self.rest[2] & 0xf8 != 0)
    }
}
