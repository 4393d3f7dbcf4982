//! What happened between two snapshots of the engine's counters.

use std::time::Duration;

use serde::Serialize;
use wharf::{InterfaceId, Snapshot, WorkerStats};

use super::drops::DropCounts;
use super::queues::{Queue, queues_between};
use super::setup::Setup;
use super::usage::{Usage, usage};
use crate::control::ImpairmentEntry;
use crate::forwarder::DIRECTIONS;

/// A part of the run, a second unless asked otherwise, or what was left at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Since the engine started.
    pub elapsed_seconds: f64,
    /// Since the interval before.
    pub interval_seconds: f64,
    /// First interface to second, and back.
    pub directions: Vec<Direction>,
    pub queues: Vec<Queue>,
    /// What is used of the limits on packet memory.
    pub xsks: Vec<Usage>,
    pub workers: Vec<WorkerLoad>,
    /// What impairments did.
    pub impairments: Vec<ImpairmentEntry>,
}

/// What went one way through the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    pub from: String,
    pub to: String,
    #[serde(flatten)]
    pub counts: DirectionCounts,
    /// Frames that came in, per second.
    pub frames_in_per_second: f64,
    /// Frames that went out, per second.
    pub frames_out_per_second: f64,
    /// Frames that were left to the kernel's stack, per second.
    pub frames_passed_per_second: f64,
    /// Frames that rules dropped or that got lost, per second.
    pub frames_dropped_per_second: f64,
    /// Sent, without the frame check sequence.
    pub gbit_per_second: f64,
    pub dropped_frames: u64,
    pub drops: DropCounts,
}

/// The counters of the receiving interface's RX side and of the sending
/// interface's TX side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectionCounts {
    /// Frames the XDP program steered to the engine.
    pub frames_in: u64,
    /// Of those, frames the engine took from the kernel.
    pub rx_frames: u64,
    pub rx_bytes: u64,
    /// Frames that had to wait because the application held too many.
    pub rx_held_back: u64,
    /// Frames that were copied because it held too many.
    pub rx_copied_out: u64,
    /// Times that it held too many.
    pub limit_reached: u64,
    /// Frames the kernel took to send and did not drop.
    pub tx_frames: u64,
    /// Bytes handed to the kernel to send.
    pub tx_bytes: u64,
    /// Of those taken, frames that the application passed to the kernel's stack; the
    /// forwarder passes none.
    pub frames_passed_by_application: u64,
    /// Frames the XDP program left to the kernel's stack.
    pub frames_passed: u64,
    /// Of those, frames that were to go to a socket that is not there.
    pub frames_passed_no_xsk: u64,
    /// Frames the XDP program dropped because a rule says so.
    pub frames_dropped_by_rule: u64,
    /// Frames the XDP program dropped because the socket that they were to go to is
    /// not there.
    pub frames_dropped_no_xsk: u64,
}

/// How busy a worker was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerLoad {
    pub worker: usize,
    pub cpu: Option<usize>,
    /// Of one CPU.
    pub cpu_percent: f64,
}

impl Interval {
    /// What `now` has on top of `before`.
    pub fn between(setup: &Setup, before: &Snapshot, now: &Snapshot) -> Self {
        let interval = now.elapsed.saturating_sub(before.elapsed);
        Self {
            elapsed_seconds: now.elapsed.as_secs_f64(),
            interval_seconds: interval.as_secs_f64(),
            directions: directions_between(setup, before, now),
            queues: queues_between(setup, before, now),
            xsks: usage(setup, now),
            workers: now
                .workers
                .iter()
                .map(|worker| WorkerLoad::between(before, worker, interval))
                .collect(),
            impairments: Vec::new(),
        }
    }

    /// The same with what impairments did.
    pub fn impaired(self, impairments: Vec<ImpairmentEntry>) -> Self {
        Self {
            impairments,
            ..self
        }
    }
}

