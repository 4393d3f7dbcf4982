//! SIGINT and SIGTERM as a flag that the loops look at.
//!
//! The first signal asks for an orderly end. A second one, should that hang,
//! ends the process at once: the kernel then undoes what the engine attached
//! (`bpf_link`, sockets, unnamed namespaces).

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Failure;

/// The flag that SIGINT and SIGTERM set from now on.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn first_signal_sets_the_flag() {
        let stop = stop_flag().expect("SIGTERM can be handled");

        signal_hook::low_level::raise(SIGTERM).expect("a signal to ourselves");

        assert!(stop.load(Ordering::Relaxed));
    }
}
