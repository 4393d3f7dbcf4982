//! Frames in places of a test's choice: at an edge of the UMEM, in certain
//! chunks, in pieces of certain sizes.

use std::collections::BTreeMap;
use std::ops::Range;

use wharf::{Frame, Umem};

use super::End;

/// Chunks of a UMEM that no queue has had yet, as frames of all their bytes, by
/// their addresses in the UMEM.
#[derive(Debug)]
pub struct Chunks {
    frames: BTreeMap<u64, Frame>,
    size: u64,
}

impl Chunks {
    /// All there are.
    ///
    /// # Panics
    ///
    /// When some chunk is not free.
    #[must_use]
    pub fn all(umem: &Umem) -> Self {
        let mut frames: Vec<Frame> = std::iter::from_fn(|| umem.allocate()).collect();
        assert_eq!(frames.len(), umem.chunks() as usize, "nobody has one yet");
        for frame in &mut frames {
            whole(frame);
        }
        let start = |frame: &Frame| frame.as_ptr().addr() as u64;
        let base = frames.iter().map(start).min().expect("it has chunks");
        let frames: BTreeMap<u64, Frame> = frames
            .into_iter()
            .map(|frame| (start(&frame) - base, frame))
            .collect();
        let (last, frame) = frames.last_key_value().expect("it has chunks");
        // Unaligned chunks begin at even addresses.
        let size = last + (frame.len() as u64).next_multiple_of(2);
        Self { frames, size }
    }

    /// Bytes from the first to the end of the last.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the first.
    pub fn first(&mut self) -> Option<Frame> {
        self.frames.pop_first().map(|(_, frame)| frame)
    }

    /// Takes the last.
    pub fn last(&mut self) -> Option<Frame> {
        self.frames.pop_last().map(|(_, frame)| frame)
    }

    /// Frees those that have none of these addresses.
    pub fn retain(&mut self, addresses: &Range<u64>) {
        self.frames.retain(|start, frame| {
            *start < addresses.end && start + frame.len() as u64 > addresses.start
        });
    }

    /// Puts bytes at an address, into as many chunks as they lie in.
    ///
    /// # Panics
    ///
    /// When some lie in none of these chunks.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) {
        for (addr, byte) in (addr..).zip(bytes) {
            let (start, frame) = self
                .frames
                .range_mut(..=addr)
                .next_back()
                .expect(IN_A_CHUNK);
            let place = usize::try_from(addr - start).expect("a small UMEM");
            *frame.get_mut(place).expect(IN_A_CHUNK) = *byte;
        }
    }

    /// The `len` bytes at an address.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    #[must_use]
    pub fn read(&self, addr: u64, len: usize) -> Vec<u8> {
        let byte = |addr: u64| {
            let (start, frame) = self.frames.range(..=addr).next_back().expect(IN_A_CHUNK);
            let place = usize::try_from(addr - start).expect("a small UMEM");
            *frame.get(place).expect(IN_A_CHUNK)
        };
        (addr..).take(len).map(byte).collect()
    }
}

const IN_A_CHUNK: &str = "the address lies in one of the chunks";

/// Lets a frame have all bytes of its chunk.
fn whole(frame: &mut Frame) {
    let (before, after) = (frame.headroom(), frame.tailroom());
    frame.grow_front(before).expect("all there is");
    frame.grow_back(after).expect("all there is");
}

/// Moves a frame to `offset` in its chunk, with these bytes.
///
/// # Panics
///
/// When they do not fit there.
pub fn put(frame: &mut Frame, offset: u32, bytes: &[u8]) {
    let length = |bytes: usize| u32::try_from(bytes).expect("a chunk is small");
    whole(frame);
    frame.shrink_front(offset).expect("it has a chunk's bytes");
    let rest = length(frame.len()).checked_sub(length(bytes.len()));
    frame
        .shrink_back(rest.expect("the bytes fit"))
        .expect("it has more");
    frame.copy_from_slice(bytes);
}

/// Moves a frame to where its bytes lie on two pages of `page` bytes, half on
/// each, and gives whether it did: not when its chunk has no such place.
///
/// # Panics
///
/// Never.
pub fn put_across(frame: &mut Frame, page: usize, bytes: &[u8]) -> bool {
    whole(frame);
    let border = page - frame.as_ptr().addr() % page;
    let Some(offset) = border.checked_sub(bytes.len() / 2) else {
        return false;
    };
    if offset + bytes.len() > frame.len() {
        return false;
    }
    put(
        frame,
        u32::try_from(offset).expect("a chunk is small"),
        bytes,
    );
    true
}

impl End {
    /// A frame of these bytes, in chunks of up to `piece` bytes.
    ///
    /// # Panics
    ///
    /// When a piece does not fit a chunk.
    pub fn make_in(&mut self, piece: usize, bytes: &[u8]) -> Frame {
        let mut pieces = bytes.chunks(piece);
        let mut frame = self.make(pieces.next().unwrap_or_default());
        for piece in pieces {
            let end = self.make(piece);
            frame.append(end).expect("a sensible end");
        }
        frame
    }
}
