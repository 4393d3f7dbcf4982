//! Frames: the right to a packet's bytes, on the UMEM's thread and on others.
#![expect(unsafe_code, reason = "slices over the chunks that a frame owns")]

mod checksum;
mod chunks;
mod copy;
mod detached;
#[expect(clippy::module_inception, reason = "the type that the folder is about")]
mod frame;
mod metadata;
mod segments;

pub use checksum::FinishedChecksum;
pub use chunks::AppendError;
pub use detached::DetachedFrame;
pub(crate) use frame::Pieces;
pub use frame::{Frame, NoRoom};
pub use segments::{Segments, SegmentsMut};
