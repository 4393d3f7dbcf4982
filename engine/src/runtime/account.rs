//! The account of a run as text: what a library user prints, in the words of the
//! command line's.

use std::fmt::{Debug, Display, Formatter, Result};

use crate::kernel::KernelStatistics;
use crate::memory::Audit;
use crate::runtime::counters::Counters;
use crate::runtime::drops::Drops;
use crate::runtime::stats::{Snapshot, Summary};

/// Only what is not zero, drops by reason.
impl Debug for Counters {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = [
            ("frames_in", self.frames_in),
            ("frames_passed", self.frames_passed),
            ("frames_passed_no_xsk", self.frames_passed_no_xsk),
            ("frames_dropped_by_rule", self.frames_dropped_by_rule),
            ("frames_dropped_no_xsk", self.frames_dropped_no_xsk),
            ("frames_made", self.frames_made),
            ("rx_frames", self.rx_frames),
            ("rx_bytes", self.rx_bytes),
            ("rx_held_back", self.rx_held_back),
            ("rx_copied_out", self.rx_copied_out),
            ("limit_reached", self.limit_reached),
            ("tx_frames", self.tx_frames),
            ("tx_bytes", self.tx_bytes),
            ("tx_in_flight", self.tx_in_flight),
            (
                "frames_passed_by_application",
                self.frames_passed_by_application,
            ),
            ("frames_copied_out", self.frames_copied_out),
            ("frames_not_copied", self.frames_not_copied),
            ("frames_copied_in", self.frames_copied_in),
            ("tx_wakeups", self.tx_wakeups),
        ];
        let mut counters = f.debug_struct("Counters");
        for (name, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
            counters.field(name, &count);
        }
        if self.drops.total() != 0 {
            counters.field("drops", &self.drops);
        }
        if self.kernel != KernelStatistics::default() {
            counters.field("kernel", &self.kernel);
        }
        counters.finish()
    }
}

/// By reason, only what is not zero.
impl Debug for Drops {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counted = self.iter().filter(|(_, frames)| *frames != 0);
        let by_label = counted.map(|(reason, frames)| (reason.label(), frames));
        f.debug_map().entries(by_label).finish()
    }
}

/// By reason, only what is not zero; `-` for none.
impl Display for Drops {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut separator = "";
        for (reason, frames) in self.iter().filter(|(_, frames)| *frames != 0) {
            write!(f, "{separator}{} {}", reason.label(), grouped(frames))?;
            separator = ", ";
        }
        if separator.is_empty() {
            f.write_str("-")?;
        }
        Ok(())
    }
}

/// A line per xsk, and one per queue with frames that went to none.
impl Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "after {:.1} seconds:", self.elapsed.as_secs_f64())?;
        let several = self.xsks.iter().any(|xsk| xsk.xsk != 0);
        for xsk in &self.xsks {
            write!(f, "\n  interface {} queue {}", xsk.interface.0, xsk.queue)?;
            if several {
                write!(f, " xsk {}", xsk.xsk)?;
            }
            write!(
                f,
                ": {} frames in, {} out; dropped: {}",
                grouped(xsk.counters.frames_in),
                grouped(xsk.counters.tx_frames),
                xsk.counters.drops,
            )?;
        }
        for queue in self.queues.iter().filter(|queue| queue.has_others()) {
            let counts = &queue.counts;
            write!(f, "\n  interface {} ", queue.interface.0)?;
            match queue.queue {
                Some(index) => write!(f, "queue {index}")?,
                None => f.write_str("other queues")?,
            }
            write!(
                f,
                ": {} passed, {} dropped by rule; no xsk: {} passed, {} dropped",
                grouped(counts.passed),
                grouped(counts.dropped),
                grouped(counts.passed_no_xsk),
                grouped(counts.dropped_no_xsk),
            )?;
        }
        Ok(())
    }
}

/// The last counters, the chunks of each worker, and whether every frame is accounted
/// for.
impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Display::fmt(&self.stats, f)?;
        for (worker, audit) in self.audits.iter().enumerate() {
            write!(f, "\n  chunks of worker {worker}: {}", Chunks(audit))?;
        }
        let totals = self.stats.totals();
        let held: u64 = self.audits.iter().map(Audit::held).sum();
        let Counters {
            frames_in,
            frames_made,
            tx_frames,
            frames_passed_by_application: passed,
            drops,
            ..
        } = totals;
        let passed = match passed {
            0 => String::new(),
            passed => format!(" + {} passed by the application", grouped(passed)),
        };
        write!(
            f,
            "\n  {}: {} frames in = {} out{passed} + {} dropped + {} unaccounted for",
            if self.is_conserved() {
                "conserved"
            } else {
                "NOT CONSERVED"
            },
            grouped(frames_in + frames_made),
            grouped(tx_frames),
            grouped(drops.total()),
            totals.unaccounted() - i128::from(held),
        )?;
        match &self.outcome {
            Ok(()) => Ok(()),
            Err(error) => write!(f, "\n  {error}"),
        }
    }
}