/// Both ways through the wire, from `before` to `now`.
pub fn directions_between(setup: &Setup, before: &Snapshot, now: &Snapshot) -> Vec<Direction> {
    let interval = now.elapsed.saturating_sub(before.elapsed);
    DIRECTIONS
        .into_iter()
        .map(|(from, to)| {
            let names = (setup.interface_name(from), setup.interface_name(to));
            Direction::new(
                names,
                &sums(before, from, to),
                &sums(now, from, to),
                interval,
            )
        })
        .collect()
}

type Sums = (DirectionCounts, DropCounts);

fn sums(snapshot: &Snapshot, from: InterfaceId, to: InterfaceId) -> Sums {
    let (source, sink) = (
        snapshot.interface_totals(from),
        snapshot.interface_totals(to),
    );
    let counts = DirectionCounts {
        frames_in: source.frames_in,
        rx_frames: source.rx_frames,
        rx_bytes: source.rx_bytes,
        rx_held_back: source.rx_held_back,
        rx_copied_out: source.rx_copied_out,
        limit_reached: source.limit_reached,
        tx_frames: sink.tx_frames,
        tx_bytes: sink.tx_bytes,
        frames_passed_by_application: source.frames_passed_by_application,
        frames_passed: source.frames_passed,
        frames_passed_no_xsk: source.frames_passed_no_xsk,
        frames_dropped_by_rule: source.frames_dropped_by_rule,
        frames_dropped_no_xsk: source.frames_dropped_no_xsk,
    };
    let drops = DropCounts::from_fn(|reason| {
        let side = if reason.is_on_the_way_in() {
            &source
        } else {
            &sink
        };
        side.drops.get(reason)
    });
    (counts, drops)
}

impl Direction {
    fn new((from, to): (String, String), before: &Sums, now: &Sums, interval: Duration) -> Self {
        let counts = now.0.since(&before.0);
        let drops = now.1.since(&before.1);
        Self {
            from,
            to,
            counts,
            frames_in_per_second: per_second(counts.frames_in, interval),
            frames_out_per_second: per_second(counts.tx_frames, interval),
            frames_passed_per_second: per_second(counts.frames_passed, interval),
            frames_dropped_per_second: per_second(
                counts.frames_dropped_by_rule + counts.frames_dropped_no_xsk + drops.total(),
                interval,
            ),
            gbit_per_second: per_second(counts.tx_bytes, interval) * 8.0 / 1e9,
            dropped_frames: drops.total(),
            drops,
        }
    }
}

impl DirectionCounts {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            frames_in: self.frames_in.saturating_sub(earlier.frames_in),
            rx_frames: self.rx_frames.saturating_sub(earlier.rx_frames),
            rx_bytes: self.rx_bytes.saturating_sub(earlier.rx_bytes),
            rx_held_back: self.rx_held_back.saturating_sub(earlier.rx_held_back),
            rx_copied_out: self.rx_copied_out.saturating_sub(earlier.rx_copied_out),
            limit_reached: self.limit_reached.saturating_sub(earlier.limit_reached),
            tx_frames: self.tx_frames.saturating_sub(earlier.tx_frames),
            tx_bytes: self.tx_bytes.saturating_sub(earlier.tx_bytes),
            frames_passed_by_application: self
                .frames_passed_by_application
                .saturating_sub(earlier.frames_passed_by_application),
            frames_passed: self.frames_passed.saturating_sub(earlier.frames_passed),
            frames_passed_no_xsk: self
                .frames_passed_no_xsk
                .saturating_sub(earlier.frames_passed_no_xsk),
            frames_dropped_by_rule: self
                .frames_dropped_by_rule
                .saturating_sub(earlier.frames_dropped_by_rule),
            frames_dropped_no_xsk: self
                .frames_dropped_no_xsk
                .saturating_sub(earlier.frames_dropped_no_xsk),
        }
    }
}

impl WorkerLoad {
    fn between(before: &Snapshot, now: &WorkerStats, interval: Duration) -> Self {
        let cpu_time_before = before
            .workers
            .iter()
            .find(|worker| worker.worker == now.worker)
            .map_or(Duration::ZERO, |worker| worker.cpu_time);
        let cpu_time = now.cpu_time.saturating_sub(cpu_time_before);
        Self {
            worker: now.worker,
            cpu: now.cpu,
            cpu_percent: share(cpu_time, interval) * 100.0,
        }
    }
}

