//! Frames whose every byte says which frame it is: a chunk with two owners shows, as
//! the bytes of one become the other's.

use wharf::{DetachedFrame, Frame};

/// A frame, and what its bytes must be.
pub struct Tagged<F> {
    pub frame: F,
    pub tag: u64,
}

/// The byte at `position` of the frame with the tag.
fn byte(tag: u64, position: usize) -> u8 {
    let byte = tag.to_le_bytes()[position % 8];
    byte ^ (position / 8).to_le_bytes()[0]
}

/// The bytes of a frame.
pub fn bytes(tag: u64, len: usize) -> Vec<u8> {
    (0..len).map(|position| byte(tag, position)).collect()
}

/// The tag of a frame of at least 8 bytes.
///
/// # Panics
///
/// When the bytes are not those of one frame.
pub fn tag_of(bytes: &[u8]) -> u64 {
    let first = bytes[..8].try_into().expect("eight bytes");
    let tag = u64::from_le_bytes(first);
    assert_is(tag, bytes.iter().copied());
    tag
}

#[track_caller]
fn assert_is(tag: u64, bytes: impl Iterator<Item = u8>) {
    for (position, found) in bytes.enumerate() {
        assert_eq!(
            found,
            byte(tag, position),
            "byte {position} of frame {tag:#x}"
        );
    }
}

impl Tagged<Frame> {
    /// Makes the frame the one with the tag.
    pub fn new(mut frame: Frame, tag: u64) -> Self {
        for (position, place) in frame.segments_mut().flatten().enumerate() {
            *place = byte(tag, position);
        }
        Self { frame, tag }
    }

    #[track_caller]
    pub fn check(&self) {
        assert_is(self.tag, self.frame.segments().flatten().copied());
    }

    pub fn detach(self) -> Tagged<DetachedFrame> {
        self.check();
        Tagged {
            frame: self.frame.detach(),
            tag: self.tag,
        }
    }
}

impl Tagged<DetachedFrame> {
    #[track_caller]
    pub fn check(&self) {
        assert_is(self.tag, self.frame.segments().flatten().copied());
    }

    /// Makes the frame another one.
    pub fn retag(&mut self, tag: u64) {
        self.check();
        self.tag = tag;
        for (position, place) in self.frame.segments_mut().flatten().enumerate() {
            *place = byte(tag, position);
        }
    }
}
