//! Pinned workers that run an application: the engine, its plan, its
//! supervision, its counters and its end.

mod application;
mod config;
mod counters;
mod engine;
mod error;
mod guard;
mod shutdown;
mod simulated;
mod stats;
mod worker;
mod xsk_set;

pub use application::{Application, Idle, Outbox, WorkerContext};
pub use config::{ConfigError, Wait};
pub use engine::{
    Engine, EngineBuilder, EngineReport, InterfaceReport, KeepManagement, ManagementReport,
    WorkerReport,
};
pub use error::Error;
pub use simulated::SimulatedWorker;
pub use stats::{DropReason, Drops, Snapshot, Summary, Totals, WorkerStats, XskStats};
