//! Unaligned chunks: where they come from, and the scenario of plain traffic.

use wharf::{ChunkSize, Pages, UmemConfig};
use wharf_testbed::HugePages;

use super::descriptors::{CHUNKS, LEN};
use super::{End, EndConfig, Medium, Side, Steps, Track, exchange, frames_of, put_across};

/// Unaligned chunks on huge pages, and those pages for both ends.
pub(super) fn unaligned_layout(chunk_size: u32) -> (UmemConfig, Option<HugePages>) {
    let layout = UmemConfig {
        chunk_size: ChunkSize::unaligned(chunk_size).expect("a chunk size"),
        pages: Pages::Huge,
        ..UmemConfig::new(CHUNKS)
    };
    // Each end has 4 MiB, and a little more for what lies across two pages.
    (layout, HugePages::reserve(6))
}

/// Sends every second frame across two pages.
struct AcrossPages {
    frames: u32,
}

impl Steps for AcrossPages {
    fn send(&mut self, near: &mut End, number: usize, bytes: &[u8]) {
        let mut frame = near.make(bytes);
        // Chunks with no border in the right place are passed over.
        let mut others = Vec::new();
        while number.is_multiple_of(2) && !put_across(&mut frame, 4096, bytes) {
            others.push(frame);
            frame = near.allocate();
        }
        let start = frame.as_ptr().addr() % 4096;
        self.frames += u32::from(start + bytes.len() > 4096);
        near.transmit(frame);
    }
}

/// `SEND_RECEIVE_UNALIGNED`: half of the frames lie across two pages of 4096
/// bytes.
///
/// # Panics
///
/// When it does not hold.
pub fn send_receive_unaligned(medium: Medium) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (umem, Some(_pages)) = unaligned_layout(4001) else {
        return;
    };
    let config = EndConfig {
        umem,
        ..EndConfig::new(&track)
    };
    let mut near = End::bind_with(&track, Side::Near, &config);
    let mut far = End::bind_with(&track, Side::Far, &config);
    let sent = frames_of(&track, 4096, LEN as usize);

    let mut steps = AcrossPages { frames: 0 };
    exchange(&mut steps, &mut near, &mut far, &sent);

    assert!(steps.frames >= 2048, "{} lay across", steps.frames);
    near.assert_settled();
    far.assert_settled();
}
