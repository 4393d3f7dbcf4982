//! What owning a frame costs: the loops of packet applications through the
//! library, beside the receive → transmit → completion → fill cycle over raw
//! descriptors, written as C programs on libxdp write it. Rings are in plain
//! memory, and the kernel's side is not measured.
//!
//! `cargo bench -p wharf-xdp --bench cycle` prints instructions per frame by batch
//! size, where valgrind is installed, which do not depend on what else the
//! machine does, and nanoseconds per frame (medians of interleaved rounds).
//! `-- --check` compares instructions with `counts.txt`, `-- --write` writes them
//! there, and `-- --count` prints them alone.

mod count;
mod loops;
mod raw;
mod record;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use loops::{Kind, Loop};
use record::Record;

/// The batch of the timed rounds.
const TIMED: u32 = 64;

/// Batches in a timed round, and rounds of each loop.
const ROUND: u32 = 500;
const ROUNDS: usize = 101;

/// All loops, in the order in which they are printed.
const KINDS: [Kind; 12] = [
    loops::OWNED,
    loops::FORWARD,
    loops::OUTBOX,
    loops::DROPPED,
    loops::TOUCHED,
    loops::MADE,
    loops::TAGGED,
    loops::RETURNING,
    loops::UNALIGNED,
    loops::FINISHING,
    loops::EMPTY,
    raw::RAW,
];

/// Nanoseconds of a round of batches, for each frame.
fn nanos_per_frame(cycle: &mut dyn Loop) -> f64 {
    let (mut spent, mut frames) = (Duration::ZERO, 0);
    for _ in 0..ROUND {
        cycle.serve(TIMED);
        let started = Instant::now();
        frames += cycle.cycle(TIMED).max(1);
        spent += started.elapsed();
    }
    spent.as_secs_f64() * 1e9 / f64::from(frames)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rounds of all loops in turn, so that a slow spell of the machine hits them all,
/// after one that warms up.
fn print_times() {
    let mut cycles: Vec<_> = KINDS.iter().map(|kind| (kind.make)(TIMED)).collect();
    let mut times = vec![Vec::new(); cycles.len()];
    for round in 0..=ROUNDS {
        for (cycle, times) in cycles.iter_mut().zip(&mut times) {
            let nanos = nanos_per_frame(&mut **cycle);
            if round > 0 {
                times.push(nanos);
            }
        }
    }
    println!("\nnanoseconds per frame, batches of {TIMED}, medians of {ROUNDS} interleaved rounds");
    for (kind, times) in KINDS.iter().zip(times) {
        let round = if kind.has_frames { "" } else { "  (a round)" };
        println!("{:<18}{:>9.2}{round}", kind.name, median(times));
    }
}

fn run(mode: Option<&str>) -> Result<(), String> {
    let counts = table::counts(&KINDS);
    match &counts {
        Ok(counts) => table::print(&KINDS, counts),
        Err(why) if mode.is_none() => println!("instructions are not counted: {why}"),
        Err(_) => {}
    }
    match mode {
        None => print_times(),
        Some("--count") => drop(counts?),
        Some("--write") => Record::read()?.write(&counts?)?,
        Some("--check") => {
            let complaints = Record::read()?.complaints(&counts?);
            if !complaints.is_empty() {
                return Err(complaints.join("\n"));
            }
        }
        Some(other) => return Err(format!("{other}: --check, --write, --count or nothing")),
    }
    Ok(())
}

fn main() -> ExitCode {
    if let Ok(what) = std::env::var(count::LOOP) {
        table::run_counted(&KINDS, &what);
        return ExitCode::SUCCESS;
    }
    // cargo adds `--bench`.
    let mode = std::env::args().skip(1).find(|word| word != "--bench");
    match run(mode.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
