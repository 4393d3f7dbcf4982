//! The checksum of a frame that is undone, and its right value.

use super::cover::{ChecksumProtocol, Cover};
use super::sum::{fold, sum};
use super::walk::walk;

/// Checksums around each other that are looked at.
const MOST_COVERS: usize = 8;

/// A checksum that is left undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone(Cover);

/// A checksum's value as it is in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Sum([u8; 2]),
    Crc([u8; 4]),
}

impl Value {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Sum(bytes) => bytes,
            Self::Crc(bytes) => bytes,
        }
    }
}

/// The checksum that a frame of `total` bytes lacks, if it lacks one. `head` has its
/// headers, and `segments` returns all its bytes.
#[inline]
pub(crate) fn find<'a, S>(head: &[u8], total: u32, segments: impl Fn() -> S) -> Option<Undone>
where
    S: Iterator<Item = &'a [u8]>,
{
    let total = usize::try_from(total).ok()?;
    let mut last = None;
    let mut covers = 0_usize;
    walk(head, total, |cover| {
        covers += 1;
        if cover.looks_undone(head) {
            last = Some(cover);
        }
    });
    let last = last?;
    if covers == 1 {
        return Some(Undone(last));
    }
    among_several(head, total, segments)
}

/// The innermost that looks undone and around which all is right once it is
/// finished.
#[inline(never)]
fn among_several<'a, S>(head: &[u8], total: usize, segments: impl Fn() -> S) -> Option<Undone>
where
    S: Iterator<Item = &'a [u8]>,
{
    let mut covers = [None; MOST_COVERS];
    let mut count = 0;
    walk(head, total, |cover| {
        if let Some(place) = covers.get_mut(count) {
            *place = Some(cover);
        }
        count += 1;
    });
    let covers = covers.get(..count)?;
    let mut candidates = covers.iter().enumerate().rev();
    let found = candidates.find_map(|(place, cover)| {
        let inner = cover.filter(|cover| cover.looks_undone(head))?;
        let mut around = covers[..place].iter().flatten();
        let all_hold = around.all(|outer| {
            let tail = sum_between(segments(), inner.end, outer.end);
            outer.holds_around(head, &inner, tail)
        });
        all_hold.then_some(inner)
    });
    found.map(Undone)
}

impl Undone {
    /// Which it is.
    pub(crate) fn protocol(&self) -> ChecksumProtocol {
        self.0.protocol
    }

    /// Where it is in the frame.
    pub(crate) fn field(&self) -> usize {
        self.0.field
    }

    /// What it should be, in a frame whose bytes are `segments`.
    #[inline]
    pub(crate) fn value<'a>(&self, segments: impl Iterator<Item = &'a [u8]>) -> Value {
        let Cover { start, end, .. } = self.0;
        if self.0.protocol == ChecksumProtocol::Sctp {
            // The field counts as zero, which it is.
            let mut crc = 0;
            pieces(segments, start, end)
                .for_each(|(_, piece)| crc = crc32c::crc32c_append(crc, piece));
            return Value::Crc(crc.to_le_bytes());
        }
        let sum = match !sum_between(segments, start, end) {
            // Zero says that there is no checksum; the two are the same number.
            0 => 0xffff,
            sum => sum,
        };
        Value::Sum(sum.to_be_bytes())
    }
}

/// The sum of the bytes `start..end` of a frame in segments. A segment that begins at
/// an odd offset has its words' bytes swapped, and so its sum's (RFC 1071, section 2).
#[inline]
fn sum_between<'a>(segments: impl Iterator<Item = &'a [u8]>, start: usize, end: usize) -> u16 {
    let mut total = 0;
    for (offset, piece) in pieces(segments, start, end) {
        let part = sum(piece);
        total += u64::from(if offset.is_multiple_of(2) {
            part
        } else {
            part.swap_bytes()
        });
    }
    fold(total)
}

/// What of the bytes `start..end` lies in each of the segments, and how far from
/// `start`.
fn pieces<'a>(
    segments: impl Iterator<Item = &'a [u8]>,
    start: usize,
    end: usize,
) -> impl Iterator<Item = (usize, &'a [u8])> {
    let mut offset = 0;
    segments.map(move |segment| {
        let from = start.clamp(offset, offset + segment.len());
        let to = end.clamp(from, offset + segment.len());
        let piece = &segment[from - offset..to - offset];
        offset += segment.len();
        (from.saturating_sub(start), piece)
    })
}
