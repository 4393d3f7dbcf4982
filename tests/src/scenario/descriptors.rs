//! Scenarios of descriptors that are no frame's.
//!
//! A [`Frame`](wharf::Frame) is always valid, so the valid ones here are frames
//! at the edges of what is allowed, and the others are frames whose descriptors
//! are damaged on the way to the kernel.

use std::ops::Range;

use wharf::{ChunkSize, Frame, TxDescriptor, Umem, UmemConfig};

use super::refused::sender;
use super::unaligned::unaligned_layout;
use super::{
    Chunks, Damaged, End, EndConfig, Medium, Side, Steps, Track, exchange, frames_of, put,
};

/// Bytes of each frame: `MIN_PKT_SIZE`.
pub(super) const LEN: u32 = 64;
/// More than any chunk has: `XSK_UMEM__INVALID_FRAME_SIZE`.
pub(super) const TOO_LONG: u32 = 9001;
/// Chunks of a UMEM.
pub(super) const CHUNKS: u32 = 1024;
/// Addresses that the application keeps while others are sent.
pub(super) const HELD: Range<u64> = 0x8000..0xb000;

/// A frame and what is done to it.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// Anywhere, and left as it is.
    Plain,
    /// At an offset in any chunk, and left as it is.
    At(u32),
    /// At an offset in the first chunk, and left as it is.
    First(u32),
    /// At an offset in the last chunk, and left as it is.
    Last(u32),
    /// At this address, across chunks that the application holds.
    Across(u64),
    /// The kernel refuses this address.
    Address(u64),
    /// The kernel refuses this length.
    Length(u32),
}

/// A case after the other.
struct Table<'a> {
    cases: &'a [Case],
    first: Option<Frame>,
    last: Option<Frame>,
    held: &'a mut Chunks,
}

impl Case {
    fn is_valid(self) -> bool {
        !matches!(self, Self::Address(_) | Self::Length(_))
    }

    fn damage(self, descriptor: TxDescriptor) -> TxDescriptor {
        match self {
            Self::Address(addr) | Self::Across(addr) => TxDescriptor { addr, ..descriptor },
            Self::Length(len) => TxDescriptor { len, ..descriptor },
            _ => descriptor,
        }
    }
}

impl Steps for Table<'_> {
    fn send(&mut self, near: &mut End, number: usize, bytes: &[u8]) {
        let case = self.cases[number];
        let mut frame = match case {
            Case::First(_) => self.first.take().expect("once a table"),
            Case::Last(_) => self.last.take().expect("once a table"),
            _ => near.make(bytes),
        };
        if let Case::First(offset) | Case::Last(offset) | Case::At(offset) = case {
            put(&mut frame, offset, bytes);
        }
        if let Case::Across(addr) = case {
            self.held.write(addr, bytes);
        }
        near.transmit(frame);
        near.xsk.tx().damage(0, |it| case.damage(it));
    }

    fn arrives(&self, number: usize) -> bool {
        self.cases[number].is_valid()
    }
}

/// Sends the frames of a table at once, and sees that the valid ones arrive and
/// that the queue survives the others.
fn run(medium: Medium, layout: UmemConfig, table: impl Fn(u64) -> Vec<Case>) {
    let Some(track) = Track::new(medium) else {
        return;
    };
    let (mut sending, mut receiving) = (sender(&track), EndConfig::new(&track));
    (sending.umem, receiving.umem) = (layout, layout);
    let umem = Umem::new(&layout).expect("there is memory");
    let mut chunks = Chunks::all(&umem);
    let cases = table(chunks.size());
    let (first, last) = (chunks.first(), chunks.last());
    chunks.retain(&HELD);
    let mut steps = Table {
        cases: &cases,
        first,
        last,
        held: &mut chunks,
    };
    let mut near = End::bind_to(&track, Side::Near, &sending, umem);
    let mut far = End::bind_with(&track, Side::Far, &receiving);

    let sent = frames_of(&track, cases.len() as u64, LEN as usize);
    exchange(&mut steps, &mut near, &mut far, &sent);

    let mut damaged = Damaged::default();
    for case in &cases {
        match case {
            Case::Across(_) => damaged.taken += 1,
            Case::Address(_) => damaged.misnamed += 1,
            Case::Length(_) => damaged.refused += 1,
            _ => (),
        }
    }
    damaged.assert_accounted(&mut near);
    for (case, bytes) in cases.iter().zip(&sent) {
        if let Case::Across(addr) = *case {
            let kept = chunks.read(addr, bytes.len());
            assert_eq!(kept, *bytes, "these are the application's as before");
        }
    }
    drop(chunks);
    damaged.assert_survived(&track, near, &mut far, &sending);
}

/// The table of `testapp_invalid_desc`, for chunks of this size that lie where
/// their size puts them, in a UMEM of `size` bytes.
fn aligned(chunk_size: u32, size: u64) -> Vec<Case> {
    let half = u64::from(LEN / 2);
    vec![
        Case::First(0),
        Case::Plain,
        // Straddles the start of the UMEM.
        Case::Address(2_u64.wrapping_neg()),
        Case::Length(TOO_LONG),
        // Up to the end of the UMEM.
        Case::Last(chunk_size - LEN),
        // Behind the end, and across it.
        Case::Address(size),
        Case::Address(size - half),
        // Across a page, and across half of one.
        Case::Address(0x1000 - half),
        match chunk_size {
            2048 => Case::Address(0x800 - half),
            _ => Case::At(0x800 - LEN / 2),
        },
        Case::Plain,
    ]
}

/// `ALIGNED_INV_DESC`: descriptors at the edges of what is allowed, and beyond.
///
/// # Panics
///
/// When it does not hold.
pub fn aligned_inv_desc(medium: Medium) {
    run(medium, UmemConfig::new(CHUNKS), |size| aligned(4096, size));
}

/// `ALIGNED_INV_DESC_2K_FRAME_SIZE`: with chunks of 2048 bytes, whose edge half
/// a page is.
///
/// # Panics
///
/// When it does not hold.
pub fn aligned_inv_desc_2k_frame_size(medium: Medium) {
    let layout = UmemConfig {
        chunk_size: ChunkSize::new(2048).expect("a chunk size"),
        ..UmemConfig::new(CHUNKS)
    };
    run(medium, layout, |size| aligned(2048, size));
}

/// The same table for unaligned chunks: any border but that of the UMEM may be
/// crossed.
fn unaligned(chunk_size: u32, size: u64) -> Vec<Case> {
    let half = u64::from(LEN / 2);
    let mut cases = aligned(chunk_size, size);
    let inner = cases.len() - 3;
    cases[inner] = Case::Across(0x9000 - half);
    cases[inner + 1] = Case::Across(0xa800 - half);
    cases
}

/// `UNALIGNED_INV_DESC`: as [`aligned_inv_desc`], with unaligned chunks.
///
/// # Panics
///
/// When it does not hold.
pub fn unaligned_inv_desc(medium: Medium) {
    let (layout, Some(_pages)) = unaligned_layout(4096) else {
        return;
    };
    run(medium, layout, |size| unaligned(4096, size));
}

/// `UNALIGNED_INV_DESC_4001_FRAME_SIZE`: with chunks of 4001 bytes, so that the
/// end of the UMEM is not that of a page.
///
/// # Panics
///
/// When it does not hold.
pub fn unaligned_inv_desc_4001_frame_size(medium: Medium) {
    let (layout, Some(_pages)) = unaligned_layout(4001) else {
        return;
    };
    run(medium, layout, |size| {
        assert!(!size.is_multiple_of(4096));
        unaligned(4001, size)
    });
}
