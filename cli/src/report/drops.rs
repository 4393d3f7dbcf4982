//! Dropped frames by reason.

use serde::{Serialize, Serializer};
use wharf::{DropReason, Drops};

/// Frames dropped for each [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// The count that `frames` returns for each reason.
    pub fn from_fn(frames: impl Fn(DropReason) -> u64) -> Self {
        Self(DropReason::ALL.map(frames))
    }

    /// What came on top of `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|i| {
            self.0[i].saturating_sub(earlier.0[i])
        }))
    }

    /// Frames dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each reason with its count, zero counts included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.0)
    }
}

impl From<&Drops> for DropCounts {
    fn from(drops: &Drops) -> Self {
        Self::from_fn(|reason| drops.get(reason))
    }
}

/// A map from every reason's label to its count.
impl Serialize for DropCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(reason, frames)| (reason.label(), frames)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_in_the_json_even_at_zero() {
        let drops = DropCounts::from_fn(|reason| u64::from(reason == DropReason::TxKernel) * 7);

        let json = serde_json::to_value(drops).expect("plain numbers");

        assert_eq!(
            json.as_object().map(serde_json::Map::len),
            Some(DropReason::ALL.len())
        );
        assert_eq!(json["tx_kernel"], 7);
        assert_eq!(json["rx_ring_full"], 0);
    }

    #[test]
    fn since_takes_each_reason_on_its_own() {
        let earlier = DropCounts::from_fn(|_| 1);
        let now = DropCounts::from_fn(|reason| 1 + u64::from(reason == DropReason::Application));

        let between = now.since(&earlier);

        assert_eq!(between.total(), 1);
    }
}
