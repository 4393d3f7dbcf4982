//! The header of a fragment: which part of which message a frame has.
//!
//! What is read is a stranger's: every number is checked before another module sees it,
//! so that a fragment's place lies in its message.

use thiserror::Error;

/// Bytes of a fragment's header, behind the caller's headers.
pub const FRAGMENT_HEADER_BYTES: u32 = 24;

/// Which part of which message a frame has.
///
/// # Invariants
///
/// `stride` is above zero, and `index` below [`count`](Self::count).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) message: u64,
    pub(super) message_len: u32,
    pub(super) stride: u32,
    pub(super) index: u32,
}

/// Why a frame is no fragment.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Its first chunk ends before the fragment header does.
    #[error("it ends before the fragment header does")]
    NoHeader,
    /// It does not begin with the mark of a fragment.
    #[error("it is no fragment of a message")]
    NoFragment,
    /// It is of a version that this library does not know.
    #[error("it is of version {0}, and 1 is known")]
    Version(u8),
    /// Its index or its stride lies outside its message.
    #[error("its place lies outside its message")]
    Place,
    /// It has fewer payload bytes than its place in the message asks for.
    #[error("it is shorter than its place in the message")]
    TooShort,
    /// Its message has another length or stride by the fragments that came before.
    #[error("it contradicts the fragments that came before it")]
    Contradiction,
}

impl Fragment {
    /// Reads and checks the header at the front of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let header: &[u8; FRAGMENT_HEADER_BYTES as usize] =
            bytes.first_chunk().ok_or(Malformed::NoHeader)?;
        if header[..2] != MARK {
            return Err(Malformed::NoFragment);
        }
        if header[2] != VERSION {
            return Err(Malformed::Version(header[2]));
        }
        let word = |at: usize| {
            u32::from_be_bytes(header[at..at + 4].try_into().expect("four of 24 bytes"))
        };
        let fragment = Self {
            index: word(4),
            message: u64::from(word(8)) << 32 | u64::from(word(12)),
            message_len: word(16),
            stride: word(20),
        };
        if fragment.stride == 0 || fragment.index >= fragment.count() {
            return Err(Malformed::Place);
        }
        Ok(fragment)
    }

    /// Writes the header to the front of `bytes`.
    ///
    /// # Panics
    ///
    /// When they are fewer than [`FRAGMENT_HEADER_BYTES`].
    pub(super) fn write(&self, bytes: &mut [u8]) {
        bytes[..2].copy_from_slice(&MARK);
        bytes[2..4].copy_from_slice(&[VERSION, 0]);
        bytes[4..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.message.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.message_len.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.stride.to_be_bytes());
    }

    /// Fragments of the message: one at least, so that an empty message arrives.
    pub(super) fn count(&self) -> u32 {
        self.message_len.div_ceil(self.stride).max(1)
    }

    /// Where its payload begins in the message.
    pub(super) fn offset(&self) -> u32 {
        // Below `message_len`, or zero.
        self.index * self.stride
    }

    /// Bytes of its payload.
    pub(super) fn len(&self) -> u32 {
        (self.message_len - self.offset()).min(self.stride)
    }

    /// Whether both are of one message, as far as that is long and cut alike.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        (self.message_len, self.stride) == (other.message_len, other.stride)
    }
}

const MARK: [u8; 2] = *b"WM";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fragment(message_len: u32, stride: u32, index: u32) -> Fragment {
        Fragment {
            message: 0x0102_0304_0506_0708,
            message_len,
            stride,
            index,
        }
    }

    fn written(fragment: &Fragment) -> [u8; 24] {
        let mut bytes = [0xff; 24];
        fragment.write(&mut bytes);
        bytes
    }

    #[test]
    fn header_is_what_the_documentation_says() {
        let bytes = written(&fragment(10_000, 1476, 6));

        let expected = [
            b'W', b'M', 1, 0, 0, 0, 0, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x27, 0x10, 0, 0, 5, 0xc4,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn fragments_of_a_message_are_its_bytes_once_each() {
        for (len, stride) in [
            (0, 1),
            (0, 1476),
            (1, 1),
            (1, 1476),
            (1475, 1476),
            (1476, 1476),
            (1477, 1476),
            (u32::MAX, u32::MAX),
            (u32::MAX, u32::MAX - 1),
            (16 << 20, 1476),
        ] {
            let count = fragment(len, stride, 0).count();
            let mut next = 0;
            for index in 0..count {
                let fragment = fragment(len, stride, index);
                assert_eq!(fragment.offset(), next, "{len} by {stride}");
                next += fragment.len();
            }
            assert_eq!(next, len, "by {stride}");
            assert_eq!(
                Fragment::read(&written(&fragment(len, stride, count))),
                Err(Malformed::Place)
            );
        }
    }

    #[test]
    fn what_is_no_fragment_is_told_apart() {
        let good = written(&fragment(100, 50, 1));
        let changed = |at: usize, to: u8| {
            let mut bytes = good;
            bytes[at] = to;
            Fragment::read(&bytes)
        };

        assert!(Fragment::read(&good).is_ok());
        assert_eq!(Fragment::read(&good[..23]), Err(Malformed::NoHeader));
        assert_eq!(Fragment::read(&[]), Err(Malformed::NoHeader));
        assert_eq!(changed(0, 0), Err(Malformed::NoFragment));
        assert_eq!(changed(2, 2), Err(Malformed::Version(2)));
        assert_eq!(changed(7, 2), Err(Malformed::Place));
        assert_eq!(changed(23, 0), Err(Malformed::Place), "a stride of zero");
        assert_eq!(changed(4, 0x80), Err(Malformed::Place));
    }

    proptest! {
        #[test]
        fn whatever_is_read_lies_in_its_message(bytes in proptest::array::uniform20(any::<u8>())) {
            let header = [&b"WM\x01\x00"[..], &bytes].concat();

            if let Ok(fragment) = Fragment::read(&header) {
                let end = u64::from(fragment.offset()) + u64::from(fragment.len());
                prop_assert!(end <= u64::from(fragment.message_len));
                prop_assert_eq!(Fragment::read(&written(&fragment)), Ok(fragment));
            }
        }
    }
}
