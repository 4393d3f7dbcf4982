//! The CPUs of client and server: two where this process may use as many.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::exit::Failure;

/// A CPU for each.
pub struct Cpus {
    pub client: usize,
    pub server: usize,
}

impl Cpus {
    /// The first CPU that this process may use for the client, and the last one for the
    /// server.
    pub fn choose() -> Result<Self, Failure> {
        let allowed = allowed()?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let client = cpus.next().unwrap_or(0);
        Ok(Self {
            client,
            server: cpus.next_back().unwrap_or(client),
        })
    }
}

/// The thread runs on one CPU while this lives.
pub struct Pinned {
    before: CpuSet,
}

/// Has the calling thread run on `cpu` only.
pub fn pin(cpu: usize) -> Result<Pinned, Failure> {
    let before = allowed()?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)
        .map_err(|error| Failure::Run(format!("cannot run on CPU {cpu}: {error}")))?;
    Ok(Pinned { before })
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was so before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn allowed() -> Result<CpuSet, Failure> {
    sched_getaffinity(None)
        .map_err(|error| Failure::Run(format!("cannot find the CPUs of this process: {error}")))
}
