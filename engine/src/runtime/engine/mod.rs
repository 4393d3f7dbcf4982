//! An engine from what it is asked for to what it got and how it ended.

mod binder;
mod builder;
#[expect(clippy::module_inception, reason = "the engine itself among its parts")]
mod engine;
mod limits;
mod management;
mod own_addresses;
mod plan;
mod queue_follower;
mod report;
mod rules;
mod settings;
mod spare_program;
mod steering_table;
mod supervisor;
mod worker_requests;
mod worker_thread;

pub use builder::EngineBuilder;
pub use engine::Engine;
pub use management::{KeepManagement, ManagementReport};
pub use report::{EngineReport, InterfaceReport, UnusedCpus, WorkerReport};
