//! A host: a private network namespace without a name.
//!
//! The namespace lives as long as a file descriptor, a socket or a thread
//! refers to it, and [`Host`] owns all of those. It is never bound to a path, so
//! the kernel frees it with the process, however that ends.
//!
//! Threads enter by `setns` and are never handed back: [`Host::run`] and
//! [`Host::spawn`] start threads of their own, and the guard of [`Host::enter`]
//! returns its thread to the previous namespace when dropped.

use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::namespace_thread::{Inside, NamespaceThread};
use crate::netlink::Netlink;
use crate::switch::Switch;

/// A private network namespace with a name for messages.
///
/// Clones are handles to the same namespace; it goes when the last of them, and
/// of the links and children in it, is dropped.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

/// Keeps the calling thread inside a host until dropped.
///
/// Guards of several hosts on one thread must be dropped in reverse order.
#[must_use = "dropping the guard leaves the host at once"]
#[derive(Debug)]
pub struct Entered {
    previous: OwnedFd,
    /// A namespace is a property of the thread, so the guard stays on it.
    not_send: PhantomData<*const ()>,
}

struct Inner {
    name: String,
    /// Dropped first: children end before their namespace does.
    thread: NamespaceThread,
    netlink: Mutex<Netlink>,
    control: UdpSocket,
    namespace: OwnedFd,
}

impl Host {
    /// Makes a host with loopback up and IPv6 disabled.
    ///
    /// Without IPv6 an idle host sends nothing, so tests can count frames.
    ///
    /// # Errors
    ///
    /// [`Error::Namespace`] or [`Error::Netlink`], mostly for want of privileges.
    pub fn new(name: &str) -> Result<Self> {
        Self::create(name, Switch::Off)
    }

    /// Makes a host with loopback up and IPv6 as the kernel sets it up by
    /// default: it announces itself on every interface that comes up.
    ///
    /// # Errors
    ///
    /// As [`Host::new`].
    pub fn with_ipv6(name: &str) -> Result<Self> {
        Self::create(name, Switch::On)
    }

    fn create(name: &str, ipv6: Switch) -> Result<Self> {
        let (thread, inside) = NamespaceThread::start(name, ipv6)?;
        let Inside {
            namespace,
            netlink,
            control,
        } = inside;
        let host = Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                thread,
                netlink: Mutex::new(netlink),
                control,
                namespace,
            }),
        };
        host.interface("lo")?.set_up()?;
        Ok(host)
    }

    /// The name given at creation.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Runs `work` on a thread inside the host and returns its result.
    ///
    /// A panic in `work` continues in the caller. Threads that `work` starts,
    /// and sockets it opens, belong to the host's namespace too.
    ///
    /// # Panics
    ///
    /// When the host cannot be entered, which takes a process that gave up
    /// `CAP_SYS_ADMIN` after it made the host; [`Host::try_run`] returns that
    /// as an error.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.try_run(work).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Host::run`], for a process that may have dropped its privileges.
    ///
    /// # Errors
    ///
    /// [`Error::Namespace`] when the host cannot be entered.
    pub fn try_run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name(format!("in {}", self.name()))
                .spawn_scoped(scope, || {
                    self.move_calling_thread()?;
                    Ok(work())
                })
                .map_err(|source| self.namespace_error("start a thread in it", source))?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs `work` on a thread of its own inside the host.
    ///
    /// # Panics
    ///
    /// As [`Host::run`]; the panic arrives through the join handle.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let host = self.clone();
        thread::spawn(move || {
            host.move_calling_thread()
                .unwrap_or_else(|error| panic!("{error}"));
            // The thread itself keeps the namespace from here on.
            drop(host);
            work()
        })
    }

    /// Moves the calling thread into the host until the guard is dropped.
    ///
    /// Meant for threads that the caller owns, such as a test's. Threads started
    /// meanwhile begin inside the host and stay there.
    ///
    /// # Errors
    ///
    /// [`Error::Namespace`] when the host cannot be entered, or not left for where the
    /// thread is.
    pub fn enter(&self) -> Result<Entered> {
        let previous: OwnedFd = File::open("/proc/thread-self/ns/net")
            .map_err(|source| self.namespace_error("note the namespace to return to", source))?
            .into();
        // Where it is already: what would not let it back refuses this as well, such as a
        // user namespace of its own.
        move_into_link_name_space(previous.as_fd(), Some(LinkNameSpaceType::Network)).map_err(
            |error| self.namespace_error("keep the way back to this one open", error.into()),
        )?;
        self.move_calling_thread()?;
        Ok(Entered {
            previous,
            not_send: PhantomData,
        })
    }

    /// The names of all interfaces of the host, loopback included.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when the kernel does not answer.
    pub fn interface_names(&self) -> Result<Vec<String>> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let replies = self.request(request, NLM_F_DUMP, || "list its interfaces".to_owned())?;
        let names = replies.into_iter().filter_map(|reply| match reply {
            RouteNetlinkMessage::NewLink(link) => {
                link.attributes.into_iter().find_map(|attribute| {
                    if let LinkAttribute::IfName(name) = attribute {
                        Some(name)
                    } else {
                        None
                    }
                })
            }
            _ => None,
        });
        Ok(names.collect())
    }

    /// A path by which other processes can enter the host while this one
    /// lives: `nsenter --net=PATH`.
    pub fn namespace_path(&self) -> PathBuf {
        let process = std::process::id();
        let descriptor = self.inner.namespace.as_raw_fd();
        PathBuf::from(format!("/proc/{process}/fd/{descriptor}"))
    }

    /// The namespace's inode number, which tells it from all others alive.
    ///
    /// # Errors
    ///
    /// [`Error::Namespace`] when the kernel does not say.
    pub fn namespace_inode(&self) -> Result<u64> {
        let status = rustix::fs::fstat(&self.inner.namespace)
            .map_err(|error| self.namespace_error("identify its namespace", error.into()))?;
        Ok(status.st_ino)
    }

    /// Makes a netlink request in the namespace; `operation` words the error.
    pub(crate) fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        operation: impl FnOnce() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        let mut netlink = self
            .inner
            .netlink
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        netlink
            .request(message, flags)
            .map_err(|refusal| Error::Netlink {
                host: self.name().to_owned(),
                operation: operation(),
                source: refusal.source,
                explanation: refusal.explanation,
            })
    }

    /// A socket of the namespace for ioctl requests.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.inner.control.as_fd()
    }

    /// Starts a process inside, from the thread it shall not outlive.
    pub(crate) fn start(&self, command: Command) -> (Command, io::Result<Child>) {
        self.inner.thread.spawn(command)
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn move_calling_thread(&self) -> Result<()> {
        move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| self.namespace_error("enter its namespace", error.into()))
    }

    fn namespace_error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::Namespace {
            host: self.name().to_owned(),
            operation,
            source,
        }
    }
}

impl AsFd for Host {
    /// The namespace, for `setns` or for handing it to another process.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.namespace.as_fd()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Host")
            .field("name", &self.name())
            .field("namespace", &self.inner.namespace)
            .finish()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left =
            move_into_link_name_space(self.previous.as_fd(), Some(LinkNameSpaceType::Network));
        // A thread that cannot go home must not go on as if it were there.
        if let Err(error) = left
            && !thread::panicking()
        {
            panic!("cannot return this thread to its namespace: {error}");
        }
    }
}
