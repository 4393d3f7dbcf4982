//! How much packet memory an xsk and its queue may use, and what happens where that is
//! not enough.

use std::fmt;

use thiserror::Error;

/// How much packet memory an xsk and its NIC queue may use. `None` leaves a limit to its
/// default.
///
/// The unit is the chunk: a frame in several chunks counts as so many. `chunks` and
/// `floor` belong to the queue, which posts chunks before anyone knows which of its xsks
/// receives into them; `held`, `in_transmit` and `policy` belong to the xsk.
///
/// ```
/// use wharf::{Amount, LimitPolicy, Limits, RingCapacity, XskConfig};
///
/// let config = XskConfig {
///     limits: Limits {
///         held: Some(Amount::Frames(1024)),
///         in_transmit: Some(Amount::Bytes(8 << 20)),
///         policy: LimitPolicy::Backpressure,
///         ..Limits::default()
///     },
///     ..XskConfig::new(RingCapacity::new(2048).unwrap())
/// };
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Chunks charged to the queue: in the fill ring, received, held by the application,
    /// in transmit. By default its share of the UMEM, which it cannot exceed: queues
    /// that share a UMEM have equal shares of what smaller limits leave.
    ///
    /// A frame stays charged to the queue that received it until its chunk is free. A
    /// frame that the application made is charged as it is sent, whatever the limit.
    pub chunks: Option<Amount>,
    /// Chunks that stay with the kernel to receive into, whatever the application holds
    /// and whatever the policy: on some drivers a NIC whose fill ring ran dry never
    /// starts again. By default an eighth of the ring size, and at most half of the
    /// chunks.
    pub floor: Option<Amount>,
    /// Chunks of received frames that the application holds at a time, detached ones
    /// included. By default no fewer than the other limits allow; where a queue has
    /// several xsks, each has an equal part of that, so that none can starve the others.
    pub held: Option<Amount>,
    /// Chunks that the xsk has handed to the kernel to send, and that have not come back.
    /// By default as many as the TX ring has entries.
    pub in_transmit: Option<Amount>,
    /// What becomes of frames that arrive while the application holds too many.
    pub policy: LimitPolicy,
}

/// An amount of packet memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many chunks, each of which takes a frame, or a part of one.
    Frames(u32),
    /// As many whole chunks as fit so many bytes.
    Bytes(u64),
}

/// What becomes of a received frame where the application holds as many as a
/// [limit](Limits) allows, or as leave the [floor](Limits::floor) to the kernel.
///
/// Reception resumes with the first chunk that the application gives back. That a limit
/// was reached is counted once until an eighth of it is free again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// The newest frames are dropped, and counted
    /// ([`RxCounters::throttled`](crate::RxCounters::throttled)).
    #[default]
    DropNewest,
    /// Frames stay in the RX ring, and are counted
    /// ([`RxCounters::held_back`](crate::RxCounters::held_back)). Once the ring is full,
    /// the kernel drops the newest, and counts them. Where the ring takes more chunks
    /// than the queue has above its floor, frames are dropped as with
    /// [`DropNewest`](Self::DropNewest) to keep the floor.
    Backpressure,
    /// Frames are copied into ordinary memory beside the UMEM, and counted
    /// ([`RxCounters::copied_out`](crate::RxCounters::copied_out)), and their chunks go
    /// back to the kernel. A copy is a [`Frame`](crate::Frame) like any other, and no
    /// limit but [that on copies](crate::UmemConfig::copies) holds for it. It goes on
    /// until the application has given back an eighth of what it may hold. What cannot be
    /// copied is dropped as with [`DropNewest`](Self::DropNewest).
    CopyOut,
}

impl LimitPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::DropNewest, Self::Backpressure, Self::CopyOut];

    /// The policy in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::DropNewest => "drop-newest",
            Self::Backpressure => "backpressure",
            Self::CopyOut => "copy-out",
        }
    }
}

impl fmt::Display for LimitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// `1024 frames`, `8 MiB`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Frames(1) => f.write_str("1 frame"),
            Self::Frames(frames) => write!(f, "{frames} frames"),
            Self::Bytes(bytes) => {
                let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
                let whole = |&&(shift, _): &&(u32, _)| {
                    bytes >> shift != 0 && bytes.trailing_zeros() >= shift
                };
                match units.iter().find(whole) {
                    Some((shift, unit)) => write!(f, "{} {unit}", bytes >> shift),
                    None => write!(f, "{bytes} bytes"),
                }
            }
        }
    }
}

