//! The steering of all of an engine's interfaces, and what their programs counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernel::InterfaceId;
use crate::runtime::stats::XskStats;
use crate::steering::Steering;

/// The steering of each interface, in the builder's order. Workers never lock it.
#[derive(Debug, Default)]
pub(super) struct SteeringTable(Mutex<Vec<Steering>>);

impl SteeringTable {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Steering>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in what the XDP programs counted. `xsks` are in order.
    pub(super) fn count(&self, xsks: &mut [XskStats]) {
        let steering = self.lock();
        let same_queue = |one: &XskStats, other: &XskStats| {
            (one.interface, one.queue) == (other.interface, other.queue)
        };
        for xsks in xsks.chunk_by_mut(same_queue) {
            count_queue(&steering, xsks);
        }
    }
}

/// Fills in what was counted for a queue. The programs do not count by xsk,
/// so the first has what the others cannot have got.
fn count_queue(steering: &[Steering], xsks: &mut [XskStats]) {
    let Some((first, others)) = xsks.split_first_mut() else {
        return;
    };
    for xsk in others.iter_mut() {
        xsk.counters.frames_in = xsk.counters.received_or_dropped();
    }
    let elsewhere: u64 = others.iter().map(|xsk| xsk.counters.frames_in).sum();
    let InterfaceId(id) = first.interface;
    // A map that cannot be read counts as nothing steered; the frames
    // then show as unaccounted for.
    if let Ok(counts) = steering[id].counts(first.queue) {
        let first = &mut first.counters;
        first.frames_in = counts.redirected.saturating_sub(elsewhere);
        first.frames_passed = counts.passed + counts.passed_no_xsk;
        first.frames_passed_no_xsk = counts.passed_no_xsk;
        first.frames_dropped_by_rule = counts.dropped;
    }
}
