//! The whole run, once it is over.

use serde::Serialize;
use wharf::{Audit, Snapshot, WorkerStats};

use super::drops::DropCounts;
use super::interval::{Direction, directions_between};
use super::queues::{Queue, queues_between};
use super::setup::Setup;
use super::usage::{Usage, usage};
use crate::control::{FinalRules, Hits, ImpairmentEntry, Listing};

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The time was over or the work done.
    Finished,
    /// A signal asked for it.
    Interrupted,
    /// Standard output has no reader any more.
    OutputLost,
    /// The engine failed.
    Failed,
}

/// The account of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub outcome: Ending,
    /// Why the engine failed, if it did.
    pub error: Option<String>,
    /// Every frame and every chunk is accounted for.
    pub conserved: bool,
    pub elapsed_seconds: f64,
    pub totals: Totals,
    pub drops: DropCounts,
    pub directions: Vec<Direction>,
    pub queues: Vec<Queue>,
    /// What was used of the limits on packet memory at the end.
    pub xsks: Vec<Usage>,
    /// The rules at the end and what they decided in all.
    pub rules: Listing,
    /// The impairments at the end and what they did in all.
    pub impairments: Vec<ImpairmentEntry>,
    pub workers: Vec<WorkerTotals>,
    /// Where the chunks of each worker's memory were at the end.
    pub audits: Vec<ChunkAudit>,
    pub setup: Setup,
}

/// Sums over both directions: `frames_in + frames_made` is `tx_frames +
/// frames_passed_by_application + dropped_frames + held_frames + unaccounted_frames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub frames_in: u64,
    pub frames_made: u64,
    pub rx_frames: u64,
    pub rx_bytes: u64,
    /// Had to wait because the application held too many.
    pub rx_held_back: u64,
    /// Were copied because it held too many.
    pub rx_copied_out: u64,
    /// Times that it held too many.
    pub limit_reached: u64,
    pub tx_frames: u64,
    pub tx_bytes: u64,
    /// To the kernel's stack, of those that came in; the forwarder passes none.
    pub frames_passed_by_application: u64,
    pub dropped_frames: u64,
    /// With the application at the end; the forwarder holds none.
    pub held_frames: u64,
    /// Out of the packet memory because they were to stay.
    pub frames_copied_out: u64,
    /// For want of room beside it.
    pub frames_not_copied: u64,
    /// Into the packet memory again to be sent.
    pub frames_copied_in: u64,
    /// Left to the kernel's stack, and not among those that came in.
    pub frames_passed: u64,
    /// Dropped because a rule says so, and not among those that came in.
    pub frames_dropped_by_rule: u64,
    /// Of `frames_passed`, and then dropped: for want of the socket that they were to
    /// go to.
    pub frames_passed_no_xsk: u64,
    pub frames_dropped_no_xsk: u64,
    /// Zero, or something is wrong.
    pub unaccounted_frames: i64,
}

/// What a worker did in all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerTotals {
    pub worker: usize,
    pub cpu: Option<usize>,
    pub cpu_seconds: f64,
    pub rounds: u64,
    pub sleeps: u64,
    /// Ring entries from the kernel that failed a check; zero, or something is
    /// wrong.
    pub violations: u64,
}

/// The owners of a worker's chunks: they add up to `total`, and the pool really
/// holds `pooled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChunkAudit {
    pub worker: usize,
    pub total: u32,
    pub pool: u32,
    pub fill: u32,
    pub application: u32,
    pub detached: u32,
    /// Of frames in several, behind the first of each.
    pub parts: u32,
    pub transmit: u32,
    pub quarantined: u32,
    pub stranded: u32,
    pub pooled: u32,
    pub balanced: bool,
    pub copies: Copies,
}

/// Where the chunks for copied frames were, beside those of the packet memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copies {
    pub total: u32,
    pub pool: u32,
    pub application: u32,
    pub detached: u32,
    pub parts: u32,
}

