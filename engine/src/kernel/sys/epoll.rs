//! A set of descriptors that stays, and which of them are ready: `epoll(7)`, level
//! triggered.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

/// Descriptors, each with a number. The set is itself readable while one of them is
/// ready.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// Descriptors that one look reports at most. More take turns: the kernel goes on behind
/// the last one that it reported.
const EVENTS: usize = 32;

/// What a descriptor in the set is to be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadyFor {
    Reading,
    Writing,
    Either,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Adds a descriptor. The kernel refuses those that are always ready, regular
    /// files and directories, with `EPERM`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, number: u64, what: ReadyFor) -> io::Result<()> {
        let flags = match what {
            ReadyFor::Reading => EventFlags::IN,
            ReadyFor::Writing => EventFlags::OUT,
            ReadyFor::Either => EventFlags::IN | EventFlags::OUT,
        };
        Ok(epoll::add(&self.0, fd, EventData::new_u64(number), flags)?)
    }

    /// Removes a descriptor.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.0, fd)?)
    }

    /// Calls `each` with the number of every descriptor that is ready now, or has an
    /// error. Does not wait.
    pub(crate) fn ready(&self, each: impl FnMut(u64)) -> io::Result<()> {
        let mut events = [MaybeUninit::<Event>::uninit(); EVENTS];
        let at_once = Timespec::default();
        match epoll::wait(&self.0, &mut events[..], Some(&at_once)) {
            Ok((ready, _)) => ready.iter().map(|event| event.data.u64()).for_each(each),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
