//! How much of a CPU a thread has used, and how exactly it wakes.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::time::ClockId;

/// CPU time the calling thread has used, user and system.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time used is not negative")
}

/// Has the calling thread's waits end when they are due, and not up to 50 us later, which
/// is the kernel's usual slack to wake threads together. Where the kernel does not, it
/// stays as it is.
pub(crate) fn wake_punctually() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}
