//! Why the engine could not start or had to stop: one type over those of the
//! modules, each of whose messages is a line that ends with a remedy.

use std::io;

use thiserror::Error;

use crate::kernel::interface::{HelperPairError, InterfaceError};
use crate::kernel::privileges::MissingCapabilities;
use crate::kernel::{KernelCall, OutOfRange, explain_refusal};
use crate::memory::UmemError;
use crate::runtime::ConfigError;
use crate::steering::rules::{ParseError, RulesError};
use crate::steering::{PassageError, SteeringError};
use crate::xsk::XskError;

/// An error of the engine. Its message is one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A request that no machine could meet.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value is out of the kernel's range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A text that is no rule.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Rules that cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The process may not do this.
    #[error(transparent)]
    Privileges(#[from] MissingCapabilities),
    /// An interface is unknown or cannot be looked at.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The XDP program could not be loaded or attached.
    #[error(transparent)]
    Steering(#[from] SteeringError),
    /// Frames could not be passed to the kernel's stack.
    #[error(transparent)]
    Passing(#[from] HelperPairError),
    /// A UMEM could not be had.
    #[error(transparent)]
    Umem(#[from] UmemError),
    /// A queue could not be bound.
    #[error(transparent)]
    Xsk(#[from] XskError),
    /// One interface was named twice, by two of its names.
    #[error(
        "`{first}` and `{second}` are the same interface, `{interface}`: name two different interfaces"
    )]
    SameInterface {
        /// The name it was given first.
        first: String,
        /// The other one.
        second: String,
        /// Its own name.
        interface: String,
    },
    /// More queues were asked for than an interface has.
    #[error(
        "{asked} queues asked for, but interface `{interface}` has {queues}: ask for at most that many"
    )]
    TooFewQueues {
        /// The interface.
        interface: String,
        /// Queues asked for.
        asked: u32,
        /// Queues it has.
        queues: u32,
    },
    /// A worker's CPU cannot be used.
    #[error(
        "cannot pin worker {worker} to CPU {cpu}: choose among the CPUs this process may use ({usable})"
    )]
    Cpu {
        /// The worker.
        worker: usize,
        /// The CPU.
        cpu: usize,
        /// The CPUs that can be used, in words.
        usable: String,
    },
    /// The operating system refused something the engine needs.
    #[error("cannot {operation}: {}", explain_refusal(source, KernelCall::Thread))]
    System {
        /// What was tried.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A descriptor that cannot be waited on.
    #[error(
        "cannot watch a regular file or a directory, which is always ready: read or write it at once, or on another thread"
    )]
    AlwaysReady,
    /// The application panicked.
    #[error("worker {worker} stopped because the application panicked: {message}")]
    ApplicationPanicked {
        /// The worker.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// A worker panicked outside the application.
    #[error(
        "worker {worker} panicked outside the application, in a metrics recorder or by a bug of Wharf: {message}"
    )]
    WorkerPanicked {
        /// The worker.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// An interface went away while the engine ran.
    #[error("interface `{interface}` was {what} while in use: start again when it is back")]
    InterfaceLost {
        /// The interface.
        interface: String,
        /// What happened to it.
        what: &'static str,
    },
    /// The kernel refused to send for a reason the engine does not know.
    #[error(
        "cannot send on interface `{interface}`: {}",
        explain_refusal(source, KernelCall::Xsk)
    )]
    Send {
        /// The interface.
        interface: String,
        /// The kernel's error.
        source: io::Error,
    },
}

impl From<PassageError> for Error {
    fn from(error: PassageError) -> Self {
        match error {
            PassageError::Program(error) => error.into(),
            PassageError::Pair(error) => error.into(),
            PassageError::Interface(error) => error.into(),
        }
    }
}
