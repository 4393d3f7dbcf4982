//! Frames that come in several descriptors, put together.
//!
//! The kernel marks every descriptor of a frame but the last (`XDP_PKT_CONTD`).
//! It may publish them in several portions, so a frame under way stays here from
//! one batch to the next. A frame that cannot be had whole is dropped whole: its
//! chunks go back into the pool, those that the kernel named senselessly into
//! quarantine, and it is counted once.

use std::rc::Rc;

use super::rx::XskRx;
use crate::kernel::sys::if_xdp::{Descriptor, XDP_PKT_CONTD};
use crate::memory::frame::Frame;
use crate::memory::geometry::Place;
use crate::memory::links::{Next, Part};

/// The most chunks of a received frame. A frame is at most 64 KiB long, or a
/// little more with its headers, and a chunk takes at least 1792 bytes of it;
/// more than this is a frame whose end the kernel has lost (Linux 6.12 before
/// 6.12.77 can, in zero-copy mode).
const MOST_CHUNKS: u32 = 64;

/// The frame whose descriptors are coming.
#[derive(Debug)]
pub(super) enum Assembly {
    /// None: the next descriptor begins a frame.
    Idle,
    /// One that has `chunks` so far.
    Under {
        frame: Frame,
        /// Its last part.
        last: Next,
        chunks: u32,
    },
    /// One that is dropped, and counted already.
    Dropped,
    /// One that is whole, and not taken yet.
    Whole(Frame),
}

impl Assembly {
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Chunks of the frame under way.
    #[inline]
    pub(super) fn chunks(&self) -> u32 {
        match self {
            Self::Under { chunks, .. } => *chunks,
            _ => 0,
        }
    }
}

impl XskRx {
    /// Takes a descriptor that is not a whole frame. The frame that it ends is
    /// there to be [taken](Self::assembled) then.
    #[cold]
    #[inline(never)]
    pub(super) fn assemble(&mut self, descriptor: Descriptor) {
        let goes_on = descriptor.options & XDP_PKT_CONTD != 0;
        let next = match std::mem::replace(&mut self.assembly, Assembly::Idle) {
            Assembly::Idle => self.begin(descriptor),
            Assembly::Under {
                frame,
                last,
                chunks,
            } => self.go_on(frame, last, chunks, descriptor),
            Assembly::Dropped => {
                self.recycle(descriptor);
                Assembly::Dropped
            }
            Assembly::Whole(_) => unreachable!("a whole frame is taken at once"),
        };
        let is_whole = matches!(next, Assembly::Whole(_));
        if goes_on || is_whole {
            self.assembly = next;
        }
    }

    /// Takes the frame that is whole now, if one is.
    pub(super) fn assembled(&mut self) -> Option<Frame> {
        if !matches!(self.assembly, Assembly::Whole(_)) {
            return None;
        }
        let Assembly::Whole(frame) = std::mem::replace(&mut self.assembly, Assembly::Idle) else {
            return None;
        };
        self.counters.frames += 1;
        self.counters.bytes += u64::from(frame.total_len());
        // The first chunk is counted with the frame.
        self.uncounted += u64::from(frame.chunks() - 1);
        Some(frame)
    }

    /// Drops the frame under way, if there is one: the kernel lost its end.
    pub(super) fn give_up(&mut self) {
        if let Assembly::Under { frame, chunks, .. } =
            std::mem::replace(&mut self.assembly, Assembly::Idle)
        {
            self.drop_broken(frame, chunks);
        }
    }

    /// Drops the frame that `descriptor` belongs to, because the application
    /// holds too many chunks to get it.
    pub(super) fn throttle(&mut self, descriptor: Descriptor) {
        let goes_on = descriptor.options & XDP_PKT_CONTD != 0;
        match std::mem::replace(&mut self.assembly, Assembly::Idle) {
            Assembly::Idle => match self.umem.drop_received(descriptor.addr, self.seat.group) {
                Ok(()) => self.counters.throttled += 1,
                Err(_) => self.counters.invalid += 1,
            },
            Assembly::Under { frame, chunks, .. } => {
                frame.recycle();
                self.uncounted += u64::from(chunks - 1);
                self.counters.throttled += 1;
                self.recycle(descriptor);
            }
            Assembly::Dropped | Assembly::Whole(_) => self.recycle(descriptor),
        }
        if goes_on {
            self.assembly = Assembly::Dropped;
        }
    }

    fn begin(&mut self, descriptor: Descriptor) -> Assembly {
        let place = self.sensible(descriptor);
        let claim = place.and_then(|place| self.umem.ledger.receive(place.chunk, &self.seat).ok());
        let (Some(place), Some(claim)) = (place, claim) else {
            self.counters.invalid += 1;
            return Assembly::Dropped;
        };
        let umem = Rc::clone(&self.umem);
        Assembly::Under {
            frame: Frame::new(umem, claim, place.offset, descriptor.len),
            last: Next::NONE,
            chunks: 1,
        }
    }

    fn go_on(
        &mut self,
        mut frame: Frame,
        last: Next,
        chunks: u32,
        descriptor: Descriptor,
    ) -> Assembly {
        let place = self.sensible(descriptor);
        let received = place.filter(|place| {
            let ledger = &self.umem.ledger;
            ledger.receive_part(place.chunk, self.seat.group).is_ok()
        });
        let Some(place) = received else {
            self.drop_broken(frame, chunks);
            return Assembly::Dropped;
        };
        let part = Part {
            place,
            len: descriptor.len,
            next: Next::NONE,
        };
        frame.push_part(last, part);
        let last = part.name();
        let chunks = chunks + 1;
        if descriptor.options & XDP_PKT_CONTD == 0 {
            return Assembly::Whole(frame);
        }
        if chunks == MOST_CHUNKS {
            self.drop_broken(frame, chunks);
            return Assembly::Dropped;
        }
        Assembly::Under {
            frame,
            last,
            chunks,
        }
    }

    /// Where the bytes of a descriptor are; `None` if it makes no sense, and then
    /// its chunk is quarantined if the queue had lent it.
    fn sensible(&mut self, descriptor: Descriptor) -> Option<Place> {
        let place = self.geometry.place(descriptor.addr)?;
        let known = descriptor.options & !XDP_PKT_CONTD == 0;
        if known && descriptor.len > 0 && self.geometry.fits(place.offset, descriptor.len) {
            return Some(place);
        }
        self.quarantine(place);
        None
    }

    /// Puts the chunks of a frame that cannot be had whole back into the pool.
    fn drop_broken(&mut self, frame: Frame, chunks: u32) {
        frame.recycle();
        self.uncounted += u64::from(chunks);
        self.counters.invalid += 1;
    }

    /// Puts the chunk of a descriptor back into the pool, whose frame is counted.
    fn recycle(&mut self, descriptor: Descriptor) {
        if self
            .umem
            .drop_received(descriptor.addr, self.seat.group)
            .is_ok()
        {
            self.uncounted += 1;
        }
    }
}
