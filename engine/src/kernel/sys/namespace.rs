//! Network namespaces: which one the calling thread is in, and others to run in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::thread::{self, Builder};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netdev;

/// A number for the calling thread's network namespace, which no other has while
/// it lives. `None` where `/proc` is not there to ask.
pub(crate) fn current_namespace() -> Option<u64> {
    // A link to the namespace itself, of which this is the inode: see namespaces(7).
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    Some(namespace.ino())
}

/// A network namespace, which lives for as long as a descriptor or a socket holds it.
#[derive(Debug)]
pub(crate) struct NetworkNamespace(OwnedFd);

impl NetworkNamespace {
    /// A new one without a name, which ends with the process. Needs CAP_SYS_ADMIN.
    pub(crate) fn new() -> io::Result<Self> {
        run_aside(|| {
            netdev::enter_private_network()?;
            // Any socket of it will do.
            Self::of(netdev::packet_socket()?.as_fd())
        })?
    }

    /// That of `socket`. Needs CAP_NET_ADMIN there. Linux 4.9.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        netdev::namespace_of(socket).map(Self)
    }

    /// Runs `body` in it, on a thread of its own, so that the calling one stays where
    /// it is, whatever happens. Needs CAP_SYS_ADMIN.
    pub(crate) fn run<R: Send>(&self, body: impl FnOnce() -> R + Send) -> io::Result<R> {
        run_aside(|| {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(body())
        })?
    }
}

impl AsFd for NetworkNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn run_aside<R: Send>(body: impl FnOnce() -> R + Send) -> io::Result<R> {
    thread::scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, body)?;
        Ok(thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
