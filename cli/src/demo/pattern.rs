//! Pseudo-random bytes that each depend on their position, so that a byte that
//! is wrong, missing, doubled or moved shows at once, without a copy of what
//! was sent.

/// An endless stream of bytes; different seeds give different streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Writes the stream's bytes from `position` on.
    pub fn fill(&self, position: u64, bytes: &mut [u8]) {
        let mut at = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = self.word(at / 8);
            let skip = usize::try_from(at % 8).expect("below 8");
            let take = (8 - skip).min(rest.len());
            let (now, later) = rest.split_at_mut(take);
            now.copy_from_slice(&word[skip..skip + take]);
            at += take as u64;
            rest = later;
        }
    }

    /// The index of the first of `bytes` that is not the stream's from
    /// `position` on.
    pub fn first_mismatch(&self, position: u64, bytes: &[u8]) -> Option<usize> {
        let mut expected = [0; 4096];
        for (block, chunk) in bytes.chunks(expected.len()).enumerate() {
            let start = block * expected.len();
            let expected = &mut expected[..chunk.len()];
            self.fill(position + start as u64, expected);
            if expected != chunk {
                let index = expected
                    .iter()
                    .zip(chunk)
                    .position(|(want, got)| want != got);
                return index.map(|index| start + index);
            }
        }
        None
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014), which takes any counter.
    fn word(&self, index: u64) -> [u8; 8] {
        let mut z = self
            .seed
            .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_the_same_in_whatever_pieces_it_is_written() {
        let pattern = Pattern::new(7);
        let mut whole = [0; 10_000];
        let mut pieces = [0; 10_000];

        pattern.fill(5, &mut whole);
        for (index, piece) in pieces.chunks_mut(13).enumerate() {
            pattern.fill(5 + 13 * index as u64, piece);
        }

        assert_eq!(whole, pieces);
        assert_eq!(pattern.first_mismatch(5, &whole), None);
    }

    #[test]
    fn changed_byte_is_found_where_it_is() {
        let pattern = Pattern::new(7);
        let mut bytes = [0; 10_000];
        pattern.fill(0, &mut bytes);

        bytes[9_123] ^= 0x10;

        assert_eq!(pattern.first_mismatch(0, &bytes), Some(9_123));
    }

    #[test]
    fn moved_or_foreign_bytes_do_not_match() {
        let pattern = Pattern::new(7);
        let mut bytes = [0; 64];
        pattern.fill(0, &mut bytes);

        assert!(pattern.first_mismatch(8, &bytes).is_some());
        assert!(Pattern::new(8).first_mismatch(0, &bytes).is_some());
    }
}