/// `count` per second of `interval`. Counts this high lose less than a millionth as floating point.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for display needs no 53 bits"
)]
pub fn per_second(count: u64, interval: Duration) -> f64 {
    if interval.is_zero() {
        0.0
    } else {
        count as f64 / interval.as_secs_f64()
    }
}

fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        0.0
    } else {
        part.as_secs_f64() / whole.as_secs_f64()
    }
}

#[cfg(test)]
pub mod tests {
    use wharf::{QueueStats, XskStats};

    use super::*;
    use crate::report::setup::tests::setup;

    /// Both interfaces after `seconds`, with `frames` of 100 bytes each that
    /// went from the first to the second.
    pub fn snapshot(seconds: u64, frames: u64) -> Snapshot {
        let (mut first, mut second) = (XskStats::default(), XskStats::default());
        first.interface = InterfaceId(0);
        first.counters.frames_in = frames;
        first.counters.rx_frames = frames;
        first.counters.rx_bytes = frames * 100;
        second.interface = InterfaceId(1);
        second.counters.tx_frames = frames;
        second.counters.tx_bytes = frames * 100;
        let mut worker = WorkerStats::default();
        worker.cpu = Some(1);
        worker.cpu_time = Duration::from_millis(seconds * 250);
        let mut snapshot = Snapshot::default();
        snapshot.elapsed = Duration::from_secs(seconds);
        snapshot.xsks = vec![first, second];
        snapshot.workers = vec![worker];
        snapshot
    }

    #[test]
    fn interval_holds_what_came_on_top() {
        let interval = Interval::between(&setup(), &snapshot(1, 1000), &snapshot(3, 5000));

        let forth = &interval.directions[0];
        assert_eq!((forth.from.as_str(), forth.to.as_str()), ("eth0", "eth1"));
        assert_eq!(forth.counts.frames_in, 4000);
        assert_eq!(forth.counts.tx_bytes, 400_000);
        assert!((forth.frames_out_per_second - 2000.0).abs() < 1e-9);
        assert!((forth.gbit_per_second - 0.0016).abs() < 1e-9);
        assert!((interval.workers[0].cpu_percent - 25.0).abs() < 1e-9);
        assert!((interval.elapsed_seconds - 3.0).abs() < 1e-9);
    }

    #[test]
    fn frames_that_rules_kept_away_belong_to_the_direction_they_came_from() {
        let mut now = snapshot(1, 0);
        let queue = |interface, passed, dropped| {
            let mut queue = QueueStats::default();
            queue.interface = InterfaceId(interface);
            queue.queue = Some(0);
            queue.counts.passed = passed;
            queue.counts.dropped = dropped;
            queue
        };
        now.queues = vec![queue(0, 7, 0), queue(1, 2, 5)];

        let interval = Interval::between(&setup(), &snapshot(0, 0), &now);

        let kept = interval.directions.iter().map(|direction| {
            let counts = direction.counts;
            (counts.frames_passed, counts.frames_dropped_by_rule)
        });
        assert_eq!(kept.collect::<Vec<_>>(), [(7, 0), (2, 5)]);
    }

    #[test]
    fn other_direction_takes_nothing_from_this_one() {
        let interval = Interval::between(&setup(), &snapshot(0, 0), &snapshot(1, 1000));

        let back = &interval.directions[1];
        assert_eq!((back.from.as_str(), back.to.as_str()), ("eth1", "eth0"));
        assert_eq!(back.counts, DirectionCounts::default());
    }

    #[test]
    fn interval_without_time_has_no_rates() {
        let interval = Interval::between(&setup(), &snapshot(1, 0), &snapshot(1, 10));

        assert!(interval.directions[0].frames_in_per_second.abs() < f64::EPSILON);
        assert!(interval.workers[0].cpu_percent.abs() < f64::EPSILON);
    }
}
