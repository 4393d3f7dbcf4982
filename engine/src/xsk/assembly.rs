//! Frames that come in several descriptors, put together.
//!
//! The kernel marks every descriptor of a frame but the last (`XDP_PKT_CONTD`).
//! It may publish them in several portions, so a frame under way stays here from
//! one batch to the next. A frame that cannot be had whole is dropped whole: its
//! chunks go back into the pool, those that the kernel named senselessly into
//! quarantine, and it is counted once.

use std::rc::Rc;

use crate::kernel::sys::if_xdp::{Descriptor, XDP_PKT_CONTD};
use crate::memory::UmemState;
use crate::memory::crossing::{Refused, receive};
use crate::memory::frame::Frame;
use crate::memory::ledger::{QueueId, XskRecords};
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
}

/// What a descriptor led to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It ended a frame, or was one.
    Frame(Frame),
    /// A frame that cannot be had whole, to be counted.
    Invalid,
    /// Nothing to count.
    Nothing,
}

/// What became of a frame that is dropped because the application holds too many
/// chunks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Throttled {
    /// It is to be counted.
    Frame,
    /// Its descriptor makes no sense.
    Invalid,
    /// It is counted already.
    Nothing,
}

impl Assembly {
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Takes one descriptor. Returns the number of posted chunks that came back with
    /// it, and what it led to.
    pub(super) fn take(
        &mut self,
        umem: &Rc<UmemState>,
        records: &XskRecords,
        descriptor: Descriptor,
    ) -> (u32, Outcome) {
        let is_last = descriptor.options() & XDP_PKT_CONTD == 0;
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => self.begin(umem, records, descriptor, is_last),
            Self::Under {
                frame,
                last,
                chunks,
            } => {
                let frame = (frame, last, chunks);
                self.go_on(umem, records, frame, descriptor, is_last)
            }
            Self::Dropped => {
                self.drop_rest(is_last);
                (take_back(umem, records.queue, descriptor), Outcome::Nothing)
            }
        }
    }

    /// Drops the frame under way, and returns whether there was one: the kernel lost
    /// its end.
    pub(super) fn abandon(&mut self) -> bool {
        match std::mem::replace(self, Self::Idle) {
            Self::Under { frame, .. } => {
                frame.recycle();
                true
            }
            Self::Idle | Self::Dropped => false,
        }
    }

    /// Drops the frame that `descriptor` belongs to, because the application
    /// holds too many chunks to get it. Returns the number of posted chunks that came
    /// back with it, and what is to be counted.
    pub(super) fn throttle(
        &mut self,
        umem: &Rc<UmemState>,
        queue: QueueId,
        descriptor: Descriptor,
    ) -> (u32, Throttled) {
        let is_last = descriptor.options() & XDP_PKT_CONTD == 0;
        let before = std::mem::replace(self, Self::Idle);
        self.drop_rest(is_last);
        let returned = take_back(umem, queue, descriptor);
        let throttled = match before {
            Self::Idle if returned == 0 => Throttled::Invalid,
            Self::Idle => Throttled::Frame,
            Self::Under { frame, .. } => {
                frame.recycle();
                Throttled::Frame
            }
            Self::Dropped => Throttled::Nothing,
        };
        (returned, throttled)
    }

    fn begin(
        &mut self,
        umem: &Rc<UmemState>,
        records: &XskRecords,
        descriptor: Descriptor,
        is_last: bool,
    ) -> (u32, Outcome) {
        let frame = if has_known_options(descriptor) {
            receive(umem, records, descriptor)
        } else {
            Err(umem.refuse(descriptor))
        };
        match frame {
            Ok(frame) if is_last => (1, Outcome::Frame(frame)),
            Ok(frame) => {
                *self = Self::Under {
                    frame,
                    last: Next::NONE,
                    chunks: 1,
                };
                (1, Outcome::Nothing)
            }
            Err(refused) => {
                self.drop_rest(is_last);
                let quarantined = quarantine(umem, records.queue, &refused);
                (quarantined, Outcome::Invalid)
            }
        }
    }

    fn go_on(
        &mut self,
        umem: &Rc<UmemState>,
        records: &XskRecords,
        (mut frame, last, chunks): (Frame, Next, u32),
        descriptor: Descriptor,
        is_last: bool,
    ) -> (u32, Outcome) {
        let place = if has_known_options(descriptor) {
            umem.locate(descriptor)
        } else {
            Err(umem.refuse(descriptor))
        };
        let place = place.and_then(|place| {
            let received = umem.ledger.receive_part(place.chunk, records);
            received.map(|()| place).map_err(|_| Refused::Violation)
        });
        let place = match place {
            Ok(place) => place,
            Err(refused) => {
                frame.recycle();
                self.drop_rest(is_last);
                let quarantined = quarantine(umem, records.queue, &refused);
                return (quarantined, Outcome::Invalid);
            }
        };
        let part = Part {
            place,
            len: descriptor.len(),
            next: Next::NONE,
        };
        frame.push_part(last, part);
        let chunks = chunks + 1;
        if is_last {
            return (1, Outcome::Frame(frame));
        }
        if chunks == MOST_CHUNKS {
            frame.recycle();
            *self = Self::Dropped;
            return (1, Outcome::Invalid);
        }
        *self = Self::Under {
            frame,
            last: part.name(),
            chunks,
        };
        (1, Outcome::Nothing)
    }

    /// Has what is still to come of a frame dropped.
    fn drop_rest(&mut self, is_last: bool) {
        *self = if is_last { Self::Idle } else { Self::Dropped };
    }
}

/// Whether it has no options but the one that says that the frame goes on.
fn has_known_options(descriptor: Descriptor) -> bool {
    descriptor.options() & !XDP_PKT_CONTD == 0
}

/// Puts the chunk of a descriptor back into the pool. Returns the number of posted
/// chunks that came back.
fn take_back(umem: &UmemState, queue: QueueId, descriptor: Descriptor) -> u32 {
    u32::from(umem.drop_received(descriptor.addr, queue).is_ok())
}

/// Puts the chunk that a descriptor names senselessly into quarantine, if it is
/// posted for the queue. Returns the number of posted chunks that came back.
fn quarantine(umem: &UmemState, queue: QueueId, refused: &Refused) -> u32 {
    match refused {
        Refused::Senseless(place) => u32::from(umem.ledger.quarantine(place.chunk, queue).is_ok()),
        Refused::Violation => 0,
    }
}
