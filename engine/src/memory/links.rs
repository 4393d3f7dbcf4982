//! How the chunks of a frame in several hang together.
//!
//! A frame has its first chunk by its claim. Each further one, a *part*, has a
//! link: where its bytes are, and the part behind it. The ledger records a part
//! as such; its link is read and written only through the one frame that it
//! belongs to. Nothing is allocated for frames in one chunk, and once, for all
//! chunks, when the first frame in several comes.
//!
//! # Ordering
//!
//! Relaxed throughout: a link belongs to one frame, and a detached frame takes
//! its links along to another thread, where whatever carries the handle over
//! orders them: a channel, or the queue of returns.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::geometry::Place;

/// The links of all chunks of one UMEM.
#[derive(Debug)]
pub(crate) struct Links {
    chunks: u32,
    links: OnceLock<Box<[Link]>>,
}

#[derive(Debug, Default)]
struct Link {
    offset: AtomicU32,
    len: AtomicU32,
    next: AtomicU32,
}

/// The chunk of the next part of a frame, if there is one: its number plus one, as
/// zero says that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next(u32);

/// A part of a frame: bytes in a chunk behind its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) place: Place,
    pub(crate) len: u32,
    pub(crate) next: Next,
}

impl Next {
    pub(crate) const NONE: Self = Self(0);

    /// The first part of a frame of which this is the extent.
    #[inline]
    pub(super) fn of_extent(extent: u64) -> Self {
        Self((extent >> 32) as u32)
    }

    #[inline]
    pub(super) fn word(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    fn chunk(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

impl Part {
    /// What names it in the link before.
    pub(crate) fn name(self) -> Next {
        // A UMEM has 64 GiB at the most, so this does not wrap.
        Next(self.place.chunk + 1)
    }
}

impl Links {
    pub(crate) fn new(chunks: u32) -> Self {
        Self {
            chunks,
            links: OnceLock::new(),
        }
    }

    /// The part that `next` names.
    pub(crate) fn get(&self, next: Next) -> Option<Part> {
        let chunk = next.chunk()?;
        let link = self.link(chunk);
        Some(Part {
            place: Place {
                chunk,
                offset: link.offset.load(Ordering::Relaxed),
            },
            len: link.len.load(Ordering::Relaxed),
            next: Next(link.next.load(Ordering::Relaxed)),
        })
    }

    /// Writes the link of the part's chunk.
    pub(crate) fn set(&self, part: Part) {
        let link = self.link(part.place.chunk);
        link.offset.store(part.place.offset, Ordering::Relaxed);
        link.len.store(part.len, Ordering::Relaxed);
        link.next.store(part.next.0, Ordering::Relaxed);
    }

    /// The parts from `first` on. Each link is read before its part is returned, so
    /// that the taker may let the chunk go.
    pub(crate) fn parts(&self, first: Next) -> impl Iterator<Item = Part> + '_ {
        let mut next = first;
        std::iter::from_fn(move || {
            let part = self.get(next)?;
            next = part.next;
            Some(part)
        })
    }

    fn link(&self, chunk: u32) -> &Link {
        let make = || (0..self.chunks).map(|_| Link::default()).collect();
        &self.links.get_or_init(make)[chunk as usize]
    }
}
