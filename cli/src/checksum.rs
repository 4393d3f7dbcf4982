//! Completes checksums that a stack left to hardware which a virtual interface lacks.
//!
//! A stack that sends over veth leaves the TCP or UDP checksum at the sum of the
//! pseudo-header and marks the packet (`CHECKSUM_PARTIAL`); the receiving stack
//! trusts the mark. AF_XDP carries the bytes only, so the next receiver has no mark to
//! trust: `ping` works, and TCP does not. The half-done sum is easy to recognise, and a
//! checksum that is already right is left alone.
//!
//! Source: `CHECKSUM_PARTIAL` in `include/linux/skbuff.h`; observed on veth,
//! native and generic, Linux 6.18.

use wharf::Frame;

/// Where the checksum of a frame's TCP or UDP part is, and what it covers.
struct Transport {
    start: usize,
    end: usize,
    field: usize,
}

/// Finishes the TCP or UDP checksum of an Ethernet frame if it was left at the
/// pseudo-header's sum; returns whether it was. Headers are in the frame's first
/// chunk, as the kernel puts them there.
pub fn finish(frame: &mut Frame) -> bool {
    let Some((field, sum)) = finished(frame, frame.total_len(), frame.segments()) else {
        return false;
    };
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    true
}

/// The checksum that a frame lacks, and where in its `first` segment it belongs.
fn finished<'a>(
    first: &[u8],
    total_len: u32,
    segments: impl Iterator<Item = &'a [u8]>,
) -> Option<(usize, u16)> {
    let total = usize::try_from(total_len).ok()?;
    let Transport { start, end, field } = unfinished(first, total)?;
    let sum = match !fold(sum_between(segments, start, end)) {
        // Zero says that there is no checksum.
        0 => 0xffff,
        sum => sum,
    };
    Some((field, sum))
}

/// The sum of the bytes `start..end` of a frame in segments. A segment that
/// begins at an odd offset has its words' bytes swapped, and so its sum's
/// (RFC 1071, section 2).
fn sum_between<'a>(segments: impl Iterator<Item = &'a [u8]>, start: usize, end: usize) -> u64 {
    let (mut offset, mut total) = (0, 0);
    for segment in segments {
        let from = start.clamp(offset, offset + segment.len());
        let to = end.clamp(from, offset + segment.len());
        let part = sum(&segment[from - offset..to - offset]);
        total += if from.saturating_sub(start).is_multiple_of(2) {
            part
        } else {
            u64::from(fold(part).swap_bytes())
        };
        offset += segment.len();
    }
    total
}

fn unfinished(frame: &[u8], total: usize) -> Option<Transport> {
    let network = after_tags(frame)?;
    let packet = frame.get(network..)?;
    let (addresses, protocol, header, len) = match packet.first()? >> 4 {
        4 => {
            // A fragment has a part of what its checksum covers.
            if word(packet, 6)? & 0x3fff != 0 {
                return None;
            }
            let header = usize::from(packet[0] & 0xf) * 4;
            if header < 20 {
                return None;
            }
            let len = usize::from(word(packet, 2)?).checked_sub(header)?;
            (packet.get(12..20)?, *packet.get(9)?, header, len)
        }
        6 => {
            let len = usize::from(word(packet, 4)?);
            (packet.get(8..40)?, *packet.get(6)?, 40, len)
        }
        _ => return None,
    };
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let start = network + header;
    let (end, field) = (start + len, start + offset);
    if field + 2 > end || end > total {
        return None;
    }
    let found = word(frame, field)?;
    let pseudo = sum(addresses) + u64::from(protocol) + u64::try_from(len).ok()?;
    (found == fold(pseudo)).then_some(Transport { start, end, field })
}

/// Where the network header begins, behind up to two VLAN tags; `None` for what
/// is not IP.
fn after_tags(frame: &[u8]) -> Option<usize> {
    let mut offset = 12;
    for _ in 0..3 {
        match word(frame, offset)? {
            0x8100 | 0x88a8 => offset += 4,
            0x0800 | 0x86dd => return Some(offset + 2),
            _ => return None,
        }
    }
    None
}

fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    let pair = bytes.get(offset..offset + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

/// The sum of 16-bit words in network order; an odd byte counts as the high one.
fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2);
    pairs
        .map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from))
        .sum()
}

/// The ones' complement sum in 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}