impl Summary {
    /// The view of the engine's own summary. `ending` is how it ended as far as
    /// the command knows; a failure of the engine goes before that.
    pub fn of(setup: Setup, end: &wharf::Summary, rules: &FinalRules, ending: Ending) -> Self {
        let totals = end.stats.totals();
        let held: u64 = end.audits.iter().map(Audit::held).sum();
        let failure = end.outcome.as_ref().err();
        let hits: Vec<Hits> = end.rule_hits.iter().cloned().map(Hits::from).collect();
        Self {
            outcome: if failure.is_some() {
                Ending::Failed
            } else {
                ending
            },
            error: failure.map(ToString::to_string),
            conserved: end.is_conserved(),
            elapsed_seconds: end.stats.elapsed.as_secs_f64(),
            totals: Totals {
                frames_in: totals.frames_in,
                frames_made: totals.frames_made,
                rx_frames: totals.rx_frames,
                rx_bytes: totals.rx_bytes,
                rx_held_back: totals.rx_held_back,
                rx_copied_out: totals.rx_copied_out,
                limit_reached: totals.limit_reached,
                tx_frames: totals.tx_frames,
                tx_bytes: totals.tx_bytes,
                frames_passed_by_application: totals.frames_passed_by_application,
                dropped_frames: totals.drops.total(),
                held_frames: held,
                frames_copied_out: totals.frames_copied_out,
                frames_not_copied: totals.frames_not_copied,
                frames_copied_in: totals.frames_copied_in,
                frames_passed: totals.frames_passed,
                frames_dropped_by_rule: totals.frames_dropped_by_rule,
                frames_passed_no_xsk: totals.frames_passed_no_xsk,
                frames_dropped_no_xsk: totals.frames_dropped_no_xsk,
                unaccounted_frames: clamped(totals.unaccounted() - i128::from(held)),
            },
            drops: DropCounts::from(&totals.drops),
            directions: directions_between(&setup, &Snapshot::default(), &end.stats),
            queues: queues_between(&setup, &Snapshot::default(), &end.stats),
            xsks: usage(&setup, &end.stats),
            rules: rules.listing(&hits),
            impairments: Vec::new(),
            workers: end.stats.workers.iter().map(WorkerTotals::of).collect(),
            audits: end.audits.iter().enumerate().map(ChunkAudit::of).collect(),
            setup,
        }
    }

    /// The same with what impairments did.
    pub fn impaired(self, impairments: Vec<ImpairmentEntry>) -> Self {
        Self {
            impairments,
            ..self
        }
    }

    /// Whether there was more to steering than to take everything.
    pub fn is_steered(&self) -> bool {
        let Listing {
            rules,
            default,
            flows,
            ..
        } = &self.rules;
        !rules.is_empty() || default.action != "redirect" || flows.capacity > 0
    }

    /// Why the run was not a good one, in one line; `None` if it was.
    pub fn failure(&self) -> Option<String> {
        self.error.clone().or_else(|| self.imbalance())
    }

    /// What is not accounted for, in one line.
    pub fn imbalance(&self) -> Option<String> {
        if self.conserved {
            return None;
        }
        let frames = self.totals.unaccounted_frames;
        let mut missing: Vec<String> = self
            .audits
            .iter()
            .filter(|audit| !audit.balanced)
            .map(ChunkAudit::describe)
            .collect();
        if frames != 0 {
            missing.insert(0, format!("{frames} frames are unaccounted for"));
        }
        let missing = missing.join(", ");
        Some(format!(
            "not conserved: {missing}; this is a bug in Wharf or the kernel: please report it"
        ))
    }

    /// Ring entries from the kernel that failed a check, of all workers.
    pub fn violations(&self) -> u64 {
        self.workers.iter().map(|worker| worker.violations).sum()
    }
}

impl WorkerTotals {
    fn of(stats: &WorkerStats) -> Self {
        Self {
            worker: stats.worker,
            cpu: stats.cpu,
            cpu_seconds: stats.cpu_time.as_secs_f64(),
            rounds: stats.rounds,
            sleeps: stats.sleeps,
            violations: stats.violations,
        }
    }
}

