//! The clock of a worker: the machine's, or one that a test moves.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a worker's application calls now.
#[derive(Debug)]
pub(crate) enum Clock {
    /// `CLOCK_MONOTONIC`, read in the vDSO: some 25 ns.
    Machine,
    /// Stands still until it is [advanced](Self::advance).
    Simulated(Cell<Instant>),
}

impl Clock {
    /// A simulated clock that begins now.
    pub(crate) fn simulated() -> Self {
        Self::Simulated(Cell::new(Instant::now()))
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Machine => Instant::now(),
            Self::Simulated(now) => now.get(),
        }
    }

    /// Moves a simulated clock; the machine's goes as it goes.
    pub(crate) fn advance(&self, by: Duration) {
        if let Self::Simulated(now) = self {
            now.set(now.get() + by);
        }
    }
}
