//! What rtnetlink says about a link, and the parts of it that we need.
//!
//! Messages are picked apart attribute by attribute rather than as a whole
//! `LinkMessage`, which holds every attribute there is: one that a newer
//! kernel sends in another shape must not keep us from reading the name.

use std::io;

use netlink_packet_core::{DecodeError, NlaBuffer, NlasIterator, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkXdp, XdpAttached};

use super::link_type::LinkType;
use super::netlink::{Messages, malformed};
use crate::kernel::terms::{InterfaceIndex, ProgramMode};

/// What the kernel says about one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: InterfaceIndex,
    pub(super) name: String,
    pub(super) link_type: LinkType,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) mtu: u32,
    pub(super) rx_queues_allocated: u32,
    pub(super) tx_queues_allocated: u32,
    pub(super) xdp: Option<(u32, ProgramMode)>,
    /// The bridge, bond or VRF that it is a port of.
    pub(super) master: Option<InterfaceIndex>,
    /// What `IFLA_LINK` names, in the same namespace: what a VLAN or macvlan
    /// stands on, or a veth's peer.
    pub(super) lower: Option<InterfaceIndex>,
    /// The same, where it is in another namespace, which has numbers of its own.
    pub(super) lower_elsewhere: Option<InterfaceIndex>,
    /// The MAC address, where addresses have as many bytes.
    pub(super) address: Option<[u8; 6]>,
    /// What made it, such as `vlan`; empty for hardware.
    pub(super) kind: String,
    /// The bus of the device that it is; `None` also before Linux 5.14.
    pub(super) bus: Option<String>,
}

/// A link of the network namespace came, changed or went.
#[derive(Debug)]
pub(super) enum LinkNotification {
    Changed(Link),
    Removed(InterfaceIndex),
}

/// The notifications in a datagram from a [`subscribe`]d socket.
pub(super) fn notifications(datagram: &[u8]) -> io::Result<Vec<LinkNotification>> {
    let mut notifications = Vec::new();
    for message in Messages(datagram) {
        let message = message?;
        match message.message_type() {
            RTM_NEWLINK => {
                let link = parse_link(message.payload()).map_err(malformed)?;
                notifications.extend(link.map(LinkNotification::Changed));
            }
            RTM_DELLINK => {
                let link = parse_link(message.payload()).map_err(malformed)?;
                notifications.extend(link.map(|link| LinkNotification::Removed(link.index)));
            }
            _ => {}
        }
    }
    Ok(notifications)
}

/// Reads a link; `None` when the message is not about the link itself. A bridge
/// says "new link" and "deleted link" of its ports, with its own family, when
/// they join and leave.
pub(super) fn parse_link(payload: &[u8]) -> Result<Option<Link>, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    if header.interface_family != AddressFamily::Unspec {
        return Ok(None);
    }
    let mut link = Link {
        index: InterfaceIndex::new(header.index),
        name: String::new(),
        link_type: parse_link_type(payload),
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        mtu: 0,
        rx_queues_allocated: 1,
        tx_queues_allocated: 1,
        xdp: None,
        master: None,
        lower: None,
        lower_elsewhere: None,
        address: None,
        kind: String::new(),
        bus: None,
    };
    let mut is_lower_elsewhere = false;
    let attributes = payload.get(LINK_HEADER_LEN..).unwrap_or_default();
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            libc::IFLA_ADDRESS => link.address = value.try_into().ok(),
            libc::IFLA_IFNAME => link.name = parse_name(value),
            libc::IFLA_MTU => link.mtu = parse_u32(value)?,
            libc::IFLA_NUM_RX_QUEUES => link.rx_queues_allocated = parse_u32(value)?,
            libc::IFLA_NUM_TX_QUEUES => link.tx_queues_allocated = parse_u32(value)?,
            libc::IFLA_XDP => link.xdp = parse_xdp(&attribute)?,
            libc::IFLA_MASTER => link.master = Some(InterfaceIndex::new(parse_u32(value)?)),
            libc::IFLA_LINK => link.lower = Some(InterfaceIndex::new(parse_u32(value)?)),
            libc::IFLA_LINK_NETNSID => is_lower_elsewhere = true,
            libc::IFLA_LINKINFO => link.kind = parse_kind(value)?,
            IFLA_PARENT_DEV_BUS_NAME => link.bus = Some(parse_name(value)),
            _ => {}
        }
    }
    if is_lower_elsewhere {
        link.lower_elsewhere = link.lower.take();
    }
    Ok(Some(link))
}

/// The program that runs first, where an offloaded one is attached beside
/// another (`XDP_ATTACHED_MULTI`).
fn parse_xdp(attribute: &NlaBuffer<&[u8]>) -> Result<Option<(u32, ProgramMode)>, DecodeError> {
    let mut single = None;
    let mut id = None;
    let mut by_mode = [None; 3];
    for part in NlasIterator::new(attribute.value()) {
        match LinkXdp::parse(&part?)? {
            LinkXdp::Attached(XdpAttached::Driver) => single = Some(ProgramMode::Native),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => single = Some(ProgramMode::Generic),
            LinkXdp::Attached(XdpAttached::Hardware) => single = Some(ProgramMode::Offloaded),
            LinkXdp::ProgId(program) => id = Some(program),
            LinkXdp::HwProgId(program) => by_mode[0] = Some((program, ProgramMode::Offloaded)),
            LinkXdp::DrvProgId(program) => by_mode[1] = Some((program, ProgramMode::Native)),
            LinkXdp::SkbProgId(program) => by_mode[2] = Some((program, ProgramMode::Generic)),
            _ => {}
        }
    }
    Ok(id
        .zip(single)
        .or_else(|| by_mode.into_iter().flatten().next()))
}

fn parse_kind(info: &[u8]) -> Result<String, DecodeError> {
    for part in NlasIterator::new(info) {
        let part = part?;
        if part.kind() == libc::IFLA_INFO_KIND {
            return Ok(parse_name(part.value()));
        }
    }
    Ok(String::new())
}

/// `ifi_type` of `struct ifinfomsg`. The enumeration of the parsed header has no room for
/// numbers it does not know.
fn parse_link_type(payload: &[u8]) -> LinkType {
    let bytes = payload.get(2..4).and_then(|bytes| bytes.try_into().ok());
    LinkType::new(bytes.map_or(0, u16::from_ne_bytes))
}

fn parse_name(value: &[u8]) -> String {
    let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn parse_u32(value: &[u8]) -> Result<u32, DecodeError> {
    netlink_packet_core::parse_u32(value)
}

/// Source: `include/uapi/linux/rtnetlink.h`.
const RTM_NEWLINK: u16 = libc::RTM_NEWLINK;
const RTM_DELLINK: u16 = libc::RTM_DELLINK;

/// Source: `include/uapi/linux/if_link.h`.
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;

/// The bytes of `struct ifinfomsg`, `include/uapi/linux/rtnetlink.h`.
const LINK_HEADER_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagram_that_lies_about_its_length_is_an_error() {
        let mut datagram = [0_u8; 32];
        for length in [0_u32, 15, 33, u32::MAX] {
            datagram[..4].copy_from_slice(&length.to_ne_bytes());

            let error = notifications(&datagram).expect_err("not a message");

            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
