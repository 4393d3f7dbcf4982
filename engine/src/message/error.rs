//! What cannot be done with a message.

use thiserror::Error;

/// A message cannot be scattered as asked for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The headers fill the frames.
    #[error(
        "a frame of {frame_bytes} bytes has no room for payload behind {headers} bytes of headers: \
         use larger frames"
    )]
    NoRoomForPayload {
        /// The most bytes of a frame.
        frame_bytes: u32,
        /// The caller's headers and the fragment header.
        headers: u32,
    },
    /// A frame of the message has too few bytes free in front of it for the headers.
    #[error(
        "a frame of the message has {headroom} bytes free in front of it, and its headers take \
         {headers}: ask for more headroom (UmemConfig::headroom)"
    )]
    NoHeadroom {
        /// Bytes free there.
        headroom: u32,
        /// The caller's headers and the fragment header.
        headers: u32,
    },
    /// The layout is for headers of another length.
    #[error("the layout is for {layout} bytes of headers, and these are {headers}")]
    OtherHeaders {
        /// Bytes that the layout has.
        layout: u32,
        /// Bytes that the headers have.
        headers: u32,
    },
}

/// The UMEM has no free chunk for the next fragment. Nothing has changed: try again when
/// chunks have come back.
#[derive(Clone, Copy, Debug, Default, Error, PartialEq, Eq)]
#[error("no chunk of the UMEM is free")]
pub struct NoChunk;
