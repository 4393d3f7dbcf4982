//! How long the demo sends traffic, and how long that may stall.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// When to stop sending: after a time, or when a flag is set.
pub struct Clock<'a> {
    begin: Instant,
    duration: Duration,
    stop: &'a AtomicBool,
}

impl<'a> Clock<'a> {
    /// Runs for `duration` from now, or until `stop` is set.
    pub fn new(duration: Duration, stop: &'a AtomicBool) -> Self {
        Self {
            begin: Instant::now(),
            duration,
            stop,
        }
    }

    /// Whether to stop sending.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.elapsed() >= self.duration
    }

    /// Since the traffic began.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }
}

/// A connection on which nothing moves for this long is called stalled: long
/// enough for four retransmissions of TCP, which start after 0.2 s and double.
pub const STALL: Duration = Duration::from_secs(5);

/// A datagram or echo that takes longer counts as lost: far more than any queue
/// on the way holds, even where CPUs are short.
pub const LOST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_over_after_its_time_or_when_stopped() {
        let stop = AtomicBool::new(false);
        let expired = Clock::new(Duration::ZERO, &stop);
        let running = Clock::new(Duration::from_secs(3600), &stop);

        assert!(expired.is_over());
        assert!(!running.is_over());
        stop.store(true, Ordering::Relaxed);
        assert!(running.is_over());
    }
}
