//! The steering of all of an engine's interfaces, and what their programs counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernel::InterfaceId;
use crate::runtime::stats::{QueueStats, XskStats};
use crate::steering::{QueueCounts, Steering};

/// The steering of each interface, in the builder's order. Workers never lock it.
#[derive(Debug, Default)]
pub(super) struct SteeringTable {
    steering: Mutex<Vec<Steering>>,
    /// The most queues that each interface was seen to have. Those beyond have no
    /// frames to count.
    queues: Mutex<Vec<u32>>,
}

impl SteeringTable {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Steering>> {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the frames of at least `queues` queues of an interface from now on.
    pub(super) fn count_queues(&self, InterfaceId(id): InterfaceId, queues: u32) {
        let mut seen = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let interfaces = seen.len().max(id + 1);
        seen.resize(interfaces, 0);
        seen[id] = seen[id].max(queues);
    }

    /// What the XDP programs counted, by queue. Fills in `xsks`, which are in order.
    pub(super) fn count(&self, xsks: &mut [XskStats]) -> Vec<QueueStats> {
        let seen = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queues = Vec::new();
        for (id, (steering, &seen)) in self.lock().iter().zip(&*seen).enumerate() {
            let stats = |queue, counts| QueueStats {
                interface: InterfaceId(id),
                queue,
                counts,
                ..QueueStats::default()
            };
            // A map that cannot be read counts as nothing steered; the frames then
            // show as unaccounted for.
            let slots = 0..seen.min(steering.queue_slots());
            let counted = slots.map(|queue| {
                let counts = steering.counts(queue).unwrap_or_default();
                stats(Some(queue), counts)
            });
            queues.extend(counted);
            let beyond = steering.counts_beyond().unwrap_or_default();
            if beyond != QueueCounts::default() {
                queues.push(stats(None, beyond));
            }
        }
        let same_queue = |one: &XskStats, other: &XskStats| {
            (one.interface, one.queue) == (other.interface, other.queue)
        };
        for xsks in xsks.chunk_by_mut(same_queue) {
            let (interface, queue) = (xsks[0].interface, Some(xsks[0].queue));
            let mut all = queues.iter_mut();
            if let Some(of) = all.find(|one| (one.interface, one.queue) == (interface, queue)) {
                of.worker = Some(xsks[0].worker);
                count_received(of.counts.redirected, xsks);
            }
        }
        queues
    }
}

/// Fills in which frames of a queue its xsks got. The programs do not count by xsk,
/// so the first has what the others cannot have got.
fn count_received(redirected: u64, xsks: &mut [XskStats]) {
    let Some((first, others)) = xsks.split_first_mut() else {
        return;
    };
    for xsk in others.iter_mut() {
        xsk.counters.frames_in = xsk.counters.received_or_dropped();
    }
    let elsewhere: u64 = others.iter().map(|xsk| xsk.counters.frames_in).sum();
    first.counters.frames_in = redirected.saturating_sub(elsewhere);
}
