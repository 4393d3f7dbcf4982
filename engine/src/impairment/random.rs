//! Random numbers, and those that depend on the one before.

use super::percent::Percent;

/// A generator of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(fastrand::Rng);

impl Random {
    /// The numbers of `seed`: the same again with the same seed. Others without.
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed))
    }

    pub(super) fn number(&mut self) -> u32 {
        self.0.u32(..)
    }

    /// A number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.0.u32(..end)
    }
}

/// Random numbers of one purpose, each of which may depend on the one before.
///
/// As in the kernel, a correlated number is the mean of a fresh one and the one before
/// it, weighted (`get_crandom` in net/sched/sch_netem.c). So it is seldom near the ends
/// of its range, and small probabilities with a large correlation come true less often
/// than they say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlated {
    weight: u32,
    last: u32,
}

impl Correlated {
    pub(super) fn new(correlation: Percent, random: &mut Random) -> Self {
        Self {
            weight: correlation.threshold(),
            last: random.number(),
        }
    }

    pub(super) fn number(&mut self, random: &mut Random) -> u32 {
        let fresh = random.number();
        if self.weight == 0 {
            return fresh;
        }
        let weight = u64::from(self.weight) + 1;
        let rest = (1 << 32) - weight;
        let mean = (u128::from(fresh) * u128::from(rest)
            + u128::from(self.last) * u128::from(weight))
            >> 32;
        self.last = u32::try_from(mean).unwrap_or(u32::MAX);
        self.last
    }
}

/// Whether something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    threshold: u32,
    numbers: Correlated,
}

impl Event {
    pub(super) fn new(probability: Percent, correlation: Percent, random: &mut Random) -> Self {
        Self {
            threshold: probability.threshold(),
            numbers: Correlated::new(correlation, random),
        }
    }

    pub(super) fn happens(&mut self, random: &mut Random) -> bool {
        self.threshold != 0 && self.threshold >= self.numbers.number(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(percent: f64) -> Percent {
        Percent::new(percent).expect("a share")
    }

    #[test]
    fn events_come_as_often_as_they_are_likely() {
        let mut random = Random::new(Some(1));
        for likely in [0.0, 0.5, 20.0, 100.0] {
            let mut event = Event::new(percent(likely), Percent::NONE, &mut random);

            let happened = (0..100_000).filter(|_| event.happens(&mut random)).count();

            let expected = likely * 1000.0;
            assert!(
                (happened as f64 - expected).abs() <= expected * 0.15,
                "{happened} of {expected}"
            );
        }
    }

    #[test]
    fn correlated_numbers_are_near_the_one_before() {
        let mut random = Random::new(Some(2));
        let mut numbers = Correlated::new(percent(90.0), &mut random);
        let mut last = numbers.number(&mut random);
        for _ in 0..1000 {
            let next = numbers.number(&mut random);
            assert!(next.abs_diff(last) <= u32::MAX / 9, "{last} {next}");
            last = next;
        }
        let mut same = Correlated::new(Percent::ALL, &mut random);
        let first = same.number(&mut random);
        assert_eq!(same.number(&mut random), first);
    }

    #[test]
    fn seed_repeats_the_numbers() {
        let numbers = |seed| {
            let mut random = Random::new(Some(seed));
            [(); 8].map(|()| random.number())
        };

        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }
}
