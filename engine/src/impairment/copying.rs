//! A frame once more, and a bit of one flipped.

use super::model::Flip;
use crate::{Frame, Outbox};

/// A copy of a frame in chunks of its own, or `None` where too few are free.
pub(super) fn copy_of(frame: &Frame, out: &mut Outbox<'_>) -> Option<Frame> {
    let mut copy = out.allocate()?;
    let mut segments = frame.segments();
    let mut rest = segments.next().unwrap_or_default();
    rest = fill(&mut copy, rest);
    loop {
        while rest.is_empty() {
            match segments.next() {
                Some(segment) => rest = segment,
                None => return Some(copy),
            }
        }
        let mut part = out.allocate()?;
        rest = fill(&mut part, rest);
        // It is of the same UMEM, and has bytes.
        copy.append(part).ok()?;
    }
}

/// Puts as many bytes into an empty frame as fit, and returns the others.
fn fill<'a>(frame: &mut Frame, bytes: &'a [u8]) -> &'a [u8] {
    let fits = bytes.len().min(frame.tailroom() as usize);
    let (now, rest) = bytes.split_at(fits);
    let len = u32::try_from(fits).expect("at most the tailroom");
    let place = frame.grow_back(len).expect("it fits");
    place.copy_from_slice(now);
    rest
}

/// Flips a bit of a frame. Nothing where the frame is shorter.
pub(super) fn flip(frame: &mut Frame, flip: Flip) {
    let mut byte = flip.byte as usize;
    for segment in frame.segments_mut() {
        match segment.get_mut(byte) {
            Some(found) => {
                *found ^= 1 << flip.bit;
                return;
            }
            None => byte -= segment.len(),
        }
    }
}
