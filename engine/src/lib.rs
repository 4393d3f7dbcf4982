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
//! - [`message`] is above all of them: messages larger than a frame.
//! - [`Engine`] runs an application on all queues of some interfaces.
//! - [`Umem`], [`Xsk`] and [`Steering`] are below it, for those who own their
//!   event loop.
//! - [`SimulatedWorker`] runs an application without a kernel, for tests, and
//!   [`Xsk::simulated`] is such an xsk alone.
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

pub mod impairment;
mod kernel;
mod memory;
pub mod message;
mod runtime;
mod steering;
mod xsk;

pub use kernel::interface::{
    AttachedProgram, DefaultRoute, HelperPairError, HelperPairStep, Holder, Interface,
    InterfaceError, InterfaceErrorKind, InterfaceQueues, LinkType, Promiscuous, QueuesSource,
    SoftwareSource, VlanOffloads, XdpFeatures,
};
pub use kernel::{
    ChunkSize, CopyMode, InterfaceId, InterfaceIndex, KernelCall, KernelFeatures, KernelStatistics,
    KnownPanics, MemoryGroup, MissingCapabilities, OutOfRange, ProgramMode, QueueIndex,
    RingCapacity, Support, XskIndex, explain_refusal, tightest_memory_group,
};
pub use memory::{
    Amount, AppendError, Audit, ChecksumProtocol, CopyAudit, Copybreak, DetachedFrame,
    FinishedChecksum, ForeignMemory, ForeignMemoryError, Frame, LimitPolicy, Limits, LimitsError,
    MemoryReport, MemorySource, NoRoom, NumaReport, Pages, Segments, SegmentsMut, Umem, UmemConfig,
    UmemConfigError, UmemError, memory_limit, pinnable_bytes, pinned_bytes, set_memory_limit,
};
pub use runtime::{
    Application, ConfigError, Counters, Discard, DropReason, Drops, Engine, EngineBuilder,
    EngineReport, Error, Event, EventKind, Idle, Interest, InterfaceReport, KeepManagement,
    ManagementReport, OnLinkDown, Outbox, QueueStats, SimulatedWorker, Snapshot, Summary,
    TransmitStall, UnusedCpus, Wait, Waker, WatchToken, WorkerContext, WorkerReport, WorkerStats,
    XskStats,
};
pub use steering::rules::{
    Action, ActionPlace, DecidedBy, Decision, Explanation, Expression, Flow, IcmpVersion,
    MacAddress, ParseError, Ports, Prefix, Primitive, Rule, RuleSet, RulesError, Side, TcpFlags,
    Truth, UndecidedRule, Unread, ValueError, VlanId, VlanIds, VlanTag,
};
pub use steering::{
    Attach, AttachReport, NoXsk, QueueCounts, RuleHits, Steering, SteeringConfig, SteeringError,
    SteeringErrorKind, Verdict,
};
pub use xsk::{
    Batch, BindReport, Checksums, ChecksumsReport, Completion, CompletionQueue, Completions, Mode,
    MultiBuffer, NicQueue, Outcome, RxCounters, SimulatedNic, TransmitError, TxCounters, WakeError,
    Xsk, XskConfig, XskError, XskErrorKind, XskLimits, XskRx, XskTx, XskUsage,
};
#[cfg(feature = "fault-injection")]
pub use xsk::{LeakedMapping, TxDescriptor};
