//! Descriptors of the application's own that its worker waits on.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kernel::sys::epoll::{Epoll, ReadyFor};
use crate::runtime::Error;

/// What a [watched](crate::Outbox::watch) descriptor is to be ready for. An error or a
/// peer that has gone always counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// There is something to read, or to accept.
    Readable,
    /// There is room to write.
    Writable,
    /// Either.
    Both,
}

/// Names a [watched](crate::Outbox::watch) descriptor of one worker. None is used twice in
/// a process, so that of another worker names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchToken(u64);

/// The descriptors that a worker watches.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Empty until there is one to watch.
    set: OnceCell<Epoll>,
    /// Duplicates, so that each is one that the set has, whatever becomes of the
    /// application's.
    descriptors: RefCell<BTreeMap<WatchToken, OwnedFd>>,
}

/// The next token of whichever worker.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Watched {
    /// Watches a duplicate of `fd`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: Interest) -> Result<WatchToken, Error> {
        self.try_add(fd, interest)
            .map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => Error::AlwaysReady,
                _ => Error::System {
                    operation: "watch a descriptor",
                    source,
                },
            })
    }

    fn try_add(&self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<WatchToken> {
        let fd = fd.try_clone_to_owned()?;
        if self.set.get().is_none() {
            // Nobody else is here to have set it meanwhile.
            let _ = self.set.set(Epoll::new()?);
        }
        let set = self.set.get().expect("it was just set");
        // Relaxed: it says nothing of other memory.
        let token = WatchToken(NEXT.fetch_add(1, Ordering::Relaxed));
        let what = match interest {
            Interest::Readable => ReadyFor::Reading,
            Interest::Writable => ReadyFor::Writing,
            Interest::Both => ReadyFor::Either,
        };
        set.add(fd.as_fd(), token.0, what)?;
        self.descriptors.borrow_mut().insert(token, fd);
        Ok(token)
    }

    /// Watches a descriptor no more. Returns whether it did.
    pub(crate) fn remove(&self, token: WatchToken) -> bool {
        let removed = self.descriptors.borrow_mut().remove(&token);
        let (Some(fd), Some(set)) = (removed, self.set.get()) else {
            return false;
        };
        // Closing it would not do: others may have the same open file. It fails only
        // for a descriptor that the set does not have.
        let _ = set.remove(fd.as_fd());
        true
    }

    /// Whether there is one to watch: costs next to nothing.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.set.get().is_some() && !self.descriptors.borrow().is_empty()
    }

    pub(crate) fn has(&self, token: WatchToken) -> bool {
        self.descriptors.borrow().contains_key(&token)
    }

    /// Those that are ready now. A system call.
    pub(crate) fn ready(&self) -> Result<Vec<WatchToken>, Error> {
        let mut ready = Vec::new();
        if let Some(set) = self.set.get() {
            let looked = set.ready(|number| ready.push(WatchToken(number)));
            looked.map_err(|source| Error::System {
                operation: "look at watched descriptors",
                source,
            })?;
        }
        Ok(ready)
    }

    /// What is readable while one of them is ready.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.set.get().map(AsFd::as_fd)
    }
}
