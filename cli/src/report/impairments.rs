//! Impairments and what they did, for people.

use std::io::{self, Write};

use super::text::{counted, filled, grouped, name};
use crate::control::{ImpairmentEntry, ImpairmentListing};

/// Writes a line for each direction with its impairment, and one with what that did.
pub fn write_impairments(out: &mut impl Write, listing: &ImpairmentListing) -> io::Result<()> {
    let ImpairmentListing {
        pid,
        interfaces,
        revision,
        capacity_frames,
        directions,
    } = listing;
    let interfaces = interfaces.join(" and ");
    write!(out, "forwarder {pid} on {interfaces}, revision {revision}")?;
    match capacity_frames {
        Some(frames) => writeln!(
            out,
            ", room for {} held",
            counted(*frames as usize, "frame")
        )?,
        None => writeln!(out)?,
    }
    for entry in directions {
        let impairment = entry.impairment.as_deref().unwrap_or("no impairment");
        writeln!(out, "  {} -> {}: {impairment}", entry.from, entry.to)?;
        let pieces = did(entry);
        if !pieces.is_empty() {
            let mut line = vec!["   ".to_owned()];
            line.extend(pieces);
            writeln!(out, "{}", filled(&line, "    "))?;
        }
    }
    out.flush()
}

/// Writes what impairments did, where they did anything but lose frames, which is said
/// with the other losses.
pub fn write_impaired(out: &mut impl Write, entries: &[ImpairmentEntry]) -> io::Result<()> {
    for entry in entries {
        let without_losses = ImpairmentEntry {
            lost_frames: 0,
            over_limit_frames: 0,
            ..entry.clone()
        };
        let mut pieces = did(&without_losses);
        if !pieces.is_empty() {
            pieces.insert(0, format!("         impaired from {}:", name(&entry.from)));
            writeln!(out, "{}", filled(&pieces, "           "))?;
        }
    }
    Ok(())
}

/// Each count that is not zero, as pieces for [`filled`].
fn did(entry: &ImpairmentEntry) -> Vec<String> {
    let counts = [
        ("held", entry.held_frames),
        ("lost", entry.lost_frames),
        ("over limit", entry.over_limit_frames),
        ("duplicated", entry.duplicated_frames),
        ("not duplicated", entry.not_duplicated_frames),
        ("corrupted", entry.corrupted_frames),
        ("reordered", entry.reordered_frames),
    ];
    let mut pieces: Vec<String> = counts
        .into_iter()
        .filter(|(_, frames)| *frames != 0)
        .map(|(what, frames)| format!("{what} {},", grouped(frames)))
        .collect();
    if let Some(last) = pieces.last_mut() {
        last.pop();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(impairment: Option<&str>) -> ImpairmentEntry {
        ImpairmentEntry {
            from: "eth0".into(),
            to: "eth1".into(),
            impairment: impairment.map(str::to_owned),
            ..ImpairmentEntry::default()
        }
    }

    #[test]
    fn listing_has_each_direction_and_what_was_done() {
        let listing = ImpairmentListing {
            pid: 7,
            interfaces: vec!["eth0".into(), "eth1".into()],
            revision: 2,
            capacity_frames: Some(5376),
            directions: vec![
                ImpairmentEntry {
                    held_frames: 1234,
                    lost_frames: 5,
                    ..entry(Some("delay 20ms loss 1%"))
                },
                entry(None),
            ],
        };
        let mut text = Vec::new();

        write_impairments(&mut text, &listing).expect("a vector takes all");

        assert_eq!(
            String::from_utf8_lossy(&text),
            "forwarder 7 on eth0 and eth1, revision 2, room for 5376 frames held\n  \
             eth0 -> eth1: delay 20ms loss 1%\n    held 1 234, lost 5\n  \
             eth0 -> eth1: no impairment\n"
        );
    }

    #[test]
    fn table_says_what_was_done_but_losses() {
        let mut text = Vec::new();
        let lost = ImpairmentEntry {
            lost_frames: 3,
            ..entry(Some("loss 1%"))
        };
        let held = ImpairmentEntry {
            held_frames: 3,
            duplicated_frames: 1,
            ..entry(Some("delay 1ms"))
        };

        write_impaired(&mut text, &[lost, held]).expect("a vector takes all");

        assert_eq!(
            String::from_utf8_lossy(&text),
            "         impaired from eth0: held 3, duplicated 1\n"
        );
    }
}
