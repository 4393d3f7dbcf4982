//! The counts of all loops, and how they are printed.

use crate::count;
use crate::loops::{BATCHES, Kind};

/// A loop by its name, a batch size, and instructions: for each frame, or for a
/// round.
pub(crate) type Count = (&'static str, u32, f64);

/// Runs a loop in the process that is counted: `NAME BATCH`.
pub(crate) fn run_counted(kinds: &[Kind], what: &str) {
    let (name, batch) = what.rsplit_once(' ').expect("a loop and a batch size");
    let batch = batch.parse().expect("a batch size");
    let kind = kinds.iter().find(|kind| kind.name == name).expect("a loop");
    let mut cycle = (kind.make)(batch);
    let expected = if kind.has_frames { batch } else { 0 };
    count::run_counted(
        || {
            cycle.serve(batch);
            cycle.cycle(batch)
        },
        expected,
    );
}

/// The instructions of each loop by batch size.
pub(crate) fn counts(kinds: &[Kind]) -> Result<Vec<Count>, String> {
    let mut counts = Vec::new();
    for kind in kinds {
        for batch in kind.batches() {
            let what = format!("{} {batch}", kind.name);
            let count = count::instructions_per_batch(kind.function, &what)?;
            let frames = if kind.has_frames { batch } else { 1 };
            // As many digits as are written down.
            let count = (count / f64::from(frames) * 10.0).round() / 10.0;
            counts.push((kind.name, batch, count));
        }
    }
    Ok(counts)
}

/// Prints them, a loop a line.
pub(crate) fn print(kinds: &[Kind], counts: &[Count]) {
    println!("instructions per frame, in-memory rings, by batch size");
    print!("{:<18}", "");
    BATCHES.iter().for_each(|batch| print!("{batch:>9}"));
    for kind in kinds {
        print!("\n{:<18}", kind.name);
        for (_, _, count) in counts.iter().filter(|(name, ..)| *name == kind.name) {
            print!("{count:>9.1}");
        }
        if !kind.has_frames {
            print!("  (a round)");
        }
    }
    println!();
}
