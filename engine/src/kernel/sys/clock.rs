//! How much of a CPU a thread has used.

use std::time::Duration;

use rustix::time::ClockId;

/// CPU time the calling thread has used, user and system.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time used is not negative")
}
