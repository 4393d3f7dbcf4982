//! Waits that end: progress renews them, standstill fails the test.

use std::thread;
use std::time::{Duration, Instant};

/// How long nothing may happen, on a machine that may be busy.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Patience with the other end, and the kernel between.
#[derive(Debug)]
pub struct Patience {
    what: &'static str,
    since: Instant,
}

impl Patience {
    /// Waits for `what`.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            since: Instant::now(),
        }
    }

    /// Something happened.
    pub fn renew(&mut self) {
        self.since = Instant::now();
    }

    /// Nothing happened: the caller looks again after a moment.
    ///
    /// # Panics
    ///
    /// When nothing has happened for ten seconds.
    pub fn pause(&self) {
        self.check();
        thread::sleep(Duration::from_micros(50));
    }

    /// As [`pause`](Self::pause), for callers that have waited themselves.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn check(&self) {
        assert!(
            self.since.elapsed() < STANDSTILL,
            "standstill for {STANDSTILL:?}: {}",
            self.what
        );
    }
}
