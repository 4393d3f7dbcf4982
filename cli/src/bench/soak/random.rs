//! Numbers that look random, the same for a seed.

/// A sequence (xorshift64*, Vigna 2016).
pub struct Random(u64);

impl Random {
    /// The sequence of a seed. `stream` tells those of one seed apart.
    pub fn new(seed: u64, stream: u64) -> Self {
        let start = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(start.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        u32::try_from((high * u64::from(limit)) >> 32).unwrap_or_default()
    }

    /// Whether something happens that does so `times` in a hundred.
    pub fn percent(&mut self, times: u32) -> bool {
        self.below(100) < times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_the_same_for_a_seed_and_another_for_another() {
        let numbers = |seed, stream| -> Vec<_> {
            let mut random = Random::new(seed, stream);
            (0..8).map(|_| random.below(1000)).collect()
        };

        assert_eq!(numbers(1, 0), numbers(1, 0));
        assert_ne!(numbers(1, 0), numbers(2, 0));
        assert_ne!(numbers(1, 0), numbers(1, 1));
        assert!(numbers(0, 0).iter().all(|number| *number < 1000));
    }
}
