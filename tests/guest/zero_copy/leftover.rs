//! What a CPU has left: turns of a loop that runs when nothing else wants to.
//!
//! Tick-based and per-task accounting are too coarse here, and charge interrupts
//! to whomever they interrupt. A loop whose every turn takes the same number of
//! instructions counts exactly those that nobody needed; on a machine whose
//! clock counts instructions, all the others are time minus these.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The loop, on a thread of its own; ends on drop.
pub struct Leftover {
    turns: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    turn_ns: f64,
}

/// A moment.
#[derive(Clone, Copy)]
pub struct Mark {
    time: Instant,
    turns: u64,
}

impl Leftover {
    /// Starts the loop with the policy `SCHED_IDLE` (sched(7)), and finds out on the quiet machine
    /// how long a turn takes.
    pub fn start() -> Self {
        let (turns, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = std::thread::spawn({
            let (turns, over) = (Arc::clone(&turns), Arc::clone(&over));
            move || {
                yield_to_everybody();
                while !over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut leftover = Self {
            turns,
            over,
            thread: Some(thread),
            turn_ns: 0.0,
        };
        wharf_tests::wait_until("the loop runs", crate::LIMIT, || {
            leftover.turns.load(Ordering::Relaxed) > 0
        });
        let start = leftover.mark();
        std::thread::sleep(Duration::from_millis(500));
        let end = leftover.mark();
        leftover.turn_ns = elapsed_ns(start, end) / turns_between(start, end);
        leftover
    }

    /// The moment that it is.
    pub fn mark(&self) -> Mark {
        Mark {
            time: Instant::now(),
            turns: self.turns.load(Ordering::Relaxed),
        }
    }

    /// Nanoseconds since `start` in which the loop did not run.
    pub fn busy_ns(&self, start: Mark) -> f64 {
        let end = self.mark();
        elapsed_ns(start, end) - turns_between(start, end) * self.turn_ns
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

/// Lets the calling thread run only when no other wants to.
fn yield_to_everybody() {
    let own = std::fs::read_link("/proc/thread-self").expect("procfs is mounted");
    let id = own.file_name().expect("PID/task/TID");
    let mut chrt = Command::new("chrt");
    let status = chrt.args(["--idle", "--pid", "0"]).arg(id).status();
    assert!(status.expect("the guest has chrt").success());
}

fn elapsed_ns(start: Mark, end: Mark) -> f64 {
    (end.time - start.time).as_secs_f64() * 1e9
}

#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
fn turns_between(start: Mark, end: Mark) -> f64 {
    (end.turns - start.turns) as f64
}
