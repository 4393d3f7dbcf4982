//! The bytes of a frame chunk by chunk.

use std::marker::PhantomData;

use crate::memory::BackingStore;
use crate::memory::links::Part;

/// The bytes of a frame, one slice per chunk: see
/// [`Frame::segments`](crate::Frame::segments).
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    backing: &'a BackingStore,
    /// The part that comes next, the first chunk as one.
    current: Option<Part>,
}

/// The bytes of a frame to write to, one slice per chunk: see
/// [`Frame::segments_mut`](crate::Frame::segments_mut).
#[derive(Debug)]
pub struct SegmentsMut<'a> {
    walk: Segments<'a>,
    exclusive: PhantomData<&'a mut [u8]>,
}

impl<'a> Segments<'a> {
    /// From `first` on, the chunks of a frame that is borrowed for `'a`.
    pub(super) fn new(backing: &'a BackingStore, first: Part) -> Self {
        Self {
            backing,
            current: Some(first),
        }
    }

    fn advance(&mut self) -> Option<Part> {
        let part = self.current.take()?;
        self.current = self.backing.links.get(part.next);
        Some(part)
    }
}

impl<'a> SegmentsMut<'a> {
    /// From `first` on, the chunks of a frame that is borrowed mutably for `'a`.
    pub(super) fn new(backing: &'a BackingStore, first: Part) -> Self {
        Self {
            walk: Segments::new(backing, first),
            exclusive: PhantomData,
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let part = self.advance()?;
        let start = self.backing.region.bytes(part.place, part.len);
        // SAFETY: `bytes` returns the address of `len` mapped bytes of a chunk
        // that the borrowed frame owns, by its invariant: the kernel does not
        // write them, and nobody else may while the frame is borrowed.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), part.len as usize) })
    }
}

impl<'a> Iterator for SegmentsMut<'a> {
    type Item = &'a mut [u8];

    fn next(&mut self) -> Option<&'a mut [u8]> {
        let part = self.walk.advance()?;
        let start = self.walk.backing.region.bytes(part.place, part.len);
        // SAFETY: as for `Segments`, with the frame borrowed mutably. A chunk is
        // in a frame once, so no two slices overlap, and each is returned once.
        Some(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), part.len as usize) })
    }
}

impl std::iter::FusedIterator for Segments<'_> {}
impl std::iter::FusedIterator for SegmentsMut<'_> {}
