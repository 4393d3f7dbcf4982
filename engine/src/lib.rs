//! Wharf: an AF_XDP packet I/O engine whose applications own frames in place.
//!
//! An XDP program steers frames out of the kernel's receive path into AF_XDP
//! sockets. A worker pinned to a CPU hands them to an [`Application`], which
//! owns each [`Frame`] in the memory it was received into, changes it, sends it,
//! keeps it, or drops it; the chunks go back to the kernel through the fill and
//! completion rings. What is not steered goes to the kernel.
//!
//! ```no_run
//! struct Reflect;
//!
//! impl wharf::Application for Reflect {
//!     fn receive(&mut self, batch: wharf::Batch<'_>, out: &mut wharf::Outbox<'_>) {
//!         for mut frame in batch {
//!             frame.swap_mac_addresses();
//!             out.send_back(frame);
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), wharf::Error> {
//! let engine = wharf::Engine::builder()
//!     .interface("eth0")
//!     .start(|_worker| Reflect)?;
//! # engine.stop().outcome
//! # }
//! ```
//!
//! # Layers
//!
//! - [`Engine`] runs an application on all queues of some interfaces.
//! - [`Umem`], [`Queue`] and [`Steering`] are below it, for those who own their
//!   event loop. [`Queue::simulated`] gives a queue without a kernel, for tests.
//!
//! # What holds
//!
//! - No frame can be leaked, duplicated or forged: a [`Frame`] is the only way
//!   to a chunk's bytes, moves only, and recycles its chunk when it drops.
//! - Every entry that the kernel puts on a ring is checked against a ledger of
//!   who has each chunk. What fails is counted, and never reaches an
//!   application.
//! - No frame is lost in silence: [`Summary::is_conserved`] says that frames in
//!   are frames out plus drops by reason, to the last one.

mod application;
mod bind_report;
mod config;
mod counters;
mod engine;
mod error;
mod frame;
mod interface;
mod interface_id;
mod kernel_features;
mod privileges;
mod queue;
mod ring;
mod rules;
mod shutdown;
mod stats;
mod steering;
mod sys;
mod umem;
mod worker;
mod xsk;

pub use application::{Application, Idle, Outbox, WorkerContext};
pub use bind_report::{BindReport, CopyMode};
pub use config::{
    ChunkSize, ConfigError, KnownPanics, Mode, MultiBuffer, QueueIndex, RingCapacity, Wait,
};
pub use engine::{
    Engine, EngineBuilder, EngineReport, InterfaceReport, KeepManagement, ManagementReport,
    WorkerReport,
};
pub use error::Error;
pub use frame::{AppendError, DetachedFrame, Frame, NoRoom, Segments, SegmentsMut};
pub use interface::{
    AddressWatch, AttachedProgram, DefaultRoute, Holder, Interface, InterfaceError, InterfaceIndex,
    InterfaceQueues, LinkEvent, LinkState, LinkWatch, ProgramMode, Promiscuous, QueuesSource,
    XdpFeatures,
};
pub use interface_id::InterfaceId;
pub use kernel_features::{KernelFeatures, Support};
pub use privileges::MissingCapabilities;
pub use queue::{
    Batch, Queue, QueueConfig, QueueRx, QueueTx, RxCounters, SimulatedNic, TransmitError,
    TxCounters, WakeError,
};
#[cfg(feature = "fault-injection")]
pub use queue::{LeakedMapping, TxDescriptor};
pub use rules::{
    Action, Decision, Expression, Flow, IcmpVersion, MacAddress, ParseError, Ports, Prefix,
    Primitive, Rule, RuleSet, RulesError, Side, TcpFlags, Truth, ValueError, VlanId, VlanTag,
    XskIndex,
};
pub use stats::{
    DropReason, Drops, KernelStatistics, QueueStats, Snapshot, Summary, Totals, WorkerStats,
};
pub use steering::{
    Attach, AttachReport, AttachedMode, QueueCounts, RuleHits, Steering, SteeringConfig,
    SteeringError, Verdict,
};
pub use umem::{Audit, Pages, Umem, UmemConfig, UmemError, pinnable_bytes, pinned_bytes};
pub use xsk::XskError;