const TCP: u8 = 6;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::{SocketAddrV4, SocketAddrV6};

    use wharf_testbed::UdpFlow;

    const PAYLOAD: &[u8] = b"odd length!";

    fn ipv4() -> Vec<u8> {
        let flow = UdpFlow::v4(
            SocketAddrV4::new([10, 0, 0, 1].into(), 4000),
            SocketAddrV4::new([10, 0, 0, 2].into(), 5000),
        );
        flow.frame(PAYLOAD)
    }

    fn ipv6() -> Vec<u8> {
        let address = |last| [0xfd00, 0, 0, 0, 0, 0, 0, last].into();
        let flow = UdpFlow::v6(
            SocketAddrV6::new(address(1), 4000, 0, 0),
            SocketAddrV6::new(address(2), 5000, 0, 0),
        );
        flow.frame(PAYLOAD)
    }

    /// What a stack would send over veth instead of `frame`.
    fn left_to_hardware(frame: &[u8], addresses: std::ops::Range<usize>, field: usize) -> Vec<u8> {
        let len = u64::try_from(8 + PAYLOAD.len()).expect("short");
        let pseudo = fold(sum(&frame[addresses]) + u64::from(UDP) + len);
        let mut frame = frame.to_vec();
        frame[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        frame
    }

    /// As [`super::finish`], on a frame that lies in pieces of `piece` bytes.
    fn finish_in(frame: &mut [u8], piece: usize) -> bool {
        let total = u32::try_from(frame.len()).expect("short");
        let first = &frame[..piece.min(frame.len())];
        let Some((field, sum)) = finished(first, total, frame.chunks(piece)) else {
            return false;
        };
        frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        true
    }

    fn finish(frame: &mut [u8]) -> bool {
        finish_in(frame, usize::MAX)
    }

    #[test]
    fn checksum_of_a_frame_in_pieces_is_that_of_the_whole() {
        for (right, addresses, field) in [(ipv4(), 26..34, 40), (ipv6(), 22..54, 60)] {
            // From where the checksum is in the first piece to where all is.
            for piece in field + 2..=right.len() {
                let mut frame = left_to_hardware(&right, addresses.clone(), field);

                assert!(finish_in(&mut frame, piece), "{piece}");

                assert_eq!(frame, right, "{piece}");
            }
        }
    }

    #[test]
    fn odd_pieces_sum_up_to_the_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = fold(sum(&bytes[35..977]));

        for piece in 1..100 {
            assert_eq!(
                fold(sum_between(bytes.chunks(piece), 35, 977)),
                whole,
                "{piece}"
            );
        }
    }

    #[test]
    fn unfinished_checksum_is_finished() {
        for (right, addresses, field) in [(ipv4(), 26..34, 40), (ipv6(), 22..54, 60)] {
            let mut frame = left_to_hardware(&right, addresses, field);
            assert_ne!(frame, right);

            assert!(finish(&mut frame));

            assert_eq!(frame, right);
        }
    }

    #[test]
    fn finished_checksum_stays() {
        for right in [ipv4(), ipv6()] {
            let mut frame = right.clone();

            assert!(!finish(&mut frame));

            assert_eq!(frame, right);
        }
    }

    #[test]
    fn frame_cut_anywhere_is_left_alone() {
        let whole = left_to_hardware(&ipv4(), 26..34, 40);
        for len in 0..whole.len() {
            let mut frame = whole[..len].to_vec();
            assert!(!finish(&mut frame), "{len} bytes");
        }
    }

    #[test]
    fn header_too_short_for_ipv4_is_left_alone() {
        for words in 0..5 {
            let mut frame = ipv4();
            frame[14] = 0x40 | words;
            frame[23] = TCP;
            // Where the checksum of what follows such a header would be.
            let field = 14 + usize::from(words) * 4 + 16;
            let len = u64::from(u16::from_be_bytes([frame[16], frame[17]])) - u64::from(words) * 4;
            for sum in 0..=u16::MAX {
                frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
                let pseudo = fold(super::sum(&frame[26..34]) + u64::from(TCP) + len);
                if pseudo == sum {
                    break;
                }
            }

            assert!(!finish(&mut frame), "{words} words");
        }
    }

    #[test]
    fn fragment_is_left_alone() {
        let mut frame = left_to_hardware(&ipv4(), 26..34, 40);
        frame[20] |= 0x20;

        assert!(!finish(&mut frame));
    }
}
