//! A whole message: the frames that it arrived in.

use crate::memory::frame::Frame;

/// A message of a peer, in the frames that it arrived in. Nothing was copied: its payload
/// is the segments of these frames, of which each has payload bytes only.
///
/// Dropping it recycles their chunks.
#[derive(Debug)]
pub struct Message<P> {
    pub(super) peer: P,
    pub(super) number: u64,
    pub(super) len: u32,
    pub(super) stride: u32,
    pub(super) frames: Vec<Frame>,
}

impl<P> Message<P> {
    /// The payload from first to last byte, one slice per chunk. Some may be empty.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().flat_map(Frame::segments)
    }

    /// As [`segments`](Self::segments), to write to.
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.frames.iter_mut().flat_map(Frame::segments_mut)
    }

    /// Copies the payload from `offset` on to `to`, and returns how many bytes that were.
    pub fn copy_to(&self, offset: u32, to: &mut [u8]) -> usize {
        let (mut skip, mut copied) = (offset as usize, 0);
        // Only whole frames of one length come before the one that has `offset`.
        let first = offset / self.stride;
        skip -= (first * self.stride) as usize;
        let frames = self.frames.get(first as usize..).unwrap_or_default();
        for segment in frames.iter().flat_map(Frame::segments) {
            if skip >= segment.len() {
                skip -= segment.len();
                continue;
            }
            let segment = &segment[skip..];
            skip = 0;
            let len = segment.len().min(to.len() - copied);
            to[copied..copied + len].copy_from_slice(&segment[..len]);
            copied += len;
            if copied == to.len() {
                break;
            }
        }
        copied
    }

    /// The same message of another peer, or of one named otherwise.
    #[must_use]
    pub fn with_peer<Q>(self, peer: Q) -> Message<Q> {
        Message {
            peer,
            number: self.number,
            len: self.len,
            stride: self.stride,
            frames: self.frames,
        }
    }

    /// The frames, in order. Each has payload bytes only.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames
    }

    /// The frames, in order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Who sent it.
    pub fn peer(&self) -> &P {
        &self.peer
    }

    /// The number that its sender gave it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of its payload.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
