//! Payloads that say which frame they are, and show any change to a byte.
//!
//! ```text
//!  0      4          12     16
//!  | flow | sequence | tag  | body, pseudo-random …
//! ```
//!
//! Tag and body are functions of flow, sequence and length, so a receiver
//! computes them anew: a payload is either exactly the one that was sent, or
//! corrupt. Numbers are in network byte order.

/// One numbered payload of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequencedPayload {
    /// The flow it belongs to; tests number theirs as they like.
    pub flow: u32,
    /// Its number in the flow, from 0.
    pub sequence: u64,
}

/// How a payload differs from any that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupted {
    /// It is shorter than any.
    #[error("a payload of {length_bytes} bytes is shorter than any that is sent")]
    TooShort {
        /// Its length.
        length_bytes: usize,
    },
    /// Flow, sequence, tag and length do not belong together.
    #[error("the payload's header is corrupt, or its length")]
    Header,
    /// A byte of the body is not what was sent.
    #[error("byte {position} of payload {} of flow {} is corrupt", claimed.sequence, claimed.flow)]
    Body {
        /// The payload it was.
        claimed: SequencedPayload,
        /// The first wrong byte, counted from the payload's start.
        position: usize,
    },
}

impl SequencedPayload {
    /// The length of the shortest payload, in bytes.
    pub const MIN_LEN: usize = 16;

    /// The payload's bytes.
    ///
    /// # Panics
    ///
    /// When `length_bytes` is below [`SequencedPayload::MIN_LEN`].
    pub fn to_bytes(self, length_bytes: usize) -> Vec<u8> {
        assert!(
            length_bytes >= Self::MIN_LEN,
            "a sequenced payload has at least {} bytes",
            Self::MIN_LEN
        );
        let mut bytes = Vec::with_capacity(length_bytes + 8);
        bytes.extend(self.flow.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        let mut random = self.generator(length_bytes);
        bytes.extend(random.tag());
        while bytes.len() < length_bytes {
            bytes.extend(random.next().to_be_bytes());
        }
        bytes.truncate(length_bytes);
        bytes
    }

    /// Reads a payload and checks every byte of it.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when these are not the bytes of any payload.
    pub fn verify(bytes: &[u8]) -> Result<Self, Corrupted> {
        let Some((header, body)) = bytes.split_first_chunk::<{ Self::MIN_LEN }>() else {
            return Err(Corrupted::TooShort {
                length_bytes: bytes.len(),
            });
        };
        let [a, b, c, d, sequence @ .., _, _, _, _] = *header;
        let claimed = Self {
            flow: u32::from_be_bytes([a, b, c, d]),
            sequence: u64::from_be_bytes(sequence),
        };
        let mut random = claimed.generator(bytes.len());
        if header[12..] != random.tag() {
            return Err(Corrupted::Header);
        }
        for (number, word) in body.chunks(8).enumerate() {
            let expected = random.next().to_be_bytes();
            let wrong = word.iter().zip(expected).position(|(&is, was)| is != was);
            if let Some(offset) = wrong {
                return Err(Corrupted::Body {
                    claimed,
                    position: Self::MIN_LEN + 8 * number + offset,
                });
            }
        }
        Ok(claimed)
    }

    fn generator(self, length_bytes: usize) -> SplitMix64 {
        let mut mixed = SplitMix64(u64::from(self.flow));
        let mut mixed = SplitMix64(mixed.next() ^ self.sequence);
        // Lengths are far below 2^64; the cast cannot fail on any target.
        let length = u64::try_from(length_bytes).unwrap_or(u64::MAX);
        SplitMix64(mixed.next() ^ length)
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014: small, and every seed makes a good stream.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn tag(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: SequencedPayload = SequencedPayload {
        flow: 7,
        sequence: u64::MAX - 1,
    };

    #[test]
    fn payload_of_any_length_verifies() {
        for length in 16..100 {
            let bytes = PAYLOAD.to_bytes(length);

            assert_eq!(bytes.len(), length);
            assert_eq!(SequencedPayload::verify(&bytes), Ok(PAYLOAD));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = PAYLOAD.to_bytes(61);
        for bit in 0..bytes.len() * 8 {
            let mut corrupt = bytes.clone();
            corrupt[bit / 8] ^= 1 << (bit % 8);

            let verdict = SequencedPayload::verify(&corrupt);

            match bit / 8 {
                ..16 => assert_eq!(verdict, Err(Corrupted::Header), "bit {bit}"),
                position => assert_eq!(
                    verdict,
                    Err(Corrupted::Body {
                        claimed: PAYLOAD,
                        position
                    })
                ),
            }
        }
    }

    #[test]
    fn truncated_and_extended_payloads_are_noticed() {
        let bytes = PAYLOAD.to_bytes(40);
        let extended = [bytes.as_slice(), &[0]].concat();

        assert_eq!(
            SequencedPayload::verify(&bytes[..39]),
            Err(Corrupted::Header)
        );
        assert_eq!(SequencedPayload::verify(&extended), Err(Corrupted::Header));
        assert_eq!(
            SequencedPayload::verify(&bytes[..15]),
            Err(Corrupted::TooShort { length_bytes: 15 })
        );
    }

    #[test]
    #[should_panic(expected = "at least 16 bytes")]
    fn payload_too_short_for_its_header_panics() {
        PAYLOAD.to_bytes(15);
    }
}
