//! Waiting: for descriptors to be readable, and for programs to end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::MembarrierCommand;

/// Descriptors to wait for until one of them is readable. A set of up to [`FEW`]
/// takes no memory from the heap.
#[derive(Debug)]
pub(crate) struct PollSet<'fd> {
    /// The first `len` of them count.
    few: [PollFd<'fd>; FEW],
    len: usize,
    /// All of them, once they are more than a few.
    many: Vec<PollFd<'fd>>,
}

/// An engine's worker has one descriptor per xsk and one more.
const FEW: usize = 32;

impl<'fd> PollSet<'fd> {
    /// A set of one descriptor.
    pub(crate) fn new(first: BorrowedFd<'fd>) -> Self {
        Self {
            few: std::array::from_fn(|_| readable(first)),
            len: 1,
            many: Vec::new(),
        }
    }

    /// Adds a descriptor.
    pub(crate) fn push(&mut self, fd: BorrowedFd<'fd>) {
        if let Some(free) = self.few.get_mut(self.len) {
            *free = readable(fd);
            self.len += 1;
            return;
        }
        if self.many.is_empty() {
            self.many.extend_from_slice(&self.few);
        }
        self.many.push(readable(fd));
    }

    /// Sleeps until a descriptor is readable or has an error, or until
    /// `timeout` has passed, which counts in nanoseconds. A signal ends the wait early.
    /// Returns whether the first descriptor is ready.
    pub(crate) fn wait(mut self, timeout: Duration) -> io::Result<bool> {
        // One that does not fit 64 bits of seconds is for ever.
        let timeout = Timespec::try_from(timeout).ok();
        let descriptors = if self.many.is_empty() {
            &mut self.few[..self.len]
        } else {
            &mut self.many[..]
        };
        match rustix::event::poll(descriptors, timeout.as_ref()) {
            Ok(_) => Ok(!descriptors[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// An eventfd: wakes a thread that waits on it in a [`PollSet`].
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(rustix::event::eventfd(0, flags)?))
    }

    /// Makes the descriptor readable, until it is [cleared](Self::clear).
    pub(crate) fn signal(&self) {
        // It fails only when the counter is full, and then it is readable
        // already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor readable no more.
    pub(crate) fn clear(&self) {
        // It fails only when it was not readable.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until every XDP program that runs now has ended: some milliseconds.
///
/// That is `synchronize_rcu`, which `MEMBARRIER_CMD_GLOBAL` calls
/// (`kernel/sched/membarrier.c`) and which waits for softirqs as well. A kernel
/// with `nohz_full` CPUs refuses it; no program of ours runs for a tenth of a second.
pub(crate) fn grace_period() {
    if rustix::thread::membarrier(MembarrierCommand::Global).is_err() {
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eventfd_ends_a_wait_unless_it_is_left_out() {
        let event = EventFd::new().expect("an eventfd");
        let silent = EventFd::new().expect("an eventfd");
        let mut set = PollSet::new(silent.as_fd());
        set.push(event.as_fd());
        event.signal();

        let started = std::time::Instant::now();
        set.wait(Duration::from_secs(60)).expect("a wait");
        assert!(started.elapsed() < Duration::from_secs(30), "woken");

        let without = PollSet::new(silent.as_fd());
        without.wait(Duration::from_millis(10)).expect("a wait");
        assert!(started.elapsed() >= Duration::from_millis(10), "not woken");
    }

    #[test]
    fn wait_without_an_end_is_one_that_no_clock_can_tell() {
        let event = EventFd::new().expect("an eventfd");
        let set = PollSet::new(event.as_fd());
        event.signal();

        set.wait(Duration::MAX).expect("it is readable");
    }

    #[test]
    fn last_descriptor_ends_a_wait_however_many_there_are() {
        for silents in [1, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let event = EventFd::new().expect("an eventfd");
            let silent = EventFd::new().expect("an eventfd");
            let mut set = PollSet::new(silent.as_fd());
            (1..silents).for_each(|_| set.push(silent.as_fd()));
            set.push(event.as_fd());
            event.signal();

            let started = std::time::Instant::now();
            set.wait(Duration::from_secs(60)).expect("a wait");

            assert!(started.elapsed() < Duration::from_secs(30), "{silents}");
        }
    }
}
