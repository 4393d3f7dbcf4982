//! Sending at a steady rate, in small bursts.

use std::thread;
use std::time::{Duration, Instant};

/// Spreads frames over time, a burst at a time.
///
/// The schedule is absolute: a burst that went out late does not delay those
/// after it, so the rate holds on average.
#[derive(Clone, Debug)]
pub struct Pacer {
    frames_per_second: u32,
    burst_frames: usize,
    started: Option<Instant>,
    released: u64,
}

impl Pacer {
    /// Paces at this rate, in bursts of 16 frames.
    ///
    /// # Panics
    ///
    /// When the rate is zero.
    pub fn per_second(frames: u32) -> Self {
        assert!(frames > 0, "a rate of zero never sends");
        Self {
            frames_per_second: frames,
            burst_frames: 16,
            started: None,
            released: 0,
        }
    }

    /// Sets how many frames go out at once.
    ///
    /// # Panics
    ///
    /// When that is none.
    #[must_use]
    pub fn burst(mut self, frames: usize) -> Self {
        assert!(frames > 0, "a burst of no frames never sends");
        self.burst_frames = frames;
        self
    }

    /// Waits until the next `frames` are due. The first are due at once.
    pub fn wait(&mut self, frames: usize) {
        let now = Instant::now();
        let due = *self.started.get_or_insert(now) + self.due_after_start();
        thread::sleep(due.saturating_duration_since(now));
        self.released += u64::try_from(frames).expect("a burst is small");
    }

    /// How many frames go out at once.
    pub fn burst_frames(&self) -> usize {
        self.burst_frames
    }

    fn due_after_start(&self) -> Duration {
        let rate = u64::from(self.frames_per_second);
        let nanoseconds = self.released % rate * 1_000_000_000 / rate;
        Duration::from_secs(self.released / rate) + Duration::from_nanos(nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_at_the_rate() {
        let mut pacer = Pacer::per_second(1000);

        pacer.released = 2500;

        assert_eq!(pacer.due_after_start(), Duration::from_millis(2500));
    }

    #[test]
    fn schedule_holds_at_the_highest_rate() {
        let mut pacer = Pacer::per_second(u32::MAX);

        pacer.released = u64::from(u32::MAX) * 3600;

        assert_eq!(pacer.due_after_start(), Duration::from_secs(3600));
    }

    #[test]
    fn waiting_takes_at_least_as_long_as_the_rate_says() {
        let mut pacer = Pacer::per_second(1000).burst(5);
        let start = Instant::now();

        for _ in 0..4 {
            pacer.wait(5);
        }

        assert!(start.elapsed() >= Duration::from_millis(15));
    }
}
