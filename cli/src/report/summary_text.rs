//! The account of a run, for people.

use std::io::{self, Write};

use super::impairments::write_impaired;
use super::interval::Direction;
use super::rules::write_listing;
use super::summary::{ChunkAudit, Summary};
use super::text::{direction_name, filled, grouped, name};
use super::units::{bit_rate, frame_rate};

/// Writes the totals, the rules' hits, and where every frame and chunk went.
pub fn write_summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(out, "\nafter {:.1} seconds:", summary.elapsed_seconds)?;
    write_directions(out, &summary.directions)?;
    write_impaired(out, &summary.impairments)?;
    if summary.is_steered() {
        write_listing(out, &summary.rules)?;
    }
    for audit in &summary.audits {
        write_audit(out, audit)?;
    }
    let totals = &summary.totals;
    let state = if summary.conserved {
        "conserved"
    } else {
        "NOT CONSERVED"
    };
    let mut pieces = vec![
        format!(
            "  {state}: {} frames in",
            grouped(totals.frames_in + totals.frames_made)
        ),
        format!("= {} out", grouped(totals.tx_frames)),
    ];
    let passed = totals.frames_passed_by_application;
    if passed > 0 {
        pieces.push(format!("+ {} passed by the application", grouped(passed)));
    }
    pieces.push(format!("+ {} dropped", grouped(totals.dropped_frames)));
    pieces.push(format!("+ {} unaccounted for", totals.unaccounted_frames));
    writeln!(out, "{}", filled(&pieces, "    "))
}

/// A row per count and a column per direction: so the widest counts fit.
fn passed_no_xsk(direction: &Direction) -> u64 {
    direction.counts.frames_passed_no_xsk
}

fn dropped_no_xsk(direction: &Direction) -> u64 {
    direction.counts.frames_dropped_no_xsk
}

fn held_back(direction: &Direction) -> u64 {
    direction.counts.rx_held_back
}

fn copied_out(direction: &Direction) -> u64 {
    direction.counts.rx_copied_out
}

fn limit_reached(direction: &Direction) -> u64 {
    direction.counts.limit_reached
}

fn write_directions(out: &mut impl Write, directions: &[Direction]) -> io::Result<()> {
    let mut rows = vec![(String::new(), headings(directions))];
    let mut row = |label: &str, cell: &dyn Fn(&Direction) -> String| {
        rows.push((label.to_owned(), directions.iter().map(cell).collect()));
    };
    let mut count = |label: &str, count: &dyn Fn(&Direction) -> u64| {
        row(label, &|direction| grouped(count(direction)));
    };
    count("frames in", &|direction| direction.counts.frames_in);
    count("frames out", &|direction| direction.counts.tx_frames);
    count("bytes out", &|direction| direction.counts.tx_bytes);
    count("passed to the kernel", &|direction| {
        direction.counts.frames_passed
    });
    let by_rule = |direction: &Direction| direction.counts.frames_dropped_by_rule;
    if directions.iter().any(|direction| by_rule(direction) > 0) {
        count("dropped by rules", &by_rule);
    }
    for (label, frames) in [
        ("passed: no socket", passed_no_xsk as fn(&Direction) -> u64),
        ("dropped: no socket", dropped_no_xsk),
    ] {
        if directions.iter().any(|direction| frames(direction) > 0) {
            count(label, &frames);
        }
    }
    for (label, frames) in [
        ("had to wait", held_back as fn(&Direction) -> u64),
        ("copied out", copied_out),
        ("limit reached, times", limit_reached),
    ] {
        if directions.iter().any(|direction| frames(direction) > 0) {
            count(label, &frames);
        }
    }
    let reasons = directions.first().map(|direction| direction.drops);
    for (reason, _) in reasons.iter().flat_map(|drops| drops.iter()) {
        let lost = |direction: &Direction| {
            let mut all = direction.drops.iter();
            all.find(|(other, _)| *other == reason)
                .map_or(0, |(_, frames)| frames)
        };
        if directions.iter().any(|direction| lost(direction) > 0) {
            count(&lost_label(reason.label()), &lost);
        }
    }
    row("frames out per second", &|direction| {
        frame_rate(direction.frames_out_per_second)
    });
    row("bits out per second", &|direction| {
        bit_rate(direction.gbit_per_second * 1e9)
    });

    let labels = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let cells = rows.iter().flat_map(|(_, cells)| cells);
    let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
    for (label, cells) in rows {
        write!(out, "  {label:labels$}")?;
        for cell in cells {
            write!(out, "  {cell:>width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// `lost: tx_kernel`; without the first word where that would be too wide.
fn lost_label(reason: &str) -> String {
    let label = format!("lost: {reason}");
    if label.len() > WIDEST_LABEL {
        return reason.to_owned();
    }
    label
}

/// `A -> B` where that is no wider than the widest count, else `from A`.
fn headings(directions: &[Direction]) -> Vec<String> {
    let names: Vec<String> = directions.iter().map(direction_name).collect();
    if names
        .iter()
        .all(|name| name.chars().count() <= WIDEST_COUNT)
    {
        return names;
    }
    let from = |direction: &Direction| format!("from {}", name(&direction.from));
    directions.iter().map(from).collect()
}

fn write_audit(out: &mut impl Write, audit: &ChunkAudit) -> io::Result<()> {
    let owners = audit.owners().into_iter();
    let owners = owners.filter(|(_, chunks)| *chunks != 0);
    let mut pieces: Vec<String> = owners
        .map(|(owner, chunks)| format!("{chunks} {owner} +"))
        .collect();
    if let Some(last) = pieces.last_mut() {
        last.truncate(last.len() - " +".len());
        last.push(',');
    }
    pieces.insert(0, format!("  chunks of worker {}:", audit.worker));
    pieces.push(format!("{} in all:", audit.total));
    pieces.push(
        if audit.balanced {
            "balanced"
        } else {
            "NOT BALANCED"
        }
        .to_owned(),
    );
    writeln!(out, "{}", filled(&pieces, "    "))
}

/// The columns of the largest count: twenty digits in groups of three.
const WIDEST_COUNT: usize = 26;

/// The columns that two counts leave of 80, with two blanks before each.
const WIDEST_LABEL: usize = 80 - 2 - 2 * (2 + WIDEST_COUNT);
