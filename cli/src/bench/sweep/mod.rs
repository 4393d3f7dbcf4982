//! `wharf bench sweep`: what it costs to keep frames and send them later, by size: copied
//! out of the UMEM, in place, and as the copybreak has it.
//!
//! It measures the library alone, on the rings of a simulated NIC in memory: a kernel's
//! system calls take the same time in each column, and would hide the difference. The
//! three take turns, a few milliseconds each, so that whatever else the machine does
//! meets them alike, and the median of each counts.

mod lane;
mod row;

use std::sync::atomic::{AtomicBool, Ordering};

use wharf::{Copybreak, UmemConfig};

use super::header::Header;
use super::output::Output;
use crate::args::SweepArgs;
use crate::exit::Failure;
use lane::Lane;
use row::{SweepResult, SweepRow};

/// Measures size after size.
pub fn run(arguments: &SweepArgs, output: &mut Output, stop: &AtomicBool) -> Result<(), Failure> {
    let usual = UmemConfig::new(1).copybreak.bytes();
    let copybreak = arguments
        .copybreak
        .map_or(usual, |copybreak| copybreak.bytes());
    output.header(&header())?;
    let mut worst: f64 = 0.0;
    for &bytes in SIZES.iter().filter(|&&bytes| bytes <= arguments.max_size.0) {
        let mut lanes = [
            Lane::new(Copybreak::Below(WHOLE_CHUNK), arguments.held, bytes)?,
            Lane::new(Copybreak::Off, arguments.held, bytes)?,
            Lane::new(Copybreak::Below(copybreak), arguments.held, bytes)?,
        ];
        for round in 0..arguments.rounds {
            for turn in 0..lanes.len() {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // Each comes first as often as the others.
                let place = (turn + round as usize) % lanes.len();
                lanes[place].take_turn()?;
            }
        }
        let mut medians = lanes.into_iter().map(Lane::finish);
        let mut next = || medians.next().expect("one for each lane");
        let row = SweepRow::of(bytes, arguments.held, next()?, next()?, next()?);
        worst = worst.max(row.behind_better());
        output.row(&row)?;
    }
    output.row(&SweepResult::new(copybreak, worst))
}

fn header() -> Header {
    Header {
        driver: "simulated NIC in memory".to_owned(),
        mtu_bytes: lane::FRAME_BYTES - 14,
        queues: 1,
        mode: "copy",
        attach: "no".to_owned(),
        ..Header::of_xsks("sweep", None, Vec::new())
    }
}

/// Bytes of messages. What does not fit a chunk lies in several frames.
const SIZES: [u32; 19] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768, 65536,
];

/// Every frame in one chunk is smaller.
const WHOLE_CHUNK: u32 = UmemConfig::DEFAULT_CHUNK_SIZE;
