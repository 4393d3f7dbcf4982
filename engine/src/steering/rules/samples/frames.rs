//! Frames: Ethernet, tags, ARP, IP with options and extension headers, upper
//! layers; then bytes changed, and the end cut off.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{any_ipv4, any_ipv6, ether_type, mac, port, vlan_id};

/// Frames of all kinds, whole and broken.
pub(crate) fn frame() -> BoxedStrategy<Vec<u8>> {
    let network = prop_oneof![
        6 => ipv4(),
        6 => ipv6(),
        2 => arp(),
        1 => (ether_type(), vec(any::<u8>(), 0..40)),
    ];
    let tag = (
        select(&[0x8100_u16, 0x88a8, 0x9100][..]),
        vlan_id(),
        0..16_u16,
    );
    let tags = prop_oneof![3 => Just(Vec::new()).boxed(), 2 => vec(tag, 1..4).boxed()];
    let corruption = prop_oneof![
        3 => Just(Vec::new()).boxed(),
        1 => vec((any::<prop::sample::Index>(), any::<u8>()), 1..3).boxed(),
    ];
    let cut = option::weighted(0.25, any::<prop::sample::Index>());
    ((mac(), mac()), tags, network, 0..8_usize, corruption, cut)
        .prop_map(
            |((destination, source), tags, (ether_type, packet), padding, corruption, cut)| {
                let mut frame = destination.to_vec();
                frame.extend(source);
                for (tpid, id, priority) in tags {
                    frame.extend(tpid.to_be_bytes());
                    frame.extend((priority << 12 | id).to_be_bytes());
                }
                frame.extend(ether_type.to_be_bytes());
                frame.extend(packet);
                frame.resize(frame.len() + padding, 0);
                for (at, value) in corruption {
                    let at = at.index(frame.len());
                    frame[at] = value;
                }
                if let Some(cut) = cut {
                    frame.truncate(cut.index(frame.len() + 1));
                }
                frame
            },
        )
        .boxed()
}

fn arp() -> BoxedStrategy<(u16, Vec<u8>)> {
    (any_ipv4(), any_ipv4(), vec(any::<u8>(), 28..40))
        .prop_map(|(source, destination, mut arp)| {
            arp[14..18].copy_from_slice(&source);
            arp[24..28].copy_from_slice(&destination);
            (0x0806, arp)
        })
        .boxed()
}

fn ipv4() -> BoxedStrategy<(u16, Vec<u8>)> {
    let options = prop_oneof![3 => Just(0_u8), 1 => 1..=10_u8];
    let offset = prop_oneof![4 => Just(0_u16), 1 => 1..0x2000_u16];
    // Wrong versions, header lengths and total lengths, now and then.
    let first = option::weighted(0.05, any::<u8>());
    let total = option::weighted(0.1, 0..60_u16);
    (
        options,
        (offset, 0..8_u16),
        (any_ipv4(), any_ipv4()),
        upper(),
        (first, total),
    )
        .prop_map(
            |(
                options,
                (offset, bits),
                (source, destination),
                (protocol, upper),
                (first, total),
            )| {
                let mut packet = vec![first.unwrap_or(0x45 + options), 0];
                let length = 20 + usize::from(options) * 4 + upper.len();
                let length = u16::try_from(length).expect("short");
                packet.extend(total.unwrap_or(length).to_be_bytes());
                packet.extend([0, 0]);
                packet.extend((bits << 13 | offset).to_be_bytes());
                packet.extend([64, protocol, 0, 0]);
                packet.extend(source);
                packet.extend(destination);
                packet.resize(20 + usize::from(options) * 4, 1);
                packet.extend(upper);
                (0x0800, packet)
            },
        )
        .boxed()
}

fn ipv6() -> BoxedStrategy<(u16, Vec<u8>)> {
    let offset = prop_oneof![2 => Just(0_u16), 1 => 1..0x2000_u16];
    let extension = (
        select(&[0_u8, 43, 44, 51, 60][..]),
        0..3_u8,
        offset,
        0..8_u16,
    );
    let extensions = prop_oneof![Just(Vec::new()).boxed(), vec(extension, 0..6).boxed()];
    let first = option::weighted(0.05, any::<u8>());
    let payload = option::weighted(0.1, 0..60_u16);
    (
        extensions,
        (any_ipv6(), any_ipv6()),
        upper(),
        (first, payload),
    )
        .prop_map(
            |(extensions, (source, destination), (protocol, upper), (first, payload))| {
                let mut numbers: Vec<u8> = extensions.iter().map(|extension| extension.0).collect();
                numbers.push(protocol);
                let mut behind = Vec::new();
                for (at, (number, length, offset, bits)) in extensions.into_iter().enumerate() {
                    let units = usize::from(length);
                    let (bytes, length) = match number {
                        44 => (8, 0),
                        51 => ((units + 2) * 4, length),
                        _ => ((units + 1) * 8, length),
                    };
                    let start = behind.len();
                    behind.extend([numbers[at + 1], length]);
                    behind.extend((offset << 3 | bits).to_be_bytes());
                    behind.resize(start + bytes, 0);
                }
                behind.extend(upper);
                let mut packet = vec![first.unwrap_or(0x60), 0, 0, 0];
                let length = u16::try_from(behind.len()).expect("short");
                packet.extend(payload.unwrap_or(length).to_be_bytes());
                packet.extend([numbers[0], 64]);
                packet.extend(source);
                packet.extend(destination);
                packet.extend(behind);
                (0x86dd, packet)
            },
        )
        .boxed()
}

/// A protocol with bytes that could be its header.
fn upper() -> BoxedStrategy<(u8, Vec<u8>)> {
    let protocol = prop_oneof![
        8 => select(&[6_u8, 17, 132, 1, 58][..]),
        1 => select(&[0_u8, 43, 44, 50, 51, 59, 60][..]),
        1 => any::<u8>(),
    ];
    let first = select(&[0_u8, 8, 128, 135][..]);
    let flags = prop_oneof![select(&[0_u8, 1, 2, 16, 18][..]), any::<u8>()];
    (protocol, port(), port(), first, flags, 0..24_usize)
        .prop_map(|(protocol, source, destination, first, flags, length)| {
            let mut upper = source.to_be_bytes().to_vec();
            upper.extend(destination.to_be_bytes());
            upper.resize(20, 0);
            upper[13] = flags;
            if protocol == 1 || protocol == 58 {
                upper[0] = first;
            }
            if length < 20 {
                upper.truncate(length);
            }
            (protocol, upper)
        })
        .boxed()
}
