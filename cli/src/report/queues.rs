//! What the XDP program decided, queue by queue.

use serde::Serialize;
use wharf::{QueueCounts, QueueStats, Snapshot};

use super::setup::Setup;

/// A queue of an interface, whether a worker drives it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    pub interface: String,
    /// `None` stands for all queues that the program does not tell apart.
    pub queue: Option<u32>,
    /// `None` where no socket is bound to it.
    pub worker: Option<usize>,
    pub frames_in: u64,
    pub frames_passed: u64,
    /// Of those, frames that were to go to a socket that is not there.
    pub frames_passed_no_xsk: u64,
    pub frames_dropped_by_rule: u64,
    pub frames_dropped_no_xsk: u64,
}

/// All queues, from `before` to `now`.
pub fn queues_between(setup: &Setup, before: &Snapshot, now: &Snapshot) -> Vec<Queue> {
    let queues = now.queues.iter();
    queues
        .map(|queue| {
            let same =
                |one: &&QueueStats| (one.interface, one.queue) == (queue.interface, queue.queue);
            let earlier = before.queues.iter().find(same);
            let earlier = earlier.map(|one| one.counts).unwrap_or_default();
            let name = setup.interface_name(queue.interface);
            Queue::new(name, queue, &earlier)
        })
        .collect()
}

impl Queue {
    fn new(interface: String, queue: &QueueStats, earlier: &QueueCounts) -> Self {
        let counts = &queue.counts;
        let passed_no_xsk = counts.passed_no_xsk.saturating_sub(earlier.passed_no_xsk);
        Self {
            interface,
            queue: queue.queue,
            worker: queue.worker,
            frames_in: counts.redirected.saturating_sub(earlier.redirected),
            frames_passed: counts.passed.saturating_sub(earlier.passed) + passed_no_xsk,
            frames_passed_no_xsk: passed_no_xsk,
            frames_dropped_by_rule: counts.dropped.saturating_sub(earlier.dropped),
            frames_dropped_no_xsk: counts.dropped_no_xsk.saturating_sub(earlier.dropped_no_xsk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::setup::tests::setup;
    use super::*;

    #[test]
    fn queue_holds_what_came_on_top_of_the_same_queue() {
        let stats = |queue, redirected, passed_no_xsk| {
            let mut stats = QueueStats::default();
            stats.queue = queue;
            stats.counts.redirected = redirected;
            stats.counts.passed_no_xsk = passed_no_xsk;
            stats
        };
        let snapshot = |queues| {
            let mut snapshot = Snapshot::default();
            snapshot.queues = queues;
            snapshot
        };
        let before = snapshot(vec![stats(Some(0), 10, 0)]);
        let now = snapshot(vec![stats(Some(0), 15, 0), stats(Some(1), 4, 3)]);

        let queues = queues_between(&setup(), &before, &now);

        let counted = queues.iter();
        let counted = counted.map(|one| (one.queue, one.frames_in, one.frames_passed_no_xsk));
        assert_eq!(
            counted.collect::<Vec<_>>(),
            [(Some(0), 5, 0), (Some(1), 4, 3)]
        );
    }
}
