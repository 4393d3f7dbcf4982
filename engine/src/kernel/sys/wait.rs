//! Waiting for descriptors, waking a waiting thread, and a thread's CPU time.
#![expect(
    unsafe_code,
    reason = "poll, eventfd, read, write, clock_gettime and membarrier"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Descriptors to wait for until one of them is readable.
///
/// The descriptors are remembered by number, so the owner keeps them open; a
/// closed one makes [`wait`](Self::wait) return at once, nothing worse.
#[derive(Debug, Default)]
pub(crate) struct PollSet(Vec<libc::pollfd>);

impl PollSet {
    /// Adds a descriptor.
    pub(crate) fn push(&mut self, fd: BorrowedFd<'_>) {
        self.0.push(libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
    }

    /// Leaves the descriptor at `position` out of the next waits, or takes it
    /// in again: `poll` ignores negative numbers.
    pub(crate) fn set_active(&mut self, position: usize, active: bool) {
        let fd: &mut RawFd = &mut self.0[position].fd;
        if (*fd >= 0) != active {
            *fd = !*fd;
        }
    }

    /// Sleeps until a descriptor is readable or has an error, or until
    /// `timeout` has passed. A signal ends the wait early.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let count = libc::nfds_t::try_from(self.0.len()).expect("a few descriptors");
        // SAFETY: the vector holds `count` initialised entries that the kernel
        // may write.
        let ready = unsafe { libc::poll(self.0.as_mut_ptr(), count, millis) };
        if ready >= 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            interrupted if interrupted.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        }
    }
}

/// Wakes a thread that waits on it in a [`PollSet`].
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `eventfd` takes integers only.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened, is valid, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the descriptor readable for good.
    pub(crate) fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` holds the eight bytes that an eventfd takes. It fails
        // only when the counter is full, and then it is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// CPU time the calling thread has used, user and system.
pub(crate) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec that the call may write; the clock
    // exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Waits until every XDP program that runs now has ended: some milliseconds.
///
/// That is `synchronize_rcu`, which `MEMBARRIER_CMD_GLOBAL` calls
/// (`kernel/sched/membarrier.c`) and which waits for softirqs as well. A kernel
/// with `nohz_full` CPUs refuses it; no program of ours runs for a tenth of a second.
pub(crate) fn grace_period() {
    // SAFETY: `membarrier` takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) };
    if result < 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Source: `include/uapi/linux/membarrier.h`.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarm_ends_a_wait_unless_it_is_inactive() {
        let alarm = Alarm::new().expect("an eventfd");
        let mut set = PollSet::default();
        set.push(alarm.as_fd());
        alarm.ring();

        let started = std::time::Instant::now();
        set.wait(Duration::from_secs(60)).expect("a wait");
        assert!(started.elapsed() < Duration::from_secs(30), "woken");

        set.set_active(0, false);
        set.wait(Duration::from_millis(10)).expect("a wait");
        assert!(started.elapsed() >= Duration::from_millis(10), "not woken");
    }
}
