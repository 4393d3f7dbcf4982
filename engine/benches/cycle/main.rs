//! What owning a frame costs: the receive → transmit → completion → fill cycle
//! through [`wharf::Xsk`], beside the same loop over raw descriptors, written
//! as C programs on libxdp write it. Rings are in plain memory, and the kernel's
//! side is not measured.
//!
//! `cargo bench -p wharf-xdp` prints nanoseconds per frame (medians of interleaved
//! rounds) and, where valgrind is installed, instructions per frame, which do
//! not depend on what else the machine does.

mod raw;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use raw::RawQueue;
use wharf::{RingCapacity, SimulatedNic, Umem, UmemConfig, Xsk, XskConfig};

const RING: u32 = 2048;
const BATCH: u32 = 64;
const FRAMES: u32 = 8192;
const LEN: u32 = 64;

/// Batches in a timed round, and rounds of each kind.
const ROUND: u32 = 2_000;
const ROUNDS: usize = 101;

/// Batches under valgrind, which counts, and so needs no repetition.
const COUNTED: u32 = 500;

/// Set in the process that valgrind runs, to the kind of loop it runs.
const KIND: &str = "WHARF_BENCH_KIND";

/// One of the two loops, with the other side of its rings.
trait Cycle {
    const NAME: &'static str;
    /// A part of the symbol of the function that is counted.
    const SYMBOL: &'static str;

    /// The kernel's side: receives and sends a batch.
    fn serve(&mut self);
    /// Our side: what is measured. Gives the number of frames handled.
    fn cycle(&mut self) -> u32;
}

struct Owned {
    queue: Xsk,
    nic: SimulatedNic,
}

impl Owned {
    fn new() -> Self {
        let umem = Umem::new(&UmemConfig::new(FRAMES)).expect("memory for a UMEM");
        let config = XskConfig::new(RingCapacity::new(RING).expect("a power of two"));
        let (queue, nic) = Xsk::simulated(&umem, &config).expect("memory for rings");
        Self { queue, nic }
    }
}

#[inline(never)]
fn owned_frames_cycle(queue: &mut Xsk) -> u32 {
    queue.recycle();
    let mut frames = 0;
    let (rx, tx) = queue.halves();
    for frame in rx.receive(BATCH) {
        frames += u32::from(tx.transmit(black_box(frame)).is_ok());
    }
    queue.wake().expect("a simulated queue has nothing to wake");
    frames
}

impl Cycle for Owned {
    const NAME: &'static str = "owned frames";
    const SYMBOL: &'static str = "owned_frames_cycle";

    fn serve(&mut self) {
        for _ in 0..BATCH {
            self.nic.transmitted_blank();
            self.nic.deliver_blank(LEN);
        }
    }

    fn cycle(&mut self) -> u32 {
        owned_frames_cycle(&mut self.queue)
    }
}

#[inline(never)]
fn raw_descriptors_cycle(queue: &mut RawQueue) -> u32 {
    queue.cycle(BATCH)
}

impl Cycle for RawQueue {
    const NAME: &'static str = "raw descriptors";
    const SYMBOL: &'static str = "raw_descriptors_cycle";

    fn serve(&mut self) {
        self.serve_kernel(BATCH, LEN);
    }

    fn cycle(&mut self) -> u32 {
        raw_descriptors_cycle(self)
    }
}

/// Runs `batches`; gives the time spent in our side and the frames handled.
fn run<C: Cycle>(cycle: &mut C, batches: u32) -> (Duration, u32) {
    let (mut spent, mut frames) = (Duration::ZERO, 0);
    for _ in 0..batches {
        cycle.serve();
        let started = Instant::now();
        frames += cycle.cycle();
        spent += started.elapsed();
    }
    (spent, frames)
}

fn nanos_per_frame<C: Cycle>(cycle: &mut C) -> f64 {
    let (spent, frames) = run(cycle, ROUND);
    assert_eq!(frames, ROUND * BATCH, "{}: every batch is full", C::NAME);
    spent.as_secs_f64() * 1e9 / f64::from(frames)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Instructions per frame of our side, counted by valgrind; `Err` says why not.
fn instructions_per_frame<C: Cycle>() -> Result<f64, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=*{}*", C::SYMBOL))
        .arg(myself)
        .env(KIND, C::SYMBOL)
        .output()
        .map_err(|error| format!("valgrind cannot be run ({error}); install it to count"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse::<f64>().ok())
        .ok_or_else(|| format!("valgrind printed no count: {}", text.trim()))?;
    Ok(collected / f64::from(COUNTED * BATCH))
}

fn count(kind: &str) {
    let (_, frames) = match kind {
        Owned::SYMBOL => run(&mut Owned::new(), COUNTED),
        _ => run(&mut RawQueue::new(RING), COUNTED),
    };
    assert_eq!(frames, COUNTED * BATCH, "every batch is full");
}

fn main() -> ExitCode {
    if let Ok(kind) = std::env::var(KIND) {
        count(&kind);
        return ExitCode::SUCCESS;
    }
    let (mut owned, mut raw) = (Owned::new(), RawQueue::new(RING));
    // One round of each to warm up, then interleaved, so that a slow spell of
    // the machine hits both.
    let _ = (nanos_per_frame(&mut owned), nanos_per_frame(&mut raw));
    let rounds = (0..ROUNDS).map(|_| (nanos_per_frame(&mut owned), nanos_per_frame(&mut raw)));
    let (owned_nanos, raw_nanos): (Vec<_>, Vec<_>) = rounds.unzip();
    let nanos = [median(owned_nanos), median(raw_nanos)];
    let instructions = [
        instructions_per_frame::<Owned>(),
        instructions_per_frame::<RawQueue>(),
    ];

    println!(
        "receive → transmit → completion → fill, in-memory rings of {RING}, batches of {BATCH}"
    );
    println!("{:<18}{:>10}{:>20}", "", "ns/frame", "instructions/frame");
    for (place, name) in [Owned::NAME, RawQueue::NAME].into_iter().enumerate() {
        let count = instructions[place]
            .as_ref()
            .map_or("-".to_owned(), |count| format!("{count:.1}"));
        println!("{name:<18}{:>10.2}{count:>20}", nanos[place]);
    }
    println!("{:<18}{:>10.2}", "ownership costs", nanos[0] - nanos[1]);
    if let Err(why) = &instructions[0] {
        println!("instructions are not counted: {why}");
    }
    ExitCode::SUCCESS
}
