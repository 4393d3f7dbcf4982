//! What becomes of each frame, and when: no frames, no clock, no kernel.

use std::time::{Duration, Instant};

use super::distribution::{SCALE, Table};
use super::loss::LossModel;
use super::percent::Percent;
use super::random::{Correlated, Event, Random};
use super::settings::{Chance, Impairment, Rate};

/// Decides about frames one after the other.
#[derive(Clone, Debug)]
pub(super) struct Model {
    random: Random,
    duplicate: Event,
    loss: LossModel,
    corrupt: Event,
    reorder: Option<Reordering>,
    delay: Delays,
    rate: Option<Rate>,
    /// When the line is free.
    line_free: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Reordering {
    event: Event,
    gap: u32,
    /// Delayed frames since the last one that was sent early.
    delayed: u32,
}

#[derive(Clone, Debug)]
struct Delays {
    mean: i64,
    jitter: i64,
    numbers: Correlated,
    table: Option<Table>,
}

/// What becomes of a frame and its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) frame: Outcome,
    /// If the frame is sent twice.
    pub(super) copy: Option<Outcome>,
}

/// What becomes of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Lost,
    /// As many are held as may be.
    OverLimit,
    Held(Sending),
}

/// When and how one of them is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) until: Instant,
    pub(super) flip: Option<Flip>,
    /// Before frames that are delayed.
    pub(super) is_early: bool,
}

/// A bit to flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    pub(super) byte: u32,
    pub(super) bit: u8,
}

/// A frame that comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Instant,
    pub(super) bytes: u32,
    /// Frames that may be held beside those that are.
    pub(super) room: u32,
}

impl Fate {
    /// Nothing is done to the frame.
    pub(super) fn at_once(now: Instant) -> Self {
        let frame = Outcome::Held(Sending {
            until: now,
            flip: None,
            is_early: false,
        });
        Self { frame, copy: None }
    }
}

impl Model {
    pub(super) fn new(impairment: &Impairment) -> Self {
        let mut random = Random::new(impairment.seed);
        let mut event = |chance: Option<Chance>| {
            let never = Chance {
                probability: Percent::NONE,
                correlation: Percent::NONE,
            };
            let chance = chance.unwrap_or(never);
            Event::new(chance.probability, chance.correlation, &mut random)
        };
        let (duplicate, corrupt) = (event(impairment.duplicate), event(impairment.corrupt));
        let reorder = impairment.reorder.map(|reorder| Reordering {
            event: event(Some(reorder.chance)),
            gap: reorder.gap,
            delayed: 0,
        });
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).expect("at most an hour");
        let delay = impairment.delay;
        Self {
            duplicate,
            loss: LossModel::new(impairment.loss, &mut random),
            corrupt,
            reorder,
            delay: Delays {
                mean: delay.map_or(0, |delay| nanoseconds(delay.time)),
                jitter: delay.map_or(0, |delay| nanoseconds(delay.jitter)),
                numbers: Correlated::new(
                    delay.map_or(Percent::NONE, |delay| delay.correlation),
                    &mut random,
                ),
                table: delay.and_then(|delay| delay.distribution.table()),
            },
            rate: impairment.rate,
            line_free: None,
            random,
        }
    }

    /// What becomes of the next frame.
    pub(super) fn next(&mut self, arrival: Arrival) -> Fate {
        let is_duplicated = self.duplicate.happens(&mut self.random);
        let is_lost = self.loss.loses(&mut self.random);
        match (is_duplicated, is_lost) {
            (false, true) => Fate {
                frame: Outcome::Lost,
                copy: None,
            },
            (true, false) => {
                let flip = self.flip(arrival.bytes);
                if arrival.room == 0 {
                    // Without its copy, as in the kernel.
                    return Fate {
                        frame: Outcome::OverLimit,
                        copy: None,
                    };
                }
                // The copy goes first, and takes the last room if there is no more.
                let copy = self.copy(arrival);
                let room = arrival.room - u32::from(matches!(copy, Outcome::Held(_)));
                let frame = if room == 0 {
                    Outcome::OverLimit
                } else {
                    self.held(arrival, flip)
                };
                Fate {
                    frame,
                    copy: Some(copy),
                }
            }
            (false, false) | (true, true) => Fate {
                frame: self.pass_limit(arrival),
                copy: None,
            },
        }
    }

    fn copy(&mut self, arrival: Arrival) -> Outcome {
        if self.loss.loses(&mut self.random) {
            return Outcome::Lost;
        }
        self.pass_limit(arrival)
    }

    fn pass_limit(&mut self, arrival: Arrival) -> Outcome {
        let flip = self.flip(arrival.bytes);
        if arrival.room == 0 {
            return Outcome::OverLimit;
        }
        self.held(arrival, flip)
    }

    fn flip(&mut self, bytes: u32) -> Option<Flip> {
        if bytes == 0 || !self.corrupt.happens(&mut self.random) {
            return None;
        }
        let byte = self.random.below(bytes);
        let bit = u8::try_from(self.random.below(8)).expect("below 8");
        Some(Flip { byte, bit })
    }

    fn held(&mut self, arrival: Arrival, flip: Option<Flip>) -> Outcome {
        let is_early = self.is_early();
        let until = if is_early {
            arrival.now
        } else {
            self.delayed(arrival)
        };
        Outcome::Held(Sending {
            until,
            flip,
            is_early,
        })
    }

    /// Whether the frame is sent before those that are delayed.
    fn is_early(&mut self) -> bool {
        let Some(reorder) = &mut self.reorder else {
            return false;
        };
        let may_be = reorder.delayed >= reorder.gap - 1;
        let is_early = may_be && reorder.event.happens(&mut self.random);
        reorder.delayed = if is_early {
            0
        } else {
            reorder.delayed.saturating_add(1)
        };
        is_early
    }

    fn delayed(&mut self, arrival: Arrival) -> Instant {
        let due = later(arrival.now, self.delay.next(&mut self.random));
        let Some(rate) = &self.rate else {
            return due;
        };
        let begins = self.line_free.map_or(due, |free| free.max(due));
        let ends = later(begins, rate.time_of(arrival.bytes));
        self.line_free = Some(ends);
        ends
    }
}

