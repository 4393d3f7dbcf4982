//! The account of a run, for people.

use std::io::{self, Write};

use super::rules::write_listing;
use super::summary::Summary;
use super::text::{direction_name, direction_width, drops, grouped};

/// Writes the totals, the rules' hits, and where every frame and chunk went.
pub fn write_summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(out, "\nafter {:.1} seconds:", summary.elapsed_seconds)?;
    let width = direction_width(&summary.directions);
    writeln!(
        out,
        "  {:width$}  {:>15}  {:>15}  {:>19}  {:>8}  {:>15}  dropped",
        "direction", "frames in", "frames out", "bytes out", "Gbit/s", "passed",
    )?;
    for direction in &summary.directions {
        writeln!(
            out,
            "  {:width$}  {:>15}  {:>15}  {:>19}  {:>8.4}  {:>15}  {}",
            direction_name(direction),
            grouped(direction.counts.frames_in),
            grouped(direction.counts.tx_frames),
            grouped(direction.counts.tx_bytes),
            direction.gbit_per_second,
            grouped(direction.counts.frames_passed),
            drops(direction),
        )?;
    }
    if summary.is_steered() {
        write_listing(out, &summary.rules)?;
    }
    for audit in &summary.audits {
        let owners: Vec<String> = audit
            .owners()
            .into_iter()
            .filter(|(_, chunks)| *chunks != 0)
            .map(|(owner, chunks)| format!("{chunks} {owner}"))
            .collect();
        writeln!(
            out,
            "  chunks of worker {}: {}, {} in all: {}",
            audit.worker,
            owners.join(" + "),
            audit.total,
            if audit.balanced {
                "balanced"
            } else {
                "NOT BALANCED"
            },
        )?;
    }
    let totals = &summary.totals;
    let in_frames = totals.frames_in + totals.frames_made;
    writeln!(
        out,
        "  {}: {} frames in = {} out + {} dropped + {} unaccounted for",
        if summary.conserved {
            "conserved"
        } else {
            "NOT CONSERVED"
        },
        grouped(in_frames),
        grouped(totals.tx_frames),
        grouped(totals.dropped_frames),
        totals.unaccounted_frames,
    )
}
