//! How long tasks ran on the guest's CPUs, in nanoseconds.
//!
//! The scheduler adds it up whenever it switches from a task, to the nanosecond:
//! the seventh number of a CPU in `/proc/schedstat`
//! (`Documentation/scheduler/sched-stats.rst`). Work that interrupts leave behind
//! is in it where the kernel has threads for that (`threadirqs`).

/// A moment.
#[derive(Clone, Copy)]
pub struct Mark(u64);

impl Mark {
    /// The moment that it is.
    pub fn now() -> Self {
        Self(run_ns())
    }

    /// Nanoseconds since then in which a task ran.
    pub fn busy_ns(self) -> u64 {
        run_ns() - self.0
    }
}

/// What all tasks together ran since the guest started.
fn run_ns() -> u64 {
    // Sleeping makes the scheduler add up what the caller itself has run.
    std::thread::sleep(std::time::Duration::from_millis(1));
    let text = std::fs::read_to_string("/proc/schedstat").expect("procfs is mounted");
    let cpus = text.lines().filter(|line| line.starts_with("cpu"));
    cpus.map(|line| {
        let number = line.split_whitespace().nth(7).expect("nine numbers");
        number.parse::<u64>().expect("nanoseconds")
    })
    .sum()
}
