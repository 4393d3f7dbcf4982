//! Which frames are lost: at random, or as a Markov chain says.

use super::random::{Event, Random};
use super::settings::{Chance, Loss};

/// Decides frame by frame.
#[derive(Clone, Debug)]
pub(super) enum LossModel {
    None,
    Random(Event),
    /// See [`Loss::State`].
    State {
        state: State,
        p13: u32,
        p31: u32,
        p32: u32,
        p23: u32,
        p14: u32,
    },
    /// See [`Loss::GilbertElliott`].
    GilbertElliott {
        is_bad: bool,
        to_bad: u32,
        to_good: u32,
        lost_in_bad: u32,
        lost_in_good: u32,
    },
}

/// The four states, numbered as in the probabilities' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// 1: nothing is lost.
    Good,
    /// 2: nothing is lost, between losses that come in a row.
    GoodInBad,
    /// 3: losses in a row.
    Bad,
    /// 4: a single loss.
    BadInGood,
}

impl LossModel {
    pub(super) fn new(loss: Option<Loss>, random: &mut Random) -> Self {
        match loss {
            None => Self::None,
            Some(Loss::Random(Chance {
                probability,
                correlation,
            })) => Self::Random(Event::new(probability, correlation, random)),
            Some(Loss::State {
                p13,
                p31,
                p32,
                p23,
                p14,
            }) => Self::State {
                state: State::Good,
                p13: p13.threshold(),
                p31: p31.threshold(),
                p32: p32.threshold(),
                p23: p23.threshold(),
                p14: p14.threshold(),
            },
            Some(Loss::GilbertElliott {
                to_bad,
                to_good,
                lost_in_bad,
                lost_in_good,
            }) => Self::GilbertElliott {
                is_bad: false,
                to_bad: to_bad.threshold(),
                to_good: to_good.threshold(),
                lost_in_bad: lost_in_bad.threshold(),
                lost_in_good: lost_in_good.threshold(),
            },
        }
    }

    /// Whether the next frame is lost.
    pub(super) fn loses(&mut self, random: &mut Random) -> bool {
        match self {
            Self::None => false,
            Self::Random(event) => event.happens(random),
            Self::State {
                state,
                p13,
                p31,
                p32,
                p23,
                p14,
            } => {
                let number = random.number();
                let is_lost;
                (*state, is_lost) = match state {
                    State::Good if number < *p14 => (State::BadInGood, true),
                    State::Good if number < p13.saturating_add(*p14) => (State::Bad, true),
                    State::Good => (State::Good, false),
                    State::GoodInBad if number < *p23 => (State::Bad, true),
                    State::GoodInBad => (State::GoodInBad, false),
                    State::Bad if number < *p32 => (State::GoodInBad, false),
                    State::Bad if number < p31.saturating_add(*p32) => (State::Good, false),
                    State::Bad => (State::Bad, true),
                    State::BadInGood => (State::Good, false),
                };
                is_lost
            }
            Self::GilbertElliott {
                is_bad,
                to_bad,
                to_good,
                lost_in_bad,
                lost_in_good,
            } => {
                // As in the kernel, the state in which the frame came decides.
                let was_bad = *is_bad;
                let (leaves, loses) = if was_bad {
                    (*to_good, *lost_in_bad)
                } else {
                    (*to_bad, *lost_in_good)
                };
                if happens(leaves, random) {
                    *is_bad = !was_bad;
                }
                happens(loses, random)
            }
        }
    }
}

fn happens(threshold: u32, random: &mut Random) -> bool {
    let number = random.number();
    number < threshold || threshold == u32::MAX
}

#[cfg(test)]
mod tests {
    use super::super::settings::Impairment;
    use super::*;

    /// Which of so many frames are lost.
    fn losses(text: &str, frames: usize) -> Vec<bool> {
        let impairment: Impairment = text.parse().expect(text);
        let mut random = Random::new(Some(3));
        let mut model = LossModel::new(impairment.loss, &mut random);
        (0..frames).map(|_| model.loses(&mut random)).collect()
    }

    fn share(losses: &[bool]) -> f64 {
        losses.iter().filter(|lost| **lost).count() as f64 / losses.len() as f64
    }

    /// The mean length of losses in a row.
    fn mean_burst(losses: &[bool]) -> f64 {
        let bursts = losses.chunk_by(|one, next| one == next);
        let lost: Vec<_> = bursts.filter(|burst| burst[0]).map(<[_]>::len).collect();
        lost.iter().sum::<usize>() as f64 / lost.len() as f64
    }

    #[test]
    fn chains_lose_the_share_that_their_probabilities_make() {
        // Of the time in the bad state, p / (p + r).
        let cases = [
            ("loss gemodel 1% 10%", 1.0 / 11.0, 10.0),
            ("loss state 1% 10%", 1.0 / 11.0, 10.0),
            ("loss gemodel 1%", 0.01, 1.0),
            ("loss state 0% 100% 0% 100% 5%", 0.05 / 1.05, 1.0),
        ];
        for (text, expected, burst) in cases {
            let losses = losses(text, 400_000);
            let share = share(&losses);

            assert!(
                (share - expected).abs() < expected * 0.15,
                "{text}: {share}"
            );
            let mean = mean_burst(&losses);
            assert!((mean - burst).abs() < burst * 0.15, "{text}: {mean}");
        }
    }

    #[test]
    fn certain_probabilities_are_certain() {
        assert!(losses("loss 100%", 1000).iter().all(|lost| *lost));
        assert!(
            losses("loss gemodel 100% 0% 100% 100%", 1000)
                .iter()
                .all(|lost| *lost)
        );
        assert!(losses("loss 0%", 1000).iter().all(|lost| !*lost));
        let in_bad = losses("loss gemodel 100% 0%", 1000);
        assert!(!in_bad[0] && in_bad[1..].iter().all(|lost| *lost));
    }
}