/// Chunks by owner.
struct Chunks<'a>(&'a Audit);

impl Display for Chunks<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let audit = self.0;
        let owners = [
            ("pool", audit.pool),
            ("fill", audit.fill),
            ("application", audit.application),
            ("detached", audit.detached),
            ("parts", audit.parts),
            ("transmit", audit.transmit),
            ("quarantined", audit.quarantined),
            ("stranded", audit.stranded),
        ];
        let mut separator = "";
        for (owner, chunks) in owners.into_iter().filter(|(_, chunks)| *chunks != 0) {
            write!(f, "{separator}{chunks} {owner}")?;
            separator = " + ";
        }
        let balanced = if audit.is_balanced() {
            "balanced"
        } else {
            "NOT BALANCED"
        };
        write!(f, ", {} in all: {balanced}", audit.total)?;
        let copies = &audit.copies;
        match copies.application + copies.detached {
            0 => Ok(()),
            held => write!(f, "; {held} copied frames beside them"),
        }
    }
}

/// Thousands set off by blanks: `12 345 678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::drops::DropReason;
    use crate::runtime::stats::XskStats;

    fn summary(tx_frames: u64) -> Summary {
        let mut drops = Drops::default();
        drops.set(DropReason::Application, 1);
        drops.set(DropReason::TxKernel, 1234);
        Summary {
            stats: Snapshot {
                elapsed: Duration::from_millis(1500),
                xsks: vec![XskStats {
                    counters: Counters {
                        frames_in: 12_345,
                        tx_frames,
                        drops,
                        ..Counters::default()
                    },
                    ..XskStats::default()
                }],
                ..Snapshot::default()
            },
            rule_hits: Vec::new(),
            audits: vec![Audit {
                pool: 4000,
                pooled: 4000,
                fill: 96,
                total: 4096,
                ..Audit::default()
            }],
            workers: 1,
            outcome: Ok(()),
        }
    }

    #[test]
    fn summary_reads_like_the_command_lines() {
        assert_eq!(
            summary(11_110).to_string(),
            "after 1.5 seconds:\n  \
             interface 0 queue 0: 12 345 frames in, 11 110 out; \
             dropped: application 1, tx_kernel 1 234\n  \
             chunks of worker 0: 4000 pool + 96 fill, 4096 in all: balanced\n  \
             conserved: 12 345 frames in = 11 110 out + 1 235 dropped + 0 unaccounted for"
        );
        let mut passing = summary(11_100);
        passing.stats.xsks[0].counters.frames_passed_by_application = 10;
        assert!(passing.to_string().ends_with(
            "conserved: 12 345 frames in = 11 100 out + 10 passed by the application + 1 235 dropped + 0 unaccounted for"
        ));
        let lost = summary(11_109).to_string();
        assert!(lost.ends_with(
            "NOT CONSERVED: 12 345 frames in = 11 109 out + 1 235 dropped + 1 unaccounted for"
        ));
    }

    #[test]
    fn drops_name_only_what_is_not_zero() {
        let mut drops = Drops::default();
        assert_eq!(format!("{drops} {drops:?}"), "- {}");

        drops.set(DropReason::TxKernel, 1234);

        assert_eq!(drops.to_string(), "tx_kernel 1 234");
        assert_eq!(format!("{drops:?}"), r#"{"tx_kernel": 1234}"#);
    }

    #[test]
    fn counters_name_only_what_is_not_zero() {
        let mut counters = Counters::default();
        assert_eq!(format!("{counters:?}"), "Counters");

        counters.tx_frames = 7;
        counters.drops.set(DropReason::Application, 2);
        counters.kernel.rx_ring_full = 3;

        assert_eq!(
            format!("{counters:?}"),
            r#"Counters { tx_frames: 7, drops: {"application": 2}, kernel: {"rx_ring_full": 3} }"#
        );
    }
}
