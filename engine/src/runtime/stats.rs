//! Who counted what: the [`Counters`] of each xsk and what each worker did, in a
//! [`Snapshot`] while the engine runs, and the last one in the
//! [`Summary`](crate::Summary).

use std::time::Duration;

use crate::kernel::InterfaceId;
use crate::memory::Audit;
use crate::runtime::counters::Counters;
use crate::steering::{QueueCounts, RuleHits};
use crate::xsk::{XskLimits, XskUsage};

/// One xsk of one queue of one interface, and its counters; most queues have one
/// xsk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XskStats {
    /// The interface, in the builder's order.
    pub interface: InterfaceId,
    /// The queue's index on the interface.
    pub queue: u32,
    /// Which of the queue's xsks, from 0.
    pub xsk: u8,
    /// The worker that drives the queue.
    pub worker: usize,
    /// What was counted since the engine started.
    pub counters: Counters,
    /// The limits in force.
    pub limits: XskLimits,
    /// What is used of them.
    pub usage: XskUsage,
}

/// One queue of one interface, and what the XDP program decided for its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The interface, in the builder's order.
    pub interface: InterfaceId,
    /// The queue's index on the interface; `None` stands for all queues that have no
    /// slot in the program, which counts them together.
    pub queue: Option<u32>,
    /// The worker that drives the queue; `None` where no xsk is bound to it.
    pub worker: Option<usize>,
    /// What was counted since the engine started.
    pub counts: QueueCounts,
}

impl QueueStats {
    /// Whether frames went elsewhere than to an xsk.
    pub(crate) fn has_others(&self) -> bool {
        self.counts.frames() != self.counts.redirected
    }

    /// What of the counts belongs to the queue and to none of its xsks.
    fn counters(&self) -> Counters {
        let counts = &self.counts;
        Counters {
            frames_passed: counts.passed + counts.passed_no_xsk,
            frames_passed_no_xsk: counts.passed_no_xsk,
            frames_dropped_by_rule: counts.dropped,
            frames_dropped_no_xsk: counts.dropped_no_xsk,
            ..Counters::default()
        }
    }
}

/// The counters of one worker since the engine started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker, from 0.
    pub worker: usize,
    /// The CPU the worker is pinned to.
    pub cpu: Option<usize>,
    /// CPU time the worker's thread used (user and system).
    pub cpu_time: Duration,
    /// Rounds of the loop.
    pub rounds: u64,
    /// Times the worker went to sleep in `poll(2)`.
    pub sleeps: u64,
    /// Ring entries from the kernel that failed a check. Not zero is a bug in
    /// the kernel, a driver or Wharf.
    pub violations: u64,
}

/// All counters at one moment.
///
/// Workers publish theirs once a round, so the counters of different workers,
/// and of the kernel, are from slightly different moments while traffic runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Time since the engine started.
    pub elapsed: Duration,
    /// One entry per xsk, ordered by interface, then queue, then xsk.
    pub xsks: Vec<XskStats>,
    /// One entry per queue that each interface has or had, with or without xsks, in
    /// the same order, and one for those without a slot if it is not zero.
    pub queues: Vec<QueueStats>,
    /// One entry per worker.
    pub workers: Vec<WorkerStats>,
}

impl Snapshot {
    /// The sums over all xsks and queues.
    #[must_use]
    pub fn totals(&self) -> Counters {
        self.sum(|_| true)
    }

    /// The sums over the xsks and queues of one interface.
    #[must_use]
    pub fn interface_totals(&self, interface: InterfaceId) -> Counters {
        self.sum(|of| of == interface)
    }

    fn sum(&self, is_wanted: impl Fn(InterfaceId) -> bool) -> Counters {
        let xsks = self.xsks.iter().filter(|xsk| is_wanted(xsk.interface));
        let queues = self.queues.iter().filter(|one| is_wanted(one.interface));
        let xsks: Counters = xsks.map(|xsk| &xsk.counters).sum();
        [xsks]
            .into_iter()
            .chain(queues.map(QueueStats::counters))
            .sum()
    }

    /// The sums over the xsks of one worker.
    #[must_use]
    pub fn worker_totals(&self, worker: usize) -> Counters {
        let xsks = self.xsks.iter();
        let of_worker = xsks.filter(|xsk| xsk.worker == worker);
        of_worker.map(|xsk| &xsk.counters).sum()
    }
}

