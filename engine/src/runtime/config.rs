//! What an engine may be asked for, checked once where it is built.

use std::time::Duration;

use thiserror::Error;

use crate::kernel::OutOfRange;
use crate::memory::{LimitsError, UmemConfigError};
use crate::steering::rules::RulesError;

/// Frames that an application receives at once, where nothing else is asked for.
pub(crate) const DEFAULT_BATCH_SIZE: u32 = 64;

/// How long no frame in transmit may come back before that is reported, where nothing else
/// is asked for: as long as the kernel's own watchdog waits (`dev->watchdog_timeo`, five
/// seconds in `net/sched/sch_generic.c`).
pub(crate) const DEFAULT_TRANSMIT_WATCHDOG: Duration = Duration::from_secs(5);

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Spins for a short while after the last frame, then sleeps in `poll(2)`:
    /// low latency under load, and next to no CPU when idle.
    #[default]
    Adaptive,
    /// Never sleeps: the lowest latency, one whole CPU per worker.
    Spin,
    /// Sleeps in `poll(2)` as soon as a round finds nothing.
    Poll,
}

/// What becomes of an engine when one of its interfaces is set down. One that is
/// deleted or moved to another network namespace always ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLinkDown {
    /// The engine goes on. Frames to the interface are dropped and counted
    /// ([`DropReason::TxLinkDown`](crate::DropReason::TxLinkDown)) until it is up
    /// again, and [events](crate::Engine::events) say both.
    ///
    /// The default: nothing is lost that ending would save, and traffic flows again
    /// without anybody having to start the engine again.
    ///
    /// Frames that were handed to the kernel when the interface went down stay in the
    /// TX ring, and are sent when it is up again, however late that is: those of a
    /// round or two.
    #[default]
    Wait,
    /// The engine ends with [`Error::InterfaceLost`](crate::Error::InterfaceLost).
    End,
}

/// A request that no machine could meet.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The steering rules do not fit, or can never match.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A value is out of the kernel's range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// No machine could have such a UMEM.
    #[error(transparent)]
    Umem(#[from] UmemConfigError),
    /// The limits do not fit.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// No interface was named.
    #[error("no interface was named: name at least one")]
    NoInterface,
    /// The same interface was named twice.
    #[error("interface `{0}` is named twice: name two different interfaces")]
    SameInterface(String),
    /// A count that must not be zero is.
    #[error("{what} must be at least 1")]
    Zero {
        /// What was zero.
        what: &'static str,
    },
    /// More queues than the kernel can name were asked for.
    #[error("{0} queues asked for: an interface has at most 65536")]
    TooManyQueues(u32),
    /// A worker would have more xsks than can share its UMEM.
    #[error(
        "{queues} queue(s) of a worker with {xsks} xsks each are too many: at most {most} xsks share a worker's UMEM; \
         ask for fewer, or for more workers (CPUs)"
    )]
    TooManyXsks {
        /// Queues of the worker.
        queues: u32,
        /// Xsks of each.
        xsks: u8,
        /// Xsks that one worker can have.
        most: u8,
    },
    /// The UMEM is too small for the queues it must serve.
    #[error(
        "{frames} frames are too few: {queues} queue(s) of a worker share them and need at least {needed}"
    )]
    TooFewFrames {
        /// Chunks asked for.
        frames: u32,
        /// Queues that share them.
        queues: u32,
        /// The least number that works.
        needed: u32,
    },
    /// A CPU was named twice.
    #[error("CPU {0} is named twice: a worker needs a CPU of its own")]
    SameCpu(usize),
}