/// Limits that cannot be kept, or that contradict each other.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsError {
    /// A limit of nothing.
    #[error("the limit on {what} must not be 0: leave it out for no limit of its own")]
    Zero {
        /// Which limit.
        what: &'static str,
    },
    /// Less than one chunk.
    #[error(
        "{bytes} bytes are less than one chunk, which has {chunk_size}: raise the limit on {what}"
    )]
    BelowChunk {
        /// Which limit.
        what: &'static str,
        /// What was asked for, in bytes.
        bytes: u64,
        /// The chunk size, in bytes.
        chunk_size: u32,
    },
    /// More than there is.
    #[error(
        "the limit on {what}, {amount}, is more than the {chunks} chunks of the UMEM: lower it, \
         or ask for more frames"
    )]
    AboveUmem {
        /// Which limit.
        what: &'static str,
        /// What was asked for.
        amount: Amount,
        /// Chunks of the UMEM.
        chunks: u32,
    },
    /// The floor leaves no chunk that could be handed out.
    #[error(
        "a floor of {floor} chunks leaves none of the {chunks} chunks of a queue to the application: \
         lower the floor, or raise the limit on chunks"
    )]
    FloorTakesAll {
        /// The floor, in chunks.
        floor: u32,
        /// Chunks that the queue may have.
        chunks: u32,
    },
    /// The fill ring cannot take the floor.
    #[error(
        "a floor of {floor} chunks does not fit the fill ring, which has {entries} entries: lower the floor, \
         or ask for larger rings"
    )]
    FloorAboveRing {
        /// The floor, in chunks.
        floor: u32,
        /// Entries of the fill ring.
        entries: u32,
    },
    /// The application could never hold so many.
    #[error(
        "a limit of {held} held chunks exceeds the {chunks} chunks that a queue may have in all: lower it, \
         or raise the limit on chunks"
    )]
    HeldAboveChunks {
        /// Chunks that may be held.
        held: u32,
        /// Chunks that the queue may have.
        chunks: u32,
    },
}

/// What limits are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Bytes of a chunk.
    pub(crate) chunk_size: u32,
    /// Chunks of the UMEM.
    pub(crate) chunks: u32,
    /// Entries of the fill ring.
    pub(crate) fill_entries: u32,
}

/// [`Limits`] in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkLimits {
    /// The most that may be charged to the queue, if that was asked for.
    pub(crate) most: Option<u32>,
    pub(crate) floor: Option<u32>,
    pub(crate) held: Option<u32>,
    pub(crate) in_transmit: Option<u32>,
    pub(crate) policy: LimitPolicy,
}

impl Limits {
    /// The limits in chunks, where none contradicts another.
    pub(crate) fn in_chunks(&self, extent: &Extent) -> Result<ChunkLimits, LimitsError> {
        let limits = ChunkLimits {
            most: extent.chunks_of(self.chunks, "chunks")?,
            floor: extent.chunks_of(self.floor, "the floor")?,
            held: extent.chunks_of(self.held, "held frames")?,
            in_transmit: extent.chunks_of(self.in_transmit, "frames in transmit")?,
            policy: self.policy,
        };
        let entries = extent.fill_entries;
        if let Some(floor) = limits.floor.filter(|floor| *floor > entries) {
            return Err(LimitsError::FloorAboveRing { floor, entries });
        }
        limits.check_share(limits.most.unwrap_or(extent.chunks))?;
        Ok(limits)
    }
}

impl ChunkLimits {
    /// Checks the limits against the chunks that the queue can have.
    pub(crate) fn check_share(&self, share: u32) -> Result<(), LimitsError> {
        let chunks = self.most.map_or(share, |most| most.min(share));
        if let Some(floor) = self.floor.filter(|floor| *floor >= chunks) {
            return Err(LimitsError::FloorTakesAll { floor, chunks });
        }
        if let Some(held) = self.held.filter(|held| *held > chunks) {
            return Err(LimitsError::HeldAboveChunks { held, chunks });
        }
        Ok(())
    }
}

