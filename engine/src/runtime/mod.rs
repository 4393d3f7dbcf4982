//! Pinned workers that run an application: the engine, its plan, its
//! supervision, its counters and its end.

mod account;
mod application;
mod attention;
mod clock;
mod config;
mod counters;
mod down_links;
mod drops;
mod engine;
mod error;
mod events;
mod guard;
mod hooks;
#[cfg(test)]
mod hooks_tests;
mod outbox;
mod passes;
mod publisher;
mod routes;
mod shutdown;
mod simulated;
mod stats;
mod transmit_watchdog;
mod waiting;
mod waker;
mod watched;
mod worker;
mod xsk_set;

pub use application::{Application, Idle, WorkerContext};
pub use config::{ConfigError, OnLinkDown, Wait};
pub use counters::Counters;
pub use drops::{DropReason, Drops};
pub use engine::{
    Engine, EngineBuilder, EngineReport, InterfaceReport, KeepManagement, ManagementReport,
    UnusedCpus, WorkerReport,
};
pub use error::Error;
pub use events::{Event, EventKind, TransmitStall};
pub use outbox::{Discard, Outbox};
pub use simulated::SimulatedWorker;
pub use stats::{QueueStats, Snapshot, Summary, WorkerStats, XskStats};
pub use waker::Waker;
pub use watched::{Interest, WatchToken};
