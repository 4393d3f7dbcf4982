//! The ones' complement sum (RFC 1071).
//!
//! The order of the bytes in a word does not matter until the end, and neither does
//! the width of a word. So words are as wide and in such an order as the machine likes
//! best, and the result is turned into network order once.

/// Bytes that are summed up at once.
const BLOCK: usize = 32;

/// The sum of 16-bit words in network order; an odd byte counts as the high one.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u16 {
    // Two sums of 64-bit words, which do not wait for each other.
    let mut sums = [0_u128; 2];
    let mut blocks = bytes.chunks_exact(BLOCK);
    for block in &mut blocks {
        let [a, b, c, d] = words(block);
        sums[0] += u128::from(a) + u128::from(c);
        sums[1] += u128::from(b) + u128::from(d);
    }
    let mut rest = blocks.remainder().chunks_exact(8);
    for word in &mut rest {
        sums[0] += u128::from(word_of(word));
    }
    sums[1] += u128::from(word_of(rest.remainder()));
    // Fewer than 2^60 words of 2^64: their sum does not overflow.
    u16::from_be(fold_wide(sums[0] + sums[1]))
}

/// The sum in 16 bits.
#[inline]
pub(super) fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    low_half((sum >> 16) + (sum & 0xffff))
}

/// The same of a wider sum.
#[inline]
fn fold_wide(sum: u128) -> u16 {
    const LOW: u128 = u64::MAX as u128;
    let sum = (sum >> 64) + (sum & LOW);
    let sum = (sum >> 64) + (sum & LOW);
    fold(u64::try_from(sum).expect("folded to 64 bits"))
}

fn low_half(sum: u64) -> u16 {
    u16::try_from(sum).expect("folded to 16 bits")
}

#[inline]
fn words(block: &[u8]) -> [u64; 4] {
    let (block, _) = block.as_chunks::<8>();
    std::array::from_fn(|place| u64::from_ne_bytes(block[place]))
}

/// Up to 8 bytes as a word, behind which there are zeros.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    if let Ok(word) = bytes.try_into() {
        return u64::from_ne_bytes(word);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// The sum as RFC 1071 has it.
    fn plain(bytes: &[u8]) -> u16 {
        let pairs = bytes.chunks(2);
        let mut sum: u64 = pairs
            .map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).expect("folded")
    }

    #[test]
    fn sum_of_the_rfc() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
        assert_eq!(sum(&[]), 0);
        assert_eq!(sum(&[0xff; 9000]), 0xffff);
        assert_eq!(sum(&[7]), 0x0700);
    }

    #[test]
    fn greatest_sums_fold() {
        assert_eq!((fold(u64::MAX), fold(0), fold(0x1_ffff)), (0xffff, 0, 1));
        assert_eq!(fold_wide(u128::MAX), 0xffff);
    }

    proptest! {
        #[test]
        fn wide_words_sum_up_as_narrow_ones(bytes: Vec<u8>) {
            for start in 0..bytes.len().min(9) {
                prop_assert_eq!(sum(&bytes[start..]), plain(&bytes[start..]));
            }
        }

        #[test]
        fn any_sum_folds_as_by_hand(wide: u64) {
            prop_assert_eq!(fold(wide), plain(&wide.to_be_bytes()));
        }
    }
}
