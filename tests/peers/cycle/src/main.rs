//! Prints the instructions of a frame in Wharf's loops beside those of the same
//! cycle in C, on libxdp's inline functions. The loops of Wharf, and the way they
//! are counted, are those of `cargo bench -p wharf-xdp --bench cycle`, from the
//! same files.

#[path = "../../../../engine/benches/cycle/count.rs"]
mod count;
mod libxdp;
#[path = "../../../../engine/benches/cycle/loops.rs"]
mod loops;
#[path = "../../../../engine/benches/cycle/raw.rs"]
mod raw;
#[path = "../../../../engine/benches/cycle/table.rs"]
mod table;

use std::process::ExitCode;

use loops::Kind;

const KINDS: [Kind; 11] = [
    libxdp::OWNED,
    raw::RAW,
    loops::OWNED,
    libxdp::TOUCHED,
    loops::TOUCHED,
    loops::FORWARD,
    loops::OUTBOX,
    loops::DROPPED,
    loops::MADE,
    loops::UNALIGNED,
    loops::EMPTY,
];

fn main() -> ExitCode {
    if let Ok(what) = std::env::var(count::LOOP) {
        table::run_counted(&KINDS, &what);
        return ExitCode::SUCCESS;
    }
    match table::counts(&KINDS) {
        Ok(counts) => table::print(&KINDS, &counts),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