impl Extent {
    fn chunks_of(
        &self,
        amount: Option<Amount>,
        what: &'static str,
    ) -> Result<Option<u32>, LimitsError> {
        let Some(amount) = amount else {
            return Ok(None);
        };
        let chunks = match amount {
            Amount::Frames(0) | Amount::Bytes(0) => return Err(LimitsError::Zero { what }),
            Amount::Frames(frames) => frames.into(),
            Amount::Bytes(bytes) => bytes / u64::from(self.chunk_size),
        };
        if let (Amount::Bytes(bytes), 0) = (amount, chunks) {
            return Err(LimitsError::BelowChunk {
                what,
                bytes,
                chunk_size: self.chunk_size,
            });
        }
        match u32::try_from(chunks) {
            Ok(chunks) if chunks <= self.chunks => Ok(Some(chunks)),
            _ => Err(LimitsError::AboveUmem {
                what,
                amount,
                chunks: self.chunks,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent {
        chunk_size: 4096,
        chunks: 1024,
        fill_entries: 256,
    };

    #[test]
    fn bytes_are_whole_chunks() {
        let limits = Limits {
            chunks: Some(Amount::Bytes(2 << 20)),
            held: Some(Amount::Bytes(3 * 4096 + 4095)),
            in_transmit: Some(Amount::Frames(7)),
            ..Limits::default()
        };

        let limits = limits.in_chunks(&EXTENT).expect("they fit");

        assert_eq!((limits.most, limits.held), (Some(512), Some(3)));
        assert_eq!((limits.in_transmit, limits.floor), (Some(7), None));
    }

    #[test]
    fn limits_that_cannot_be_kept_are_refused() {
        let frames = |frames| Some(Amount::Frames(frames));
        let none = Limits::default();
        for (limits, error) in [
            (
                Limits {
                    held: frames(0),
                    ..none
                },
                LimitsError::Zero {
                    what: "held frames",
                },
            ),
            (
                Limits {
                    in_transmit: Some(Amount::Bytes(0)),
                    ..none
                },
                LimitsError::Zero {
                    what: "frames in transmit",
                },
            ),
            (
                Limits {
                    in_transmit: Some(Amount::Bytes(4095)),
                    ..none
                },
                LimitsError::BelowChunk {
                    what: "frames in transmit",
                    bytes: 4095,
                    chunk_size: 4096,
                },
            ),
            (
                Limits {
                    chunks: frames(1025),
                    ..none
                },
                LimitsError::AboveUmem {
                    what: "chunks",
                    amount: Amount::Frames(1025),
                    chunks: 1024,
                },
            ),
            (
                Limits {
                    held: Some(Amount::Bytes(u64::MAX)),
                    ..none
                },
                LimitsError::AboveUmem {
                    what: "held frames",
                    amount: Amount::Bytes(u64::MAX),
                    chunks: 1024,
                },
            ),
            (
                Limits {
                    chunks: frames(64),
                    floor: frames(64),
                    ..none
                },
                LimitsError::FloorTakesAll {
                    floor: 64,
                    chunks: 64,
                },
            ),
            (
                Limits {
                    floor: frames(257),
                    ..none
                },
                LimitsError::FloorAboveRing {
                    floor: 257,
                    entries: 256,
                },
            ),
            (
                Limits {
                    chunks: frames(64),
                    held: frames(65),
                    ..none
                },
                LimitsError::HeldAboveChunks {
                    held: 65,
                    chunks: 64,
                },
            ),
        ] {
            assert_eq!(limits.in_chunks(&EXTENT), Err(error), "{limits:?}");
            let text = error.to_string();
            assert!(text.contains(": "), "it says what to do: {text}");
        }
    }

    #[test]
    fn largest_limits_that_fit_are_taken() {
        let limits = Limits {
            chunks: Some(Amount::Frames(1024)),
            floor: Some(Amount::Frames(256)),
            held: Some(Amount::Frames(1024)),
            in_transmit: Some(Amount::Bytes(4096)),
            ..Limits::default()
        };

        assert!(limits.in_chunks(&EXTENT).is_ok());
    }

    #[test]
    fn amounts_read_like_words() {
        for (amount, text) in [
            (Amount::Frames(1), "1 frame"),
            (Amount::Frames(1024), "1024 frames"),
            (Amount::Bytes(8 << 20), "8 MiB"),
            (Amount::Bytes(1 << 30), "1 GiB"),
            (Amount::Bytes(6144), "6 KiB"),
            (Amount::Bytes(1000), "1000 bytes"),
            (Amount::Bytes(0), "0 bytes"),
        ] {
            assert_eq!(amount.to_string(), text);
        }
    }
}
