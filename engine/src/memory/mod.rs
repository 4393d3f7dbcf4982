//! Who has each chunk of the memory that packets are received into and sent
//! from, and the frames that are the right to one.

mod audit;
mod beside;
mod budget;
pub(crate) mod checksum;
mod config;
mod copies;
mod copybreak;
pub(crate) mod crossing;
mod foreign;
pub(crate) mod frame;
pub(crate) mod geometry;
pub(crate) mod handle;
mod holders;
mod huge;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod links;
mod make;
mod numa;
mod own;
mod pool;
pub(crate) mod region;
mod report;
mod room;
pub(crate) mod shares;
pub(crate) mod tags;
mod umem;

#[cfg(test)]
mod copy_tests;
#[cfg(test)]
mod tests;

pub use audit::{Audit, CopyAudit};
pub(crate) use budget::check_budget;
pub use budget::{memory_limit, pinnable_bytes, pinned_bytes, set_memory_limit};
pub use checksum::ChecksumProtocol;
pub use config::{Pages, UmemConfig, UmemConfigError, UmemError};
pub use copybreak::Copybreak;
pub use foreign::{ForeignMemory, ForeignMemoryError};
pub use frame::{
    AppendError, DetachedFrame, FinishedChecksum, Frame, NoRoom, Segments, SegmentsMut,
};
pub use limits::{Amount, LimitPolicy, Limits, LimitsError};
pub use report::{MemoryReport, MemorySource, NumaReport};
pub(crate) use room::check_room;
pub use umem::Umem;
pub(crate) use umem::{BackingStore, UmemState};
