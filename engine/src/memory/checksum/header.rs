//! Reading header fields.

/// The big-endian word at `offset`.
#[inline]
pub(super) fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_be_bytes)
}

/// `N` bytes at `offset`.
#[inline]
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The sum of a few words, not folded.
#[inline]
pub(super) fn sum_of_words<const N: usize>(bytes: &[u8; N]) -> u64 {
    let (words, _) = bytes.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_be_bytes(*word));
    words.map(u64::from).sum()
}