/// What a stopped engine leaves: its last counters and where every chunk was.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The last counters, exact.
    pub stats: Snapshot,
    /// Frames by what decided about them, for each interface in the builder's
    /// order; the last counts, too. Empty when the kernel could not be asked.
    pub rule_hits: Vec<RuleHits>,
    /// One audit per worker's UMEM, taken before its queues were closed.
    pub audits: Vec<Audit>,
    /// Workers that the engine had.
    pub workers: usize,
    /// Why the engine stopped: `Ok` when it was asked to, else the first error.
    pub outcome: Result<(), crate::Error>,
}

/// The summary of a run without workers, interfaces or frames.
impl Default for Summary {
    fn default() -> Self {
        Self {
            stats: Snapshot::default(),
            rule_hits: Vec::new(),
            audits: Vec::new(),
            workers: 0,
            outcome: Ok(()),
        }
    }
}

impl Summary {
    /// Whether every worker has an audit that balances, and every frame is
    /// accounted for: sent, dropped for a reason, or still held by the
    /// application.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let held: u64 = self.audits.iter().map(Audit::held).sum();
        self.audits.len() == self.workers
            && self.audits.iter().all(Audit::is_balanced)
            && self.stats.totals().unaccounted() == i128::from(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::drops::DropReason;

    #[test]
    fn run_is_the_sum_of_its_interfaces_and_of_its_workers() {
        let xsk = |interface, worker, frames: u64| {
            let mut counters = Counters {
                frames_in: frames,
                frames_made: 1,
                tx_frames: frames - 1,
                ..Counters::default()
            };
            counters.drops.set(DropReason::Application, 2);
            counters.kernel.rx_ring_full = frames;
            XskStats {
                interface: InterfaceId(interface),
                worker,
                counters,
                ..XskStats::default()
            }
        };
        let snapshot = Snapshot {
            xsks: vec![xsk(0, 0, 10), xsk(0, 1, 200), xsk(1, 1, 3000)],
            ..Snapshot::default()
        };

        let totals = snapshot.totals();

        assert_eq!((totals.frames_in, totals.frames_made), (3210, 3));
        assert_eq!(totals.drops.get(DropReason::Application), 6);
        assert_eq!(totals.kernel.rx_ring_full, 3210);
        assert_eq!(totals.unaccounted(), 0);
        let interfaces = (0..2).map(|id| snapshot.interface_totals(InterfaceId(id)));
        let workers = (0..2).map(|worker| snapshot.worker_totals(worker));
        assert_eq!(interfaces.clone().sum::<Counters>(), totals);
        assert_eq!(workers.clone().sum::<Counters>(), totals);
        let frames_in =
            |sums: Vec<Counters>| -> Vec<_> { sums.iter().map(|sum| sum.frames_in).collect() };
        assert_eq!(frames_in(interfaces.collect()), [210, 3000]);
        assert_eq!(frames_in(workers.collect()), [10, 3200]);
    }

    #[test]
    fn queues_without_xsks_count_for_their_interface() {
        let queue = |interface, queue, passed_no_xsk| QueueStats {
            interface: InterfaceId(interface),
            queue,
            counts: QueueCounts {
                redirected: 1,
                passed: 2,
                dropped: 3,
                passed_no_xsk,
                dropped_no_xsk: 4,
            },
            ..QueueStats::default()
        };
        let snapshot = Snapshot {
            queues: vec![
                queue(0, Some(0), 0),
                queue(1, Some(0), 5),
                queue(1, None, 50),
            ],
            ..Snapshot::default()
        };

        let (here, there) = (
            snapshot.interface_totals(InterfaceId(0)),
            snapshot.interface_totals(InterfaceId(1)),
        );

        assert_eq!(here.frames_in, 0, "an xsk has those");
        assert_eq!((here.frames_passed, here.frames_passed_no_xsk), (2, 0));
        assert_eq!((there.frames_passed, there.frames_passed_no_xsk), (59, 55));
        assert_eq!(there.frames_dropped_by_rule, 6);
        assert_eq!(snapshot.totals().frames_dropped_no_xsk, 12);
    }
}