impl ChunkAudit {
    fn of((worker, audit): (usize, &Audit)) -> Self {
        Self {
            worker,
            total: audit.total,
            pool: audit.pool,
            fill: audit.fill,
            application: audit.application,
            detached: audit.detached,
            parts: audit.parts,
            transmit: audit.transmit,
            quarantined: audit.quarantined,
            stranded: audit.stranded,
            pooled: audit.pooled,
            balanced: audit.is_balanced(),
            copies: Copies {
                total: audit.copies.total,
                pool: audit.copies.pool,
                application: audit.copies.application,
                detached: audit.copies.detached,
                parts: audit.copies.parts,
            },
        }
    }

    /// The chunks that have an owner.
    pub fn owned(&self) -> u64 {
        self.owners()
            .into_iter()
            .map(|(_, chunks)| u64::from(chunks))
            .sum()
    }

    fn describe(&self) -> String {
        format!(
            "of worker {}'s {} chunks {} have an owner and {} of {} are in the pool",
            self.worker,
            self.total,
            self.owned(),
            self.pooled,
            self.pool,
        )
    }

    /// Each owner with its chunks.
    pub fn owners(&self) -> [(&'static str, u32); 8] {
        [
            ("pool", self.pool),
            ("fill", self.fill),
            ("application", self.application),
            ("detached", self.detached),
            ("parts", self.parts),
            ("transmit", self.transmit),
            ("quarantined", self.quarantined),
            ("stranded", self.stranded),
        ]
    }
}

fn clamped(frames: i128) -> i64 {
    i64::try_from(frames).unwrap_or(if frames < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::control::{Editor, Fake, ForwarderInfo};
    use crate::report::interval::tests::snapshot;
    use crate::report::rules::tests::listing;
    use crate::report::setup::tests::setup;

    /// A run of three seconds that carried `frames_in` and sent `tx_frames`.
    pub fn summary(frames_in: u64, tx_frames: u64) -> Summary {
        let mut stats = snapshot(3, frames_in);
        stats.xsks[1].counters.tx_frames = tx_frames;
        let mut audit = Audit::default();
        audit.pool = 4000;
        audit.pooled = 4000;
        audit.fill = 96;
        audit.total = 4096;
        let mut end = wharf::Summary::default();
        end.stats = stats;
        end.audits = vec![audit];
        end.workers = 1;
        let fake = Fake::default();
        let rules = Editor::new(&fake, ForwarderInfo::default()).close();
        Summary {
            rules: listing(),
            ..Summary::of(setup(), &end, &rules, Ending::Finished)
        }
    }

    #[test]
    fn run_with_every_frame_accounted_for_is_no_failure() {
        let summary = summary(500, 500);

        assert!(summary.conserved);
        assert_eq!(summary.failure(), None);
    }

    #[test]
    fn lost_frame_is_named_in_the_failure() {
        let summary = summary(500, 499);

        let failure = summary.failure().expect("one frame is missing");

        assert!(!summary.conserved);
        assert!(
            failure.contains("1 frames are unaccounted for"),
            "{failure}"
        );
    }

    #[test]
    fn chunk_without_an_owner_is_named_in_the_failure() {
        let mut summary = summary(500, 500);
        summary.audits[0] = ChunkAudit {
            fill: 95,
            balanced: false,
            ..summary.audits[0]
        };
        summary.conserved = false;

        let failure = summary.failure().expect("one chunk is missing");

        assert!(
            failure.contains("worker 0's 4096 chunks 4095 have an owner"),
            "{failure}"
        );
    }

    #[test]
    fn engine_failure_goes_before_everything_else() {
        let mut summary = summary(500, 499);
        summary.error = Some("interface `eth0` is gone".into());

        assert_eq!(
            summary.failure().as_deref(),
            Some("interface `eth0` is gone")
        );
    }
}
