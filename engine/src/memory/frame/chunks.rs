//! The chunks of a frame that has several: hung behind each other, and taken off.

use thiserror::Error;

use super::frame::Frame;
use super::segments::{Segments, SegmentsMut};
use crate::memory::links::{Next, Part};

/// A frame cannot be the end of another. Each case returns it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Its UMEM is not the other frame's.
    #[error("the frame belongs to another UMEM")]
    ForeignUmem(Frame),
    /// Its first chunk has no bytes.
    #[error("the frame is empty")]
    Empty(Frame),
    /// One of the two is a [copy](Frame::hold), and there is no chunk to bring them together.
    #[error("no chunk is free to copy the frame into")]
    NoChunk(Frame),
}

impl AppendError {
    /// The frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        match self {
            Self::ForeignUmem(frame) | Self::Empty(frame) | Self::NoChunk(frame) => frame,
        }
    }
}

impl Frame {
    /// Puts the chunks of `end` behind this frame's, without a copy unless one of the two is
    /// [one](Self::hold): one frame from here on. `end` counts as dropped by the application if it was
    /// received, as there is one frame less.
    ///
    /// # Errors
    ///
    /// [`AppendError`] returns `end`: when it is of another UMEM, when its first chunk
    /// has no bytes, or when one of the two is a [copy](Self::hold) and there is no chunk to
    /// bring them together.
    pub fn append(&mut self, end: Frame) -> Result<(), AppendError> {
        if !self.is_of_one_umem_with(&end) {
            return Err(AppendError::ForeignUmem(end));
        }
        if end.len_bytes() == 0 {
            return Err(AppendError::Empty(end));
        }
        let end = if self.pointer() == end.pointer() {
            end
        } else {
            self.move_together(end).map_err(AppendError::NoChunk)?
        };
        let part = Part {
            place: end.place(),
            len: end.len_bytes(),
            next: end.first_part(),
        };
        let last = self.last_part();
        self.umem().ledger.become_part(&end.into_claim());
        self.push_part(last.map_or(Next::NONE, |last| last.name()), part);
        Ok(())
    }

    /// The frame's bytes, from first to last, one slice per chunk.
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(self.umem().backing(), self.first())
    }

    /// As [`segments`](Self::segments), to write to.
    #[must_use]
    pub fn segments_mut(&mut self) -> SegmentsMut<'_> {
        SegmentsMut::new(self.umem().backing(), self.first())
    }

    /// The frame's length in bytes, all chunks together.
    #[must_use]
    pub fn total_len(&self) -> u32 {
        self.len_bytes() + self.parts().map(|part| part.len).sum::<u32>()
    }

    /// The number of chunks that the frame lies in.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        1 + self.parts().map(|_| 1).sum::<u32>()
    }

    /// Whether all bytes lie in one chunk, and so in the slice that the frame
    /// dereferences to.
    #[must_use]
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.first_part().is_none()
    }

    /// The chunks behind the first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.umem().backing().links.parts(self.first_part())
    }

    /// Hangs `part`, with the parts that it leads to, behind the part `last`, or
    /// behind the first chunk if that is none. `last` is the frame's last part;
    /// the ledger has the others as parts, and no frame has them.
    pub(crate) fn push_part(&mut self, last: Next, part: Part) {
        let next = part.name();
        let links = &self.umem().backing().links;
        links.set(part);
        match links.get(last) {
            None => self.set_first_part(next),
            Some(last) => links.set(Part { next, ..last }),
        }
    }

    /// Removes the frame's last part.
    pub(super) fn cut_before(&mut self, last: Part) {
        let end = last.name();
        let before = self.parts().find(|part| part.next == end);
        match before {
            None => self.set_first_part(Next::NONE),
            Some(before) => self.umem().backing().links.set(Part {
                next: Next::NONE,
                ..before
            }),
        }
        self.umem().recycle_parts(end);
    }

    pub(super) fn last_part(&self) -> Option<Part> {
        self.parts().last()
    }
}
