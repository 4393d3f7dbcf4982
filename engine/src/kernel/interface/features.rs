//! What a driver says it can do with XDP, over the generic-netlink family
//! `netdev` (Linux 6.3, `Documentation/netlink/specs/netdev.yaml`).
//!
//! It is what the driver claims in its present configuration. Whether a queue
//! really gets zero copy shows when it is bound.

use std::io;

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NlasIterator, parse_u32, parse_u64,
};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::netlink::{Messages, NLMSG_ERROR, error_of, malformed};
use crate::kernel::terms::InterfaceIndex;

/// What a driver says it can do with XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    bits: u64,
    zero_copy_segments: u32,
}

impl XdpFeatures {
    /// Runs programs natively, with the verdicts pass, drop, abort and transmit.
    #[must_use]
    pub fn native(self) -> bool {
        self.has(BASIC)
    }

    /// Takes the verdict redirect, without which no frame reaches an xsk.
    #[must_use]
    pub fn redirect(self) -> bool {
        self.has(REDIRECT)
    }

    /// Binds xsks in zero-copy mode.
    #[must_use]
    pub fn zero_copy(self) -> bool {
        self.has(XSK_ZEROCOPY)
    }

    /// Receives frames in several buffers natively.
    #[must_use]
    pub fn multi_buffer(self) -> bool {
        self.has(RX_SG)
    }

    /// The most chunks of a frame in zero-copy mode; 0 without zero copy.
    #[must_use]
    pub fn zero_copy_segments(self) -> u32 {
        self.zero_copy_segments
    }

    fn has(self, bit: u64) -> bool {
        self.bits & bit != 0
    }
}

/// What the kernel says about `index` in the calling thread's namespace; `None`
/// before Linux 6.3, which does not know the question.
pub(super) fn of(index: InterfaceIndex) -> io::Result<Option<XdpFeatures>> {
    let socket = Socket::new(NETLINK_GENERIC)?;
    let Some(family) = family(&socket)? else {
        return Ok(None);
    };
    let interface = DefaultNla::new(NETDEV_A_DEV_IFINDEX, index.get().to_ne_bytes().to_vec());
    let device = ask(&socket, family, NETDEV_CMD_DEV_GET, interface)?;
    let bits = match find(&device, NETDEV_A_DEV_XDP_FEATURES)? {
        Some(value) => parse_u64(&value).map_err(malformed)?,
        None => 0,
    };
    let zero_copy_segments = match find(&device, NETDEV_A_DEV_XDP_ZC_MAX_SEGS)? {
        Some(value) => parse_u32(&value).map_err(malformed)?,
        None => 0,
    };
    Ok(Some(XdpFeatures {
        bits,
        zero_copy_segments,
    }))
}

/// Which of the family's questions the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Questions {
    /// None: there is no such family.
    None,
    /// Those about interfaces. Linux 6.3.
    Interfaces,
    /// Those about queues, too. Linux 6.8.
    Queues,
}

/// Finds out which questions the kernel answers, by asking.
pub(crate) fn questions() -> io::Result<Questions> {
    let socket = Socket::new(NETLINK_GENERIC)?;
    let Some(family) = family(&socket)? else {
        return Ok(Questions::None);
    };
    // Half a question: the queue's number and type are missing, which the kernel
    // says (EINVAL) if it knows the question at all.
    let loopback = DefaultNla::new(NETDEV_A_QUEUE_IFINDEX, 1_u32.to_ne_bytes().to_vec());
    match ask(&socket, family, NETDEV_CMD_QUEUE_GET, loopback) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Questions::Interfaces),
        Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        _ => Ok(Questions::Queues),
    }
}

/// The kernel's number for the family; `None` before Linux 6.3.
fn family(socket: &Socket) -> io::Result<Option<u16>> {
    let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, b"netdev\0".to_vec());
    let family = match ask(socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        family => family?,
    };
    let number = find(&family, CTRL_ATTR_FAMILY_ID)?
        .and_then(|value| Some(u16::from_ne_bytes(value.try_into().ok()?)))
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Some(number))
}

/// Sends one question with one attribute, and gives the attributes of the answer.
fn ask(socket: &Socket, family: u16, command: u8, attribute: DefaultNla) -> io::Result<Vec<u8>> {
    let mut message = GenlMessage::from_payload(Question { command, attribute });
    message.set_resolved_family_id(family);
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    let Some(answer) = Messages(&datagram).next() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let answer = answer?;
    if answer.message_type() == NLMSG_ERROR {
        error_of(answer.payload())?;
    }
    let attributes = answer.payload().get(GENL_HEADER_LEN..);
    Ok(attributes.unwrap_or_default().to_vec())
}

fn find(attributes: &[u8], kind: u16) -> io::Result<Option<Vec<u8>>> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(malformed)?;
        if attribute.kind() == kind {
            return Ok(Some(attribute.value().to_vec()));
        }
    }
    Ok(None)
}

/// A command with one attribute, of whatever family.
#[derive(Debug)]
struct Question {
    command: u8,
    attribute: DefaultNla,
}

impl GenlFamily for Question {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Question {
    fn buffer_len(&self) -> usize {
        self.attribute.buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attribute.emit(buffer);
    }
}

/// Source: `include/uapi/linux/genetlink.h`.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const GENL_HEADER_LEN: usize = 4;

/// Source: `include/uapi/linux/netdev.h`.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_CMD_QUEUE_GET: u8 = 10;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_QUEUE_IFINDEX: u16 = 2;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
const BASIC: u64 = 1;
const REDIRECT: u64 = 2;
const XSK_ZEROCOPY: u64 = 8;
const RX_SG: u64 = 32;

#[cfg(test)]
mod tests {
    use super::super::Interface;
    use super::super::testing::{in_private_network, ip};

    #[test]
    fn veth_has_native_xdp_and_no_zero_copy() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            let Some(features) = one.xdp_features().expect("an answer") else {
                return; // Before 6.3.
            };

            assert!(features.native() && features.redirect() && features.multi_buffer());
            assert!(!features.zero_copy());
            assert_eq!(features.zero_copy_segments(), 0);
        });
    }

    #[test]
    fn loopback_has_nothing() {
        in_private_network(|| {
            let lo = Interface::by_name("lo").expect("it is there");

            let features = lo.xdp_features().expect("an answer").unwrap_or_default();

            assert!(!features.native() && !features.redirect() && !features.zero_copy());
        });
    }
}
