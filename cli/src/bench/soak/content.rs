//! What is in a frame: bytes that follow from its number, so that every one of them says
//! whether it is still the frame's.

/// Bytes in front: two addresses and an experimental EtherType (IEEE 802).
const HEADER: [u8; 14] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

/// The least length of a frame: a header and its number.
pub const SHORTEST: u32 = 60;
/// The greatest: an MTU of 1500.
pub const LONGEST: u32 = 1514;

/// Fills a frame of at least [`SHORTEST`] bytes.
pub fn fill(bytes: &mut [u8], number: u64) {
    let (header, body) = bytes.split_at_mut(HEADER.len());
    header.copy_from_slice(&HEADER);
    for (position, word) in body.chunks_mut(8).enumerate() {
        let expected = word_at(number, position).to_le_bytes();
        word.copy_from_slice(&expected[..word.len()]);
    }
}

/// Whether a frame is as it was [filled](fill), whatever its number.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Some(body) = bytes.strip_prefix(&HEADER) else {
        return false;
    };
    let Some(first) = body.first_chunk::<8>() else {
        return false;
    };
    let number = u64::from_le_bytes(*first);
    let mut words = body.chunks(8).enumerate();
    words.all(|(position, word)| {
        let expected = word_at(number, position).to_le_bytes();
        word == &expected[..word.len()]
    })
}

/// The number itself, and then others that follow from it.
fn word_at(number: u64, position: usize) -> u64 {
    number.wrapping_add((position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_found() {
        for len in [60, 61, 200, 1514] {
            let mut bytes = vec![0; len];
            fill(&mut bytes, 77);
            assert!(is_whole(&bytes));
            for position in 0..len {
                let mut bytes = bytes.clone();
                bytes[position] ^= 1;
                assert!(!is_whole(&bytes), "byte {position} of {len}");
            }
        }
        assert!(!is_whole(&[]) && !is_whole(&HEADER));
    }
}
