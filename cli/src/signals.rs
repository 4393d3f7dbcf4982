//! SIGINT, SIGTERM and SIGHUP as a flag that the loops look at.
//!
//! SIGHUP says that the terminal is gone. Where it is ignored from the start, as
//! under `nohup`, it stays ignored.
//!
//! The first signal asks for an orderly end. A second one, should that hang,
//! ends the process at once: the kernel then undoes what the engine attached
//! (`bpf_link`, sockets, unnamed namespaces).

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Failure;

/// The flag that SIGINT, SIGTERM and SIGHUP set from now on.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let hangup = (!ignores(&status, SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        register(signal, &stop)
            .map_err(|error| Failure::Run(format!("cannot handle signal {signal}: {error}")))?;
    }
    Ok(stop)
}

fn register(signal: i32, stop: &Arc<AtomicBool>) -> io::Result<()> {
    // The order matters: handlers run in the order they were registered in, so
    // the first signal must meet the shutdown while the flag is still unset.
    flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))?;
    flag::register(signal, Arc::clone(stop))?;
    Ok(())
}

/// Whether `status`, a file of `/proc` (`proc_pid_status(5)`), says that `signal` is
/// ignored: the first is the lowest bit.
fn ignores(status: &str, signal: i32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn ignored_signals_are_bits_from_the_lowest() {
        let status = "Name:\twharf\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";

        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
        assert!(!ignores("", SIGHUP));
    }

    #[test]
    fn first_signal_sets_the_flag() {
        let stop = stop_flag().expect("SIGTERM can be handled");

        signal_hook::low_level::raise(SIGTERM).expect("a signal to ourselves");

        assert!(stop.load(Ordering::Relaxed));
    }
}
