//! The generic-netlink family `netdev`: what drivers can do, and what their queues
//! are used for (Linux 6.3, `Documentation/netlink/specs/netdev.yaml`).

use std::io;

use netlink_packet_core::{DefaultNla, Emitable, NLM_F_REQUEST, NlasIterator};

use super::netlink::{Netlink, malformed};

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
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, b"netdev\0".to_vec());
        let family = match request(&mut netlink, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            family => family?,
        };
        let id = find(&family, CTRL_ATTR_FAMILY_ID)?
            .and_then(|value| Some(u16::from_ne_bytes(value.try_into().ok()?)))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Some(Self { netlink, id }))
    }

    /// Sends `command` with one attribute, and returns the attributes of the answer.
    pub(super) fn request(&mut self, command: u8, attribute: &DefaultNla) -> io::Result<Vec<u8>> {
        request(&mut self.netlink, self.id, command, attribute)
    }
}

fn request(
    netlink: &mut Netlink,
    family: u16,
    command: u8,
    attribute: &DefaultNla,
) -> io::Result<Vec<u8>> {
    // `struct genlmsghdr`: the command, the version and two bytes that are zero.
    let mut body = vec![0; GENL_HEADER_LEN + attribute.buffer_len()];
    body[..2].copy_from_slice(&[command, 1]);
    attribute.emit(&mut body[GENL_HEADER_LEN..]);
    let attributes = |payload: &[u8]| {
        let attributes = payload.get(GENL_HEADER_LEN..).unwrap_or_default();
        Ok(Some(attributes.to_vec()))
    };
    let answers = netlink.request(family, &body, NLM_F_REQUEST, attributes)?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// The value of the attribute `kind`.
pub(super) fn find(attributes: &[u8], kind: u16) -> io::Result<Option<Vec<u8>>> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(malformed)?;
        if attribute.kind() == kind {
            return Ok(Some(attribute.value().to_vec()));
        }
    }
    Ok(None)
}

/// Source: `include/uapi/linux/genetlink.h`.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const GENL_HEADER_LEN: usize = 4;

/// Source: `include/uapi/linux/netdev.h`.
pub(super) const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_CMD_QUEUE_GET: u8 = 10;
const NETDEV_A_QUEUE_IFINDEX: u16 = 2;