impl Delays {
    /// The next delay; a jitter may be larger than the delay, and what would be
    /// negative is none.
    fn next(&mut self, random: &mut Random) -> Duration {
        if self.jitter == 0 {
            return Duration::from_nanos(self.mean.unsigned_abs());
        }
        let number = self.numbers.number(random);
        let offset = match &self.table {
            None => {
                let width = 2 * i128::from(self.jitter);
                let place = (i128::from(number) * width) >> 32;
                i64::try_from(place).expect("at most two hours") - self.jitter
            }
            Some(table) => {
                let value = i64::from(table[number as usize % table.len()]);
                self.jitter / SCALE * value + self.jitter % SCALE * value / SCALE
            }
        };
        let delay = self.mean.saturating_add(offset).max(0);
        Duration::from_nanos(delay.unsigned_abs())
    }
}

/// A moment that is so much later; the same one if there is none so late.
fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u32 = 1_000_000;

    fn model(text: &str) -> Model {
        Model::new(&text.parse().expect(text))
    }

    /// When each of so many frames, which come `gap` apart, is sent after the first came.
    fn times(text: &str, frames: u32, gap: Duration) -> Vec<Duration> {
        let (mut model, start) = (model(text), Instant::now());
        let time = |number| {
            let now = start + gap * number;
            let fate = model.next(Arrival {
                now,
                bytes: 1250,
                room: PLENTY,
            });
            match fate.frame {
                Outcome::Held(sending) => sending.until - start,
                other => panic!("{other:?}"),
            }
        };
        (0..frames).map(time).collect()
    }

    fn outcomes(text: &str, frames: u32, room: u32) -> Vec<Fate> {
        let (mut model, now) = (model(text), Instant::now());
        let next = |_| {
            model.next(Arrival {
                now,
                bytes: 100,
                room,
            })
        };
        (0..frames).map(next).collect()
    }

    #[test]
    fn delay_alone_keeps_order_and_distance() {
        let gap = Duration::from_micros(10);

        let times = times("delay 50ms", 5000, gap);

        for (number, time) in (0..).zip(times) {
            assert_eq!(time, Duration::from_millis(50) + gap * number);
        }
    }

    #[test]
    fn jitter_scatters_around_the_delay() {
        for (text, widest) in [
            ("delay 20ms 2ms", 2000),
            ("delay 20ms 2ms distribution normal", 8000),
            ("delay 20ms 2ms distribution pareto", 8000),
            ("delay 20ms 2ms 50%", 2000),
        ] {
            let times = times(text, 20_000, Duration::ZERO);
            let mean = times.iter().sum::<Duration>() / 20_000;

            let off = |time: Duration| time.abs_diff(Duration::from_millis(20)).as_micros();
            assert!(off(mean) < 100, "{text}: {mean:?}");
            let most = times.iter().map(|time| off(*time)).max().unwrap_or(0);
            assert!((widest / 3..=widest).contains(&most), "{text}: {most}");
            assert!(!times.is_sorted(), "{text}");
        }
    }

    #[test]
    fn jitter_larger_than_the_delay_sends_some_at_once() {
        let times = times("delay 1ms 4ms", 1000, Duration::ZERO);

        let at_once = times.iter().filter(|time| time.is_zero()).count();
        assert!((200..600).contains(&at_once), "{at_once}");
    }

    #[test]
    fn rate_lets_frames_follow_each_other_in_order() {
        // 1250 bytes at 10 Mbit/s: a millisecond.
        let burst = times("rate 10mbit delay 5ms", 4, Duration::ZERO);
        assert_eq!(burst, [6, 7, 8, 9].map(Duration::from_millis));

        let sparse = times("rate 10mbit delay 5ms", 3, Duration::from_millis(10));
        assert_eq!(sparse, [6, 16, 26].map(Duration::from_millis));

        let jittery = times(
            "rate 10mbit delay 5ms 4ms",
            1000,
            Duration::from_micros(900),
        );
        assert!(jittery.is_sorted());
    }

    #[test]
    fn reordered_frames_go_before_those_that_are_delayed() {
        let times = times("delay 10ms reorder 100% gap 5", 20, Duration::ZERO);

        let early = |number: usize| number % 5 == 4;
        for (number, time) in times.into_iter().enumerate() {
            let expected = if early(number) { 0 } else { 10 };
            assert_eq!(time, Duration::from_millis(expected), "{number}");
        }
    }

    #[test]
    fn copies_are_sent_and_lost_for_themselves() {
        let all = outcomes("duplicate 100%", 10, PLENTY);
        let is_held = |outcome| matches!(outcome, Outcome::Held(_));
        assert!(all.iter().all(|fate| is_held(fate.frame)));
        assert!(all.iter().all(|fate| fate.copy.is_some_and(is_held)));

        let both = outcomes("duplicate 100% loss 100%", 10, PLENTY);
        assert!(
            both.iter()
                .all(|fate| is_held(fate.frame) && fate.copy.is_none())
        );
    }

    #[test]
    fn frames_beyond_the_room_are_dropped() {
        let none = outcomes("delay 1ms", 1, 0)[0];
        assert_eq!((none.frame, none.copy), (Outcome::OverLimit, None));

        let none = outcomes("duplicate 100%", 1, 0)[0];
        assert_eq!((none.frame, none.copy), (Outcome::OverLimit, None));

        let one = outcomes("duplicate 100%", 1, 1)[0];
        assert_eq!(one.frame, Outcome::OverLimit);
        assert!(matches!(one.copy, Some(Outcome::Held(_))));

        let lost = outcomes("loss 100%", 1, 0)[0];
        assert_eq!(lost.frame, Outcome::Lost);
    }

    #[test]
    fn corruption_flips_a_bit_of_the_frame() {
        let fates = outcomes("corrupt 100%", 1000, PLENTY);
        let flips = fates.iter().map(|fate| match fate.frame {
            Outcome::Held(Sending {
                flip: Some(flip), ..
            }) => flip,
            other => panic!("{other:?}"),
        });

        let (mut bytes, mut bits) = (0, 0);
        for flip in flips {
            assert!(flip.byte < 100 && flip.bit < 8);
            bytes = bytes.max(flip.byte);
            bits |= 1 << flip.bit;
        }
        assert!(bytes > 90 && bits == 0xff, "{bytes} {bits:#x}");
        let mut empty = model("corrupt 100%");
        let fate = empty.next(Arrival {
            now: Instant::now(),
            bytes: 0,
            room: 1,
        });
        assert!(matches!(
            fate.frame,
            Outcome::Held(Sending { flip: None, .. })
        ));
    }

    #[test]
    fn seed_repeats_what_becomes_of_frames() {
        let text = "delay 5ms 1ms loss 10% duplicate 10% corrupt 10% reorder 10% seed 9";
        let now = Instant::now();
        let fates = || {
            let mut model = model(text);
            let next = |_| {
                model.next(Arrival {
                    now,
                    bytes: 100,
                    room: 10,
                })
            };
            (0..1000).map(next).collect::<Vec<_>>()
        };

        assert_eq!(fates(), fates());
    }
}
