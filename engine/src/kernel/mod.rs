//! What the kernel is, in its own words, and what it allows: system calls, the
//! terms, interfaces, and the features and privileges that are there.
//!
//! The lowest floor: it knows nothing of UMEMs, frames, rules or workers.

pub(crate) mod features;
pub(crate) mod interface;
pub(crate) mod interface_id;
pub(crate) mod limits;
pub(crate) mod privileges;
pub(crate) mod sys;
mod terms;

pub use features::{KernelFeatures, Support};
pub use interface_id::InterfaceId;
pub use limits::{KernelCall, MemoryGroup, explain_refusal, tightest_memory_group};
pub use privileges::MissingCapabilities;
pub use terms::{
    ChunkSize, CopyMode, InterfaceIndex, KernelStatistics, KnownPanics, OutOfRange, ProgramMode,
    QueueIndex, RingCapacity, XskIndex,
};
pub(crate) use terms::{FRAME_OVERHEAD, XDP_PACKET_HEADROOM};
