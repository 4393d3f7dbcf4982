//! Percentages, as probabilities and as correlations.

use std::fmt;

/// A share in percent, from 0 to 100: how likely something is, or how much a random
/// number depends on the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// Never; not at all.
    pub const NONE: Self = Self(0.0);
    /// Always.
    pub const ALL: Self = Self(100.0);

    /// `percent`, or `None` if it is not from 0 to 100.
    #[must_use]
    pub fn new(percent: f64) -> Option<Self> {
        // Minus zero would be shown with its sign.
        (0.0..=100.0)
            .contains(&percent)
            .then_some(Self(percent + 0.0))
    }

    /// The number before the sign.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// What is left to 100 %.
    pub(super) fn rest(self) -> Self {
        Self(100.0 - self.0)
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The share of the range of 32-bit numbers, as the kernel has it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the largest u32"
    )]
    pub(super) fn threshold(self) -> u32 {
        (self.0 / 100.0 * f64::from(u32::MAX)).round() as u32
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_beyond_the_whole_are_none() {
        for percent in [-0.001, 100.001, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(percent), None);
        }
        assert_eq!(Percent::new(-0.0).expect("zero").to_string(), "0%");
        assert_eq!(Percent::ALL.threshold(), u32::MAX);
        assert_eq!(Percent::NONE.threshold(), 0);
    }
}
