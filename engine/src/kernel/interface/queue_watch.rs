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

use super::generic_family::{self, GENL_HEADER_LEN};
use super::netlink::{self, Messages, Netlink};
use crate::kernel::InterfaceIndex;

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

    /// Takes the news there are: who asks for the queues now knows them.
    pub(crate) fn take(&self) -> QueueNews {
        let mut news = QueueNews::default();
        loop {
            match self.0.recv_from_full() {
                Ok((datagram, _)) => news.read(&datagram),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return news,
                // Some were lost because nobody read them (`ENOBUFS`).
                Err(_) => {
                    news.of_any = true;
                    return news;
                }
            }
        }
    }
}

/// Whose queues were set.
#[derive(Debug, Default)]
pub(crate) struct QueueNews {
    of: Vec<u32>,
    /// Of any interface: that is not known.
    of_any: bool,
}

impl QueueNews {
    /// Whether the queues of an interface were set, be it to as many as it had.
    pub(crate) fn concern(&self, interface: InterfaceIndex) -> bool {
        self.of_any || self.of.contains(&interface.get())
    }

    fn read(&mut self, datagram: &[u8]) {
        for message in Messages(datagram) {
            let payload = message.map(|message| message.payload().to_vec());
            match payload.and_then(|payload| queues_of(&payload)) {
                Ok(None) => {}
                Ok(Some(interface)) => self.of.push(interface),
                Err(_) => self.of_any = true,
            }
        }
    }
}

/// The index of the interface whose queues a message says were set, if it does.
fn queues_of(payload: &[u8]) -> io::Result<Option<u32>> {
    if payload.first() != Some(&ETHTOOL_MSG_CHANNELS_NTF) {
        return Ok(None);
    }
    let attributes = payload.get(GENL_HEADER_LEN..).unwrap_or_default();
    let header = generic_family::find(attributes, ETHTOOL_A_CHANNELS_HEADER)?;
    generic_family::find(&header.unwrap_or_default(), ETHTOOL_A_HEADER_DEV_INDEX)?
        .and_then(|value| Some(u32::from_ne_bytes(value.try_into().ok()?)))
        .map(Some)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Source: `include/uapi/linux/ethtool_netlink_generated.h`, before Linux 6.15
/// `include/uapi/linux/ethtool_netlink.h`.
const ETHTOOL_MSG_CHANNELS_NTF: u8 = 19;
const ETHTOOL_A_CHANNELS_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;

impl AsFd for QueueWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::super::Interface;
    use super::super::testing::{in_private_network, ip};
    use super::*;
    use crate::kernel::sys::wait::PollSet;

    #[test]
    fn queues_that_are_set_are_news() {
        in_private_network(|| {
            ip("link add one numrxqueues 4 numtxqueues 4 type veth peer name two");
            let watch = QueueWatch::open().expect("a socket").expect("Linux 5.6");
            let [one, two] = ["one", "two"].map(|name| {
                let interface = Interface::by_name(name);
                interface.expect("it exists").index()
            });

            let set = Command::new("ethtool")
                .args(["-L", "one", "rx", "2"])
                .status();
            assert!(set.expect("ethtool runs").success());

            let started = Instant::now();
            let set = PollSet::new(watch.as_fd());
            set.wait(Duration::from_secs(10)).expect("a wait");
            assert!(started.elapsed() < Duration::from_secs(9), "it is readable");
            let news = watch.take();
            assert!(news.concern(one), "{news:?}");
            assert!(!news.concern(two), "{news:?}");
            assert!(watch.0.recv_from_full().is_err(), "nothing is left");

            let set = Command::new("ethtool")
                .args(["-K", "one", "tso", "off"])
                .status();
            assert!(set.expect("ethtool runs").success());
            let news = watch.take();
            assert!(!news.concern(one), "{news:?}");
        });
    }
}
