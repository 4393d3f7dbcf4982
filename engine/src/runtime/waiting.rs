//! When a worker with nothing to do goes to sleep.
//!
//! A sleep costs a system call and, when a frame comes, a wake-up; a spin costs the
//! CPU for as long as it lasts. So an adaptive worker spins only where spins end with
//! a frame: as in `halt_poll_ns` of the kernel's KVM, the time to spin doubles where
//! a sleep was shorter than the longest spin, and halves where it was longer, down
//! to none.

use std::time::{Duration, Instant};

use crate::runtime::Wait;

/// The longest spin: a few times what a sleep costs, and longer than the gap between
/// frames at 50,000 a second.
const LONGEST: Duration = Duration::from_micros(25);

/// The shortest spin but none.
const SHORTEST: Duration = Duration::from_micros(5);

/// Empty rounds between two looks at the clock: about a microsecond.
const ROUNDS: u32 = 16;

/// Decides, after each empty round, between the next one and a sleep.
#[derive(Debug)]
pub(crate) struct Waiting {
    wait: Wait,
    /// How long to spin before a sleep.
    spin: Duration,
    /// Empty rounds in a row.
    empty: u32,
    /// When the first look at the clock was in these, or the sleep began.
    since: Option<Instant>,
}

impl Waiting {
    pub(crate) fn new(wait: Wait) -> Self {
        Self {
            wait,
            spin: LONGEST,
            empty: 0,
            since: None,
        }
    }

    /// After a round that did something.
    #[inline]
    pub(crate) fn progress(&mut self) {
        self.empty = 0;
    }

    /// After an empty round: whether to sleep now.
    #[inline]
    pub(crate) fn sleeps(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match self.wait {
            Wait::Spin => false,
            Wait::Poll => true,
            Wait::Adaptive => self.has_spun(now),
        }
    }

    fn has_spun(&mut self, now: impl FnOnce() -> Instant) -> bool {
        self.empty += 1;
        if self.spin.is_zero() {
            self.since = Some(now());
            return true;
        }
        if !self.empty.is_multiple_of(ROUNDS) {
            return false;
        }
        let now = now();
        if self.empty == ROUNDS {
            self.since = Some(now);
        }
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) >= self.spin
    }

    /// After a sleep: adapts to how long it was since there was something to do.
    pub(crate) fn woke(&mut self, now: impl FnOnce() -> Instant) {
        self.empty = 0;
        let Some(since) = self.since.take() else {
            return;
        };
        self.spin = if now().duration_since(since) < LONGEST {
            (self.spin * 2).clamp(SHORTEST, LONGEST)
        } else if self.spin > SHORTEST {
            (self.spin / 2).max(SHORTEST)
        } else {
            Duration::ZERO
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Empty rounds of a microsecond each until it sleeps, `most` at most.
    fn rounds(waiting: &mut Waiting, clock: &mut Instant, most: u32) -> Option<u32> {
        (1..=most).find(|_| {
            *clock += Duration::from_micros(1);
            waiting.sleeps(|| *clock)
        })
    }

    /// Spins in a row, each with a sleep behind it that ends after `gap`.
    fn spins(waiting: &mut Waiting, clock: &mut Instant, gap: Duration) -> Vec<u32> {
        let spin = |_| {
            let rounds = rounds(waiting, clock, 1000).expect("it sleeps in the end");
            *clock += gap;
            waiting.woke(|| *clock);
            rounds
        };
        (0..8).map(spin).collect()
    }

    #[test]
    fn spin_is_bounded_by_time_and_shrinks_to_none_when_it_finds_nothing() {
        let (mut waiting, mut clock) = (Waiting::new(Wait::Adaptive), Instant::now());

        let spins = spins(&mut waiting, &mut clock, Duration::from_millis(1));

        // The clock is looked at every 16 rounds, from the 16th on.
        assert_eq!(spins, [48, 32, 32, 32, 1, 1, 1, 1]);
    }

    #[test]
    fn spin_grows_again_where_sleeps_are_short() {
        let (mut waiting, mut clock) = (Waiting::new(Wait::Adaptive), Instant::now());
        spins(&mut waiting, &mut clock, Duration::from_millis(1));

        let spins = spins(&mut waiting, &mut clock, Duration::ZERO);

        assert_eq!(spins[0], 1);
        assert!(spins[1..4].is_sorted() && spins[3] > spins[1], "{spins:?}");
    }

    #[test]
    fn progress_starts_the_spin_again() {
        let (mut waiting, mut clock) = (Waiting::new(Wait::Adaptive), Instant::now());

        for _ in 0..10 {
            assert_eq!(rounds(&mut waiting, &mut clock, 30), None);
            waiting.progress();
        }
    }

    #[test]
    fn clock_is_read_by_none_but_the_adaptive() {
        let clock = || panic!("the clock is read");

        assert!(Waiting::new(Wait::Poll).sleeps(clock));
        assert!(!Waiting::new(Wait::Spin).sleeps(clock));
    }
}
