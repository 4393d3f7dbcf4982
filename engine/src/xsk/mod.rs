//! Where frames cross the boundary: the four rings of a NIC queue, and the xsks bound
//! to it.
//!
//! A [`NicQueue`] of a UMEM has a fill and a completion ring, a limit and accounts
//! (`queue_state`). Each [`Xsk`] of it has an RX and a TX ring. An xsk is made whole,
//! by [`NicQueue::bind`] or [`NicQueue::share`], and has a receiving and a sending
//! half (`rx`, `tx`), which code outside the crate only ever borrows.

mod assembly;
mod batch;
mod bind_report;
mod checksums;
mod chunks;
mod completions;
mod config;
mod counters;
mod error;
#[cfg(feature = "fault-injection")]
mod fault_injection;
mod fit;
mod limits;
mod nic_queue;
mod panic_gate;
mod queue_state;
pub(crate) mod ring;
mod rings;
mod rx;
mod send_error;
mod simulated;
mod socket;
mod target;
mod tx;
mod wake;
#[expect(clippy::module_inception, reason = "the type that the floor is about")]
mod xsk;

#[cfg(test)]
mod chunks_tests;
#[cfg(test)]
mod completions_tests;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod shares_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unaligned_tests;
#[cfg(test)]
mod wrap_tests;

pub use batch::Batch;
pub use bind_report::BindReport;
pub use checksums::{Checksums, ChecksumsReport};
pub use completions::{Completion, CompletionQueue, Completions, Outcome};
pub use config::{Mode, MultiBuffer, XskConfig};
pub use counters::{RxCounters, TxCounters};
pub use error::{XskError, XskErrorKind};
#[cfg(feature = "fault-injection")]
pub use fault_injection::{LeakedMapping, TxDescriptor};
pub(crate) use fit::{frame_of_mtu, longest_received, needs_several_chunks};
pub use limits::{XskLimits, XskUsage};
pub(crate) use nic_queue::MtuCheck;
pub use nic_queue::NicQueue;
pub(crate) use rx::RxHalf;
pub use rx::XskRx;
pub use send_error::{TransmitError, WakeError};
pub use simulated::SimulatedNic;
pub(crate) use socket::check_kernel;
pub(crate) use tx::TxHalf;
pub use tx::XskTx;
pub use xsk::Xsk;
