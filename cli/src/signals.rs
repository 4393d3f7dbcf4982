//! SIGINT, SIGTERM and SIGHUP as a flag that the loops look at.
//!
//! SIGHUP says that the terminal is gone. Where it is ignored from the start, as
//! under `nohup`, it stays ignored.
//!
//! The first signal asks for an orderly end. Should that hang, another one ends the
//! process at once: the kernel then undoes what the engine attached (`bpf_link`,
//! sockets, unnamed namespaces). Signals within [`ONE_REQUEST`] of the first are the
//! same request: `timeout -s INT` signals its child and then the child's process group,
//! and a terminal that closes sends SIGHUP beside what its shell sends.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use wharf::{KernelCall, explain_refusal};

use crate::exit::Failure;

/// The flag that SIGINT, SIGTERM and SIGHUP set from now on.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let hangup = (!ignores(&status, SIGHUP)).then_some(SIGHUP);
    let handled = [SIGINT, SIGTERM].into_iter().chain(hangup);
    start(handled, Arc::clone(&stop)).map_err(|error| {
        Failure::Run(format!(
            "cannot handle signals: {}",
            explain_refusal(&error, KernelCall::Thread)
        ))
    })?;
    Ok(stop)
}

/// Waits for signals in a thread of its own: so the second one ends the process
/// whatever the others do.
fn start(handled: impl Iterator<Item = i32>, stop: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new(handled)?;
    thread::Builder::new()
        .name("wharf-signals".to_owned())
        .spawn(move || {
            let mut requests = Requests::default();
            for signal in &mut signals {
                match requests.next(Instant::now()) {
                    Request::End => stop.store(true, Ordering::Relaxed),
                    Request::Repeated => {}
                    Request::EndAtOnce => low_level::exit(128 + signal),
                }
            }
        })?;
    Ok(())
}

/// The signals so far.
#[derive(Default)]
struct Requests {
    first: Option<Instant>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    End,
    /// What the first one asked for.
    Repeated,
    EndAtOnce,
}

impl Requests {
    fn next(&mut self, now: Instant) -> Request {
        match self.first {
            None => {
                self.first = Some(now);
                Request::End
            }
            Some(first) if now.saturating_duration_since(first) < ONE_REQUEST => Request::Repeated,
            Some(_) => Request::EndAtOnce,
        }
    }
}

/// Faster than a person who means it, slower than what sends a signal twice.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// Whether `status`, a file of `/proc` (`proc_pid_status(5)`), says that `signal` is
/// ignored: the first is the lowest bit.
fn ignores(status: &str, signal: i32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_bits_from_the_lowest() {
        let status = "Name:\twharf\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";

        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
        assert!(!ignores("", SIGHUP));
    }

    #[test]
    fn first_signal_sets_the_flag_and_so_does_one_right_behind_it() {
        let stop = stop_flag().expect("SIGTERM can be handled");
        let begin = Instant::now();

        signal_hook::low_level::raise(SIGTERM).expect("a signal to ourselves");
        signal_hook::low_level::raise(SIGINT).expect("a signal to ourselves");

        while !stop.load(Ordering::Relaxed) {
            assert!(begin.elapsed() < Duration::from_secs(10), "the flag is set");
            thread::yield_now();
        }
    }

    #[test]
    fn signals_within_half_a_second_of_the_first_are_one_request() {
        let begin = Instant::now();
        let mut requests = Requests::default();
        let mut at = |milliseconds| requests.next(begin + Duration::from_millis(milliseconds));

        assert_eq!(at(1000), Request::End);
        assert_eq!(at(1000), Request::Repeated);
        assert_eq!(at(1499), Request::Repeated);
        assert_eq!(at(1500), Request::EndAtOnce);
        assert_eq!(at(9000), Request::EndAtOnce);
    }
}
