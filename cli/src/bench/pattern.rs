//! The payload of a message: 64-bit words that count up from a seed by a step in which all
//! bytes differ. A byte says at which place of which message it is, as far as a byte can,
//! and a fragment in the wrong place or of another message has all words wrong.
//!
//! Written and compared as fast as memory, because all of it is.

use wharf::message::Payload;

/// The payload of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// That of the message with a number.
    pub fn of(number: u64) -> Self {
        Self {
            seed: number.wrapping_add(1).wrapping_mul(SEED_STEP),
        }
    }

    /// How many of the bytes, which begin at `offset` of the message, are not its own.
    pub fn wrong_bytes(self, offset: u32, bytes: &[u8]) -> u64 {
        let (head, words, tail, mut word) = self.split(offset, bytes.len());
        let mut differences = u64::from(bytes[..words.start] != *head.as_slice());
        let (aligned, rest) = bytes[words.clone()].as_chunks::<8>();
        debug_assert!(rest.is_empty(), "whole words");
        for found in aligned {
            differences |= u64::from_le_bytes(*found) ^ word;
            word = word.wrapping_add(STEP);
        }
        differences |= u64::from(bytes[words.end..] != *tail.as_slice());
        if differences == 0 {
            return 0;
        }
        let wrong = (offset..).zip(bytes);
        wrong.filter(|(at, byte)| self.byte(*at) != **byte).count() as u64
    }

    /// The bytes before the first whole word, where the words are, the bytes behind
    /// them, and the first word.
    fn split(self, offset: u32, len: usize) -> (Few, std::ops::Range<usize>, Few, u64) {
        let head = ((8 - offset % 8) % 8) as usize;
        let head = head.min(len);
        let words = (len - head) / 8 * 8;
        let end = head + words;
        let first = offset + u32::try_from(head).expect("less than a word");
        let last = offset + u32::try_from(end).expect("a segment is small");
        (
            Few::new(self, offset, head),
            head..end,
            Few::new(self, last, len - end),
            self.word(first / 8),
        )
    }

    fn word(self, index: u32) -> u64 {
        self.seed.wrapping_add(u64::from(index).wrapping_mul(STEP))
    }

    fn byte(self, offset: u32) -> u8 {
        self.word(offset / 8).to_le_bytes()[(offset % 8) as usize]
    }
}

impl Payload for Pattern {
    fn fill(&mut self, offset: u32, bytes: &mut [u8]) {
        let (head, words, tail, mut word) = self.split(offset, bytes.len());
        bytes[..words.start].copy_from_slice(head.as_slice());
        bytes[words.end..].copy_from_slice(tail.as_slice());
        let (aligned, _) = bytes[words].as_chunks_mut::<8>();
        for to in aligned {
            *to = word.to_le_bytes();
            word = word.wrapping_add(STEP);
        }
    }
}

/// Fewer bytes than a word.
struct Few {
    bytes: [u8; 8],
    len: usize,
}

impl Few {
    fn new(pattern: Pattern, offset: u32, len: usize) -> Self {
        let mut bytes = [0; 8];
        for (at, to) in (offset..).zip(&mut bytes[..len]) {
            *to = pattern.byte(at);
        }
        Self { bytes, len }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Odd, and with different bytes: `2^64` divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Odd as well, and no small multiple of the other.
const SEED_STEP: u64 = 0xd1b5_4a32_d192_ed03;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_the_same_however_it_is_cut() {
        let mut whole = vec![0; 3000];
        Pattern::of(7).fill(0, &mut whole);

        for piece in [1, 3, 7, 8, 9, 64, 1448, 1449] {
            let mut cut = vec![0; 3000];
            for (index, bytes) in cut.chunks_mut(piece).enumerate() {
                let offset = u32::try_from(index * piece).expect("small");
                Pattern::of(7).fill(offset, bytes);
                assert_eq!(Pattern::of(7).wrong_bytes(offset, bytes), 0);
            }
            assert_eq!(cut, whole, "{piece}");
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let mut bytes = vec![0; 100];
        for offset in 0..9 {
            Pattern::of(3).fill(offset, &mut bytes);
            for at in 0..bytes.len() {
                bytes[at] ^= 0x10;
                assert_eq!(Pattern::of(3).wrong_bytes(offset, &bytes), 1);
                bytes[at] ^= 0x10;
            }
        }
        assert_eq!(Pattern::of(3).wrong_bytes(0, &[]), 0);
    }

    #[test]
    fn other_message_and_other_place_have_every_word_wrong() {
        let mut bytes = vec![0; 8000];
        Pattern::of(3).fill(0, &mut bytes);

        for (index, word) in bytes.chunks(8).enumerate() {
            let offset = u32::try_from(8 * index).expect("small");
            assert!(Pattern::of(4).wrong_bytes(offset, word) > 0, "{index}");
            assert!(
                Pattern::of(3).wrong_bytes(offset + 1448, word) > 0,
                "{index}"
            );
        }
    }
}
