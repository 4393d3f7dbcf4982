//! Random packets: mostly well made, with every way to be unreadable among them.

use fastrand::Rng;

use crate::packet::{Extension, Network, Packet, V4, V6};
use crate::pools::{self, once_in, one};

/// A packet.
pub fn packet(rng: &mut Rng) -> Packet {
    let tag_count = match rng.u8(0..10) {
        0..6 => 0,
        6 | 7 => 1,
        8 => 2,
        _ => rng.usize(1..=3),
    };
    let tags = (0..tag_count)
        .map(|_| {
            let priority = u16::from(rng.u8(0..16)) << 12;
            (one(rng, &pools::TPIDS), priority | one(rng, &pools::VLANS))
        })
        .collect();
    let network = match rng.u8(0..13) {
        0..6 => Network::V4(v4(rng)),
        6..10 => Network::V6(v6(rng)),
        12 => arp(rng),
        10 => Network::Other(one(rng, &pools::ETHER_TYPES), bytes(rng, 0..60)),
        _ => length_802_3(rng),
    };
    let mut packet = Packet {
        destination: one(rng, &pools::MACS),
        source: one(rng, &pools::MACS),
        tags,
        network,
        padding: if once_in(rng, 4) {
            bytes(rng, 1..46)
        } else {
            Vec::new()
        },
        cut: None,
    };
    if once_in(rng, 5) {
        let whole = packet.render().frame.len();
        // Mostly among the headers, which are short beside what is behind them.
        let network = 14 + 4 * tag_count;
        let (from, to) = match rng.u8(0..4) {
            0 => (14, whole),
            1 => (14, network),
            _ => (network + 20, network + 60),
        };
        packet.cut = Some(rng.usize(from.min(whole)..=to.min(whole)));
    }
    packet
}

/// A question or an answer for an IPv4 address.
fn arp(rng: &mut Rng) -> Network {
    let mut payload = vec![0, 1, 8, 0, 6, 4, 0, 1];
    payload.extend(one(rng, &pools::MACS));
    payload.extend(one(rng, &pools::V4).octets());
    payload.extend([0; 6]);
    payload.extend(one(rng, &pools::V4).octets());
    Network::Other(0x0806, payload)
}

/// LLC with SNAP, which names an EtherType that is not the frame's.
fn length_802_3(rng: &mut Rng) -> Network {
    let mut payload = vec![0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, 0x45];
    payload.extend(bytes(rng, 20..60));
    Network::Other(one(rng, &[0x20, 0x26, 0x5dc]), payload)
}

fn v4(rng: &mut Rng) -> V4 {
    let protocol = protocol(rng, 1);
    let options = if once_in(rng, 5) {
        let words = rng.usize(1..=10);
        bytes(rng, words * 4..words * 4 + 1)
    } else {
        Vec::new()
    };
    let mut v4 = V4 {
        source: one(rng, &pools::V4).octets(),
        destination: one(rng, &pools::V4).octets(),
        version: 4,
        header_words: None,
        fragment_offset: 0,
        more_fragments: once_in(rng, 12),
        protocol,
        total_length: None,
        payload: payload(rng, protocol),
        options,
    };
    match rng.u8(0..30) {
        0 => v4.version = one(rng, &[0, 5, 6, 15]),
        1 => v4.header_words = Some(rng.u8(0..5)),
        2 => v4.total_length = Some(rng.u16(0..40)),
        3 => v4.total_length = Some(one(rng, &[1500, 0xffff])),
        4 | 5 => v4.fragment_offset = one(rng, &[1, 2, 185, 0x1fff]),
        // Extension headers of IPv6 are protocols like others here.
        6 => v4.protocol = one(rng, &pools::EXTENSIONS),
        _ => {}
    }
    v4
}

fn v6(rng: &mut Rng) -> V6 {
    let protocol = protocol(rng, 58);
    let count = match rng.u8(0..20) {
        0..10 => 0,
        10..14 => 1,
        14..17 => 2,
        17 | 18 => rng.usize(3..=4),
        _ => rng.usize(4..=6),
    };
    let mut chain: Vec<Extension> = Vec::new();
    for _ in 0..count {
        let kind = one(rng, &pools::EXTENSIONS);
        // One fragment header is all that a packet has.
        let has_fragment = chain.iter().any(|header| header.kind == 44);
        chain.push(extension(
            rng,
            if kind == 44 && has_fragment { 60 } else { kind },
        ));
    }
    let mut v6 = V6 {
        source: one(rng, &pools::V6).octets(),
        destination: one(rng, &pools::V6).octets(),
        version: 6,
        chain,
        protocol,
        payload_length: None,
        payload: payload(rng, protocol),
    };
    match rng.u8(0..30) {
        0 => v6.version = one(rng, &[0, 4, 5, 7]),
        1 => v6.payload_length = Some(rng.u16(0..60)),
        2 => v6.payload_length = Some(one(rng, &[1500, 0xffff])),
        // Nothing is behind the fragment header of a later fragment but data.
        3 | 4 => {
            v6.chain.retain(|header| header.kind != 44);
            v6.chain
                .push(fragment(one(rng, &[8, 1448, 0xfff8]) | rng.u16(0..2)));
            if once_in(rng, 3) {
                v6.protocol = one(rng, &pools::EXTENSIONS);
            }
        }
        _ => {}
    }
    v6
}

fn extension(rng: &mut Rng, kind: u8) -> Extension {
    if kind == 44 {
        return fragment(rng.u16(0..2));
    }
    let units = rng.u8(0..3);
    let length = match kind {
        // In words, less two.
        51 => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    let mut rest = vec![units];
    rest.extend(bytes(rng, length - 2..length - 1));
    Extension { kind, rest }
}

/// A fragment header; the offset is in the upper 13 bits.
fn fragment(offset_and_more: u16) -> Extension {
    let [high, low] = offset_and_more.to_be_bytes();
    Extension {
        kind: 44,
        rest: vec![0, high, low, 0, 0, 0, 9],
    }
}

/// Mostly one with ports or a type; `icmp` is the IP version's own.
fn protocol(rng: &mut Rng, icmp: u8) -> u8 {
    match rng.u8(0..8) {
        0 | 1 => 6,
        2 | 3 => 17,
        4 => 132,
        5 | 6 => icmp,
        _ => one(rng, &pools::PROTOCOLS),
    }
}

fn payload(rng: &mut Rng, protocol: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    match protocol {
        6 => {
            payload.extend(one(rng, &pools::PORTS).to_be_bytes());
            payload.extend(one(rng, &pools::PORTS).to_be_bytes());
            payload.extend(bytes(rng, 8..9));
            payload.push(0x50);
            payload.push(one(rng, &pools::FLAGS));
            payload.extend(bytes(rng, 6..20));
        }
        17 | 132 => {
            payload.extend(one(rng, &pools::PORTS).to_be_bytes());
            payload.extend(one(rng, &pools::PORTS).to_be_bytes());
            payload.extend(bytes(rng, 4..20));
        }
        1 | 58 => {
            payload.push(one(rng, &pools::ICMP_TYPES));
            payload.extend(bytes(rng, 7..20));
        }
        _ => payload.extend(bytes(rng, 0..20)),
    }
    payload
}

fn bytes(rng: &mut Rng, count: std::ops::Range<usize>) -> Vec<u8> {
    (0..rng.usize(count)).map(|_| rng.u8(..)).collect()
}
