//! A message of which some fragments have arrived, in whatever order.

use std::ops::Range;
use std::time::Instant;

use super::fragment::Fragment;
use crate::memory::frame::Frame;

/// The fragments of one message so far. Each frame has its part of the payload and
/// nothing else.
#[derive(Debug)]
pub(super) struct Incomplete {
    /// Of its first fragment.
    fragment: Fragment,
    /// When that came.
    since: Instant,
    /// Which one it is, of all that this reassembler began.
    serial: u64,
    /// In the order of their arrival, with their index.
    frames: Vec<(u32, Frame)>,
    /// A bit for each fragment.
    has: Vec<u64>,
    /// Chunks that the frames lie in.
    chunks: u32,
    /// Whether the frames are in the order of their indices.
    is_sorted: bool,
}

impl Incomplete {
    pub(super) fn new(fragment: Fragment, since: Instant, serial: u64) -> Self {
        let words = fragment.count().div_ceil(u64::BITS) as usize;
        Self {
            fragment,
            since,
            serial,
            frames: Vec::new(),
            has: vec![0; words],
            chunks: 0,
            is_sorted: true,
        }
    }

    /// Whether it has the fragment of this index, which is in the message.
    pub(super) fn has(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.has[word] & bit != 0
    }

    /// Adds a fragment that it does not have, and that agrees with the others.
    pub(super) fn add(&mut self, index: u32, frame: Frame) {
        let (word, bit) = place(index);
        self.has[word] |= bit;
        self.is_sorted &= self.frames.last().is_none_or(|(last, _)| *last < index);
        self.chunks += frame.chunks();
        self.frames.push((index, frame));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.frames.len() == self.fragment.count() as usize
    }

    /// Its frames in order.
    pub(super) fn into_frames(mut self) -> Vec<Frame> {
        if !self.is_sorted {
            self.frames.sort_unstable_by_key(|(index, _)| *index);
        }
        self.frames.into_iter().map(|(_, frame)| frame).collect()
    }

    /// The bytes of the message that never came.
    pub(super) fn missing(&self) -> Vec<Range<u32>> {
        let mut missing: Vec<Range<u32>> = Vec::new();
        for index in (0..self.fragment.count()).filter(|index| !self.has(*index)) {
            let part = Fragment {
                index,
                ..self.fragment
            };
            let (start, end) = (part.offset(), part.offset() + part.len());
            match missing.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => missing.push(start..end),
            }
        }
        missing
    }

    pub(super) fn fragment(&self) -> &Fragment {
        &self.fragment
    }

    pub(super) fn fragments(&self) -> u64 {
        self.frames.len() as u64
    }

    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }
}

/// The word of a fragment's bit, and the bit.
fn place(index: u32) -> (usize, u64) {
    ((index / u64::BITS) as usize, 1 << (index % u64::BITS))
}
