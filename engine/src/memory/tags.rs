//! What is remembered of chunks in transmit whose completion is reported: cookies,
//! and where the frames lie that come back.
//!
//! Two slices by chunk number, each made when the first frame of its kind is sent.
//! What stands there for a chunk means something while the ledger has it as
//! `Tagged` or `Returning`, and nothing else.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// The cookies of all chunks of one UMEM, and its frames that come back.
pub(crate) struct Tags {
    chunks: u32,
    cookies: OnceCell<Rc<[Cell<u64>]>>,
    returning: OnceCell<Box<[Cell<Returning>]>>,
}

/// What is remembered of a chunk of a frame that comes back.
#[derive(Clone, Copy, Default)]
struct Returning {
    /// The frame's first chunk, at whose position the other fields are the frame's.
    first: u32,
    /// Chunks that the kernel still has.
    left: u32,
    /// The frame's address and extent.
    addr: u64,
    extent: u64,
}

impl Tags {
    /// For a UMEM of so many chunks.
    pub(super) fn new(chunks: u32) -> Self {
        Self {
            chunks,
            cookies: OnceCell::new(),
            returning: OnceCell::new(),
        }
    }

    /// The cookie of each chunk.
    pub(crate) fn cookies(&self) -> &Rc<[Cell<u64>]> {
        let make = || (0..self.chunks).map(|_| Cell::default()).collect();
        self.cookies.get_or_init(make)
    }

    pub(super) fn cookie(&self, chunk: u32) -> u64 {
        self.cookies()[chunk as usize].get()
    }

    /// Remembers a frame in `chunks`, of which the first is `first`.
    pub(super) fn remember(
        &self,
        first: u32,
        (addr, extent): (u64, u64),
        chunks: impl Iterator<Item = u32>,
    ) {
        let mut left = 0;
        for chunk in chunks {
            left += 1;
            let part = Returning {
                first,
                ..Returning::default()
            };
            self.returning()[chunk as usize].set(part);
        }
        self.returning()[first as usize].set(Returning {
            first,
            left,
            addr,
            extent,
        });
    }

    /// Remembers a frame in one chunk.
    #[inline]
    pub(super) fn remember_plain(&self, chunk: u32, (addr, extent): (u64, u64)) {
        self.returning()[chunk as usize].set(Returning {
            first: chunk,
            left: 1,
            addr,
            extent,
        });
    }

    /// The address and the extent of the frame that the chunk is all of.
    #[inline]
    pub(super) fn plain(&self, chunk: u32) -> Option<(u64, u64)> {
        let frame = self.returning().get(chunk as usize)?.get();
        // Of one in several, the chunk that is left may be any.
        let is_plain = frame.first == chunk && frame.extent >> 32 == 0;
        is_plain.then_some((frame.addr, frame.extent))
    }

    /// The first chunk of the frame that `chunk` is one of.
    pub(super) fn first(&self, chunk: u32) -> u32 {
        self.returning()[chunk as usize].get().first
    }

    /// The address and the extent of the frame whose first chunk is `first`.
    pub(super) fn frame(&self, first: u32) -> (u64, u64) {
        let Returning { addr, extent, .. } = self.returning()[first as usize].get();
        (addr, extent)
    }

    /// Notes that the kernel is done with one of the frame's chunks, and returns whether
    /// it was the last that it had.
    pub(super) fn take_one(&self, first: u32) -> bool {
        let entry = &self.returning()[first as usize];
        let mut frame = entry.get();
        frame.left = frame.left.saturating_sub(1);
        entry.set(frame);
        frame.left == 0
    }

    fn returning(&self) -> &[Cell<Returning>] {
        let make = || (0..self.chunks).map(|_| Cell::default()).collect();
        self.returning.get_or_init(make)
    }
}
