//! The generic-netlink family `netdev`: what drivers can do, and what their queues
//! are used for (Linux 6.3, `Documentation/netlink/specs/netdev.yaml`).

use std::io;

use netlink_packet_core::DefaultNla;

use super::generic_family::{self, Family};
use super::netlink::Netlink;

/// The family, and a socket for requests to it in the network namespace of the
/// thread that opened it.
pub(super) struct NetdevFamily {
    netlink: Netlink,
    /// The number that the kernel gave the family.
    id: u16,
}

/// Which of the family's requests the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetdevRequests {
    /// None: there is no such family.
    None,
    /// Those about interfaces. Linux 6.3.
    Interfaces,
    /// Those about queues, too. Linux 6.8.
    Queues,
}

impl NetdevRequests {
    /// Finds out by sending some.
    pub(crate) fn probe() -> io::Result<Self> {
        let Some(mut netdev) = NetdevFamily::open()? else {
            return Ok(Self::None);
        };
        // Half a request: the queue's number and type are missing, and the kernel
        // says so (EINVAL) if it knows the request at all.
        let loopback = DefaultNla::new(NETDEV_A_QUEUE_IFINDEX, 1_u32.to_ne_bytes().to_vec());
        match netdev.request(NETDEV_CMD_QUEUE_GET, &loopback) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Self::Interfaces),
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
            _ => Ok(Self::Queues),
        }
    }
}

impl NetdevFamily {
    /// `None` before Linux 6.3, which has no such family.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let mut netlink = Netlink::generic()?;
        let family = generic_family::look_up(&mut netlink, c"netdev")?;
        Ok(family.map(|Family { id, .. }| Self { netlink, id }))
    }

    /// Sends `command` with one attribute, and returns the attributes of the answer.
    pub(super) fn request(&mut self, command: u8, attribute: &DefaultNla) -> io::Result<Vec<u8>> {
        generic_family::request(&mut self.netlink, self.id, command, attribute)
    }
}

/// Source: `include/uapi/linux/netdev.h`.
pub(super) const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_CMD_QUEUE_GET: u8 = 10;
const NETDEV_A_QUEUE_IFINDEX: u16 = 2;
