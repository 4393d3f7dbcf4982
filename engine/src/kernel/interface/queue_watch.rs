//! News that the number of queues of some interface was set: `ethtool -L` and its like.
//!
//! The kernel's generic-netlink family `ethtool` announces them (Linux 5.6,
//! `Documentation/networking/ethtool-netlink.rst`). What a driver does by itself, and what
//! is set through the old ioctl, it does not; so who watches has to look now and then all
//! the same.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_GENERIC;

use super::generic_family;
use super::netlink::{self, Netlink};

/// Readable when the settings of an interface were changed, queues among them.
#[derive(Debug)]
pub(crate) struct QueueWatch(Socket);

impl QueueWatch {
    /// Listens in the network namespace of the calling thread. `None` where the kernel
    /// announces nothing.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        let family = generic_family::look_up(&mut Netlink::generic()?, c"ethtool")?;
        let Some(monitor) = family.and_then(|family| family.group(c"monitor")) else {
            return Ok(None);
        };
        netlink::subscribe_to(NETLINK_GENERIC, &[monitor]).map(|socket| Some(Self(socket)))
    }

    /// Forgets the news there are: who asks for the queues now knows them.
    pub(crate) fn clear(&self) {
        // That news were lost because nobody read them (`ENOBUFS`) is news.
        while self.0.recv_from_full().is_ok() {}
    }
}

impl AsFd for QueueWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::super::testing::{in_private_network, ip};
    use super::*;
    use crate::kernel::sys::wait::PollSet;

    #[test]
    fn queues_that_are_set_are_news() {
        in_private_network(|| {
            ip("link add one numrxqueues 4 numtxqueues 4 type veth peer name two");
            let watch = QueueWatch::open().expect("a socket").expect("Linux 5.6");

            let set = Command::new("ethtool")
                .args(["-L", "one", "rx", "2"])
                .status();
            assert!(set.expect("ethtool runs").success());

            let started = Instant::now();
            let set = PollSet::new(watch.as_fd());
            set.wait(Duration::from_secs(10)).expect("a wait");
            assert!(started.elapsed() < Duration::from_secs(9), "it is readable");
            watch.clear();
            assert!(watch.0.recv_from_full().is_err(), "nothing is left");
        });
    }
}
