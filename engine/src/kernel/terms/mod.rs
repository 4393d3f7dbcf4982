//! The kernel's terms: sizes, indices, modes and counters, one a file. Those with
//! a range are checked once, where they are built; after that their types make
//! bad values impossible.

mod chunk_size;
mod copy_mode;
mod interface_index;
mod kernel_statistics;
mod known_panics;
mod out_of_range;
mod program_mode;
mod queue_index;
mod ring_capacity;
mod xsk_index;

pub use chunk_size::ChunkSize;
pub(crate) use chunk_size::{FRAME_OVERHEAD, XDP_PACKET_HEADROOM};
pub use copy_mode::CopyMode;
pub use interface_index::InterfaceIndex;
pub use kernel_statistics::KernelStatistics;
pub use known_panics::KnownPanics;
pub use out_of_range::OutOfRange;
pub use program_mode::ProgramMode;
pub use queue_index::QueueIndex;
pub use ring_capacity::RingCapacity;
pub use xsk_index::XskIndex;
