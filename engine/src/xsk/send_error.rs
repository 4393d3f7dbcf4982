//! Why a frame was not sent, or cannot be now.

use std::io;

use thiserror::Error;

use crate::memory::Frame;

/// A frame was not sent. Each case has it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransmitError {
    /// The TX ring has no free slot, or not one for each chunk, or the completion
    /// ring could not take the chunks back.
    #[error("the TX ring is full")]
    RingFull(Frame),
    /// As many chunks are in transmit as the xsk's [limit](crate::Limits::in_transmit)
    /// allows.
    #[error("as many chunks are in transmit as the limit allows")]
    InTransmit(Frame),
    /// The frame's UMEM is not the xsk's.
    #[error("the frame belongs to another UMEM")]
    ForeignUmem(Frame),
    /// The frame, or the first of its chunks, has no bytes.
    #[error("the frame is empty")]
    Empty(Frame),
    /// The frame lies in more chunks than the xsk [sends at
    /// once](crate::XskTx::most_chunks): one, unless it was bound for several.
    #[error("the frame lies in {} chunks, more than the xsk sends at once", .0.chunks())]
    TooManyChunks(Frame),
    /// The first of several chunks has less than an Ethernet header, which some
    /// drivers do not survive; or so has a frame that is [passed](crate::Outbox::pass).
    #[error(
        "the first chunk has less than an Ethernet header, and the frame lies in several, or is to be passed"
    )]
    ShortFirstChunk(Frame),
    /// The frame is a [copy](Frame::hold), and the UMEM has no free chunk to copy it into.
    #[error("no chunk of the UMEM is free to copy the frame into")]
    NoChunk(Frame),
    /// The queue's index is beyond the interface's TX queues: it receives only.
    #[error("the queue receives only: the interface has fewer TX than RX queues")]
    ReceiveOnly(Frame),
    /// The interface is down.
    #[error("the interface is down")]
    LinkDown(Frame),
    /// As many transmissions as the xsk [has places for](crate::XskConfig::completions)
    /// are outstanding, or have ended and nobody has read it.
    #[error("no more completions fit: read those that are there")]
    CompletionsFull(Frame),
    /// The engine was not asked to [pass](crate::EngineBuilder::passing) frames, or has no such
    /// interface.
    #[error(
        "frames cannot be passed to the kernel's stack there: call `EngineBuilder::passing`, and name an interface \
         of the engine"
    )]
    NoPassage(Frame),
    /// There is no such interface to send to.
    #[error("the worker has no such interface")]
    NoInterface(Frame),
}

impl TransmitError {
    /// The frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        match self {
            Self::RingFull(frame)
            | Self::InTransmit(frame)
            | Self::ForeignUmem(frame)
            | Self::Empty(frame)
            | Self::TooManyChunks(frame)
            | Self::ShortFirstChunk(frame)
            | Self::NoChunk(frame)
            | Self::ReceiveOnly(frame)
            | Self::LinkDown(frame)
            | Self::CompletionsFull(frame)
            | Self::NoPassage(frame)
            | Self::NoInterface(frame) => frame,
        }
    }
}

/// The kernel cannot send for this xsk now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WakeError {
    /// The interface is down. Frames stay in the TX ring until it is up.
    #[error("the interface is down")]
    Down,
    /// The interface was deleted or moved to another network namespace: the
    /// socket is dead for good.
    #[error("the interface is gone")]
    Gone,
    /// Anything else.
    #[error(transparent)]
    Other(io::Error),
}
