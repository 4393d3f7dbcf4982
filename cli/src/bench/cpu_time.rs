//! CPU time of this thread, and of this process.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time that the calling thread used.
pub fn thread_cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time that all threads of this process used.
pub fn process_cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}
