//! What steering is asked for.

use crate::kernel::privileges::Reading;
use crate::steering::rules::RuleSet;

/// What [`Steering::attach`](super::Steering::attach) is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SteeringConfig {
    /// What becomes of frames; all go to the xsk of their queue by default.
    pub rules: RuleSet,
    /// The most exact flows there will be, 0 by default. Each takes memory only
    /// when it comes, but room for a million takes 16 MiB at once. Cannot be
    /// changed later.
    pub flow_capacity: u32,
    /// Slots for xsks that each queue has, 1 by default. Cannot be changed later.
    pub xsks_per_queue: u8,
    /// Whether frames that the host itself lives on go to the kernel, whatever
    /// flows and rules say; not so by default. Cannot be changed later.
    pub keep_management: bool,
}

impl Default for SteeringConfig {
    fn default() -> Self {
        Self {
            rules: RuleSet::everything(),
            flow_capacity: 0,
            xsks_per_queue: 1,
            keep_management: false,
        }
    }
}

impl SteeringConfig {
    /// Whether frames have to be read.
    pub(crate) fn reading(&self) -> Reading {
        let plain = self.rules.rules.is_empty() && self.flow_capacity == 0 && !self.keep_management;
        if plain {
            Reading::None
        } else {
            Reading::Frames
        }
    }

    /// Frames go where `rules` say.
    #[must_use]
    pub fn new(rules: RuleSet) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }
}

/// Addresses of the host's own that there is room for.
pub(super) const OWN_ADDRESSES: u32 = 4096;
