//! Notices that the kernel keeps frames and finishes none.
//!
//! A frame in transmit comes back when the driver has sent it, or whoever holds it at the
//! other end lets it go. If for a while none of an xsk does, the kernel is woken, in case
//! a wake-up was missed, and if that does not help, it is reported, once until one comes
//! back.

use std::time::{Duration, Instant};

/// What becomes of the frames of each xsk that are in transmit.
pub(crate) struct TransmitWatchdog {
    /// How long none may come back; `None` is for ever.
    patience: Option<Duration>,
    /// By the xsk's position.
    watched: Vec<Watched>,
}

/// What can be seen of an xsk's transmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transmissions {
    pub(crate) in_flight: u32,
    /// Frames that came back so far.
    pub(crate) completed: u64,
    /// Whether it is known why none comes back.
    pub(crate) is_explained: bool,
}

/// What is to be done about an xsk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Nothing,
    /// To wake the kernel.
    Wake,
    /// To report that nothing has come back for so long.
    Stalled(Duration),
    /// To report that it goes on, after so long.
    Resumed(Duration),
}

#[derive(Clone, Copy, Default)]
struct Watched {
    completed: u64,
    /// Since when none came back, while some are in flight.
    since: Option<Instant>,
    done: Done,
}

/// What was done about an xsk that is stuck.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Done {
    #[default]
    Nothing,
    Woken,
    Reported,
}

impl TransmitWatchdog {
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        Self {
            patience,
            watched: Vec::new(),
        }
    }

    /// Looks at the xsk at `position`.
    pub(crate) fn look(&mut self, position: usize, seen: Transmissions, now: Instant) -> Finding {
        let Some(patience) = self.patience else {
            return Finding::Nothing;
        };
        if self.watched.len() <= position {
            self.watched.resize(position + 1, Watched::default());
        }
        self.watched[position].look(seen, now, patience)
    }
}

impl Watched {
    fn look(&mut self, seen: Transmissions, now: Instant, patience: Duration) -> Finding {
        let moves = seen.completed != self.completed || seen.in_flight == 0;
        let since = self.since.unwrap_or(now);
        let stalled = now.saturating_duration_since(since);
        if moves || seen.is_explained {
            let was_reported = self.done == Done::Reported;
            *self = Self {
                completed: seen.completed,
                since: (seen.in_flight > 0 && !seen.is_explained).then_some(now),
                done: Done::Nothing,
            };
            return match was_reported {
                true if moves => Finding::Resumed(stalled),
                _ => Finding::Nothing,
            };
        }
        self.since = Some(since);
        if stalled < patience {
            return Finding::Nothing;
        }
        let (done, finding) = match self.done {
            Done::Nothing => (Done::Woken, Finding::Wake),
            Done::Woken => (Done::Reported, Finding::Stalled(stalled)),
            Done::Reported => (Done::Reported, Finding::Nothing),
        };
        self.done = done;
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(in_flight: u32, completed: u64) -> Transmissions {
        Transmissions {
            in_flight,
            completed,
            is_explained: false,
        }
    }

    /// What looks find that are `gap` apart, with a patience of a second.
    fn findings(gap: Duration, looks: &[Transmissions]) -> Vec<Finding> {
        let mut watchdog = TransmitWatchdog::new(Some(SECOND));
        let mut now = Instant::now();
        let look = |seen: &Transmissions| {
            now += gap;
            watchdog.look(0, *seen, now)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn stuck_frames_are_kicked_then_reported_once_and_so_is_that_they_move() {
        let stuck = seen(3, 7);
        let looks = [stuck, stuck, stuck, stuck, stuck, seen(2, 8), seen(2, 9)];

        let found = findings(SECOND, &looks);

        let expected = [
            Finding::Nothing,
            Finding::Wake,
            Finding::Stalled(2 * SECOND),
            Finding::Nothing,
            Finding::Nothing,
            Finding::Resumed(5 * SECOND),
            Finding::Nothing,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn slow_frames_are_not_stuck_and_neither_is_an_xsk_without() {
        let slow: Vec<_> = (0..9).map(|completed| seen(64, completed)).collect();
        let idle = [seen(0, 7); 9];
        let late = [seen(0, 7), seen(1, 7), seen(0, 8), seen(1, 8), seen(0, 9)];

        for looks in [&slow[..], &idle, &late] {
            let found = findings(SECOND * 9 / 10, looks);
            assert!(found.iter().all(|it| *it == Finding::Nothing), "{found:?}");
        }
    }

    #[test]
    fn frames_whose_interface_is_down_are_not_reported_and_have_time_again_when_it_is_up() {
        let down = Transmissions {
            is_explained: true,
            ..seen(3, 7)
        };
        let up = seen(3, 7);

        let found = findings(SECOND, &[up, down, down, down, up, up, up]);

        assert_eq!(found[..5], [Finding::Nothing; 5][..]);
        assert_eq!(found[5], Finding::Wake, "a second after it is up");
        assert!(matches!(found[6], Finding::Stalled(_)));
    }

    #[test]
    fn every_xsk_is_looked_at_alone_and_none_without_patience() {
        let mut now = Instant::now();
        let mut watchdog = TransmitWatchdog::new(Some(SECOND));
        let mut never = TransmitWatchdog::new(None);
        for completed in 0..3 {
            now += 2 * SECOND;
            assert_eq!(watchdog.look(2, seen(1, completed), now), Finding::Nothing);
            let other = watchdog.look(0, seen(1, 5), now);
            assert_eq!(other == Finding::Nothing, completed == 0);
            assert_eq!(never.look(0, seen(1, 5), now), Finding::Nothing);
        }
    }
}
