//! The output interfaces of default routes: those that routes name by themselves, as next hops of a
//! multipath route, or by nexthop objects (`ip nexthop`).

use std::collections::BTreeSet;
use std::io;

use netlink_packet_core::{DecodeError, NlasIterator};

use super::netlink::Netlink;
use crate::kernel::terms::InterfaceIndex;

/// The output interfaces of all default routes.
pub(super) fn of_default_routes(netlink: &mut Netlink) -> io::Result<BTreeSet<InterfaceIndex>> {
    let mut interfaces = BTreeSet::new();
    let mut nexthops = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut header = [0; ROUTE_HEADER_LEN];
        header[0] = u8::try_from(family).expect("families are small");
        let routes = match netlink.dump(libc::RTM_GETROUTE, &header, parse_default) {
            // A kernel without IPv6 has no such routes.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => continue,
            routes => routes?,
        };
        for hops in routes {
            interfaces.extend(hops.interfaces);
            nexthops.extend(hops.nexthop);
        }
    }
    if !nexthops.is_empty() {
        interfaces.extend(resolve(netlink, nexthops)?);
    }
    Ok(interfaces)
}

/// Where a default route leads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hops {
    interfaces: Vec<InterfaceIndex>,
    /// The nexthop object which says it, where the route itself does not: with
    /// the sysctl `nexthop_compat_mode` at 0.
    nexthop: Option<u32>,
}

/// Reads a route; `None` for others than those that lead anywhere by default.
fn parse_default(payload: &[u8]) -> Result<Option<Hops>, DecodeError> {
    let header = payload.get(..ROUTE_HEADER_LEN);
    let header = header.ok_or_else(|| DecodeError::buffer_too_small(payload.len(), 12))?;
    let (prefix_len, kind) = (header[1], header[7]);
    let flags = netlink_packet_core::parse_u32(&header[8..])?;
    if prefix_len != 0 || kind != RTN_UNICAST || flags & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let mut hops = Hops::default();
    for attribute in NlasIterator::new(&payload[ROUTE_HEADER_LEN..]) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            libc::RTA_OIF => hops.interfaces.push(parse_index(value)?),
            libc::RTA_MULTIPATH => hops.interfaces.extend(parse_multipath(value)?),
            RTA_NH_ID => hops.nexthop = Some(netlink_packet_core::parse_u32(value)?),
            _ => {}
        }
    }
    if !hops.interfaces.is_empty() {
        hops.nexthop = None;
    }
    Ok(Some(hops))
}

/// The interfaces of `struct rtnexthop`s, one behind the other, each with
/// attributes of its own.
fn parse_multipath(mut value: &[u8]) -> Result<Vec<InterfaceIndex>, DecodeError> {
    let mut interfaces = Vec::new();
    while let Some(hop) = value.get(..NEXT_HOP_LEN) {
        let len = usize::from(netlink_packet_core::parse_u16(&hop[..2])?);
        interfaces.push(parse_index(&hop[4..])?);
        // One that is shorter than itself would never end.
        let next = len.max(NEXT_HOP_LEN).next_multiple_of(4);
        value = value.get(next..).unwrap_or_default();
    }
    Ok(interfaces)
}

/// The interfaces of nexthop objects and of the members of groups of them.
fn resolve(netlink: &mut Netlink, ids: BTreeSet<u32>) -> io::Result<Vec<InterfaceIndex>> {
    let header = [0; NEXTHOP_HEADER_LEN];
    let objects = netlink.dump(RTM_GETNEXTHOP, &header, parse_nexthop)?;
    let members = objects
        .iter()
        .filter(|object| ids.contains(&object.id))
        .flat_map(|group| group.members.iter().copied());
    let ids: BTreeSet<u32> = members.chain(ids.iter().copied()).collect();
    let wanted = objects.iter().filter(|object| ids.contains(&object.id));
    Ok(wanted.filter_map(|object| object.interface).collect())
}

/// A nexthop object, or a group of them (`ip nexthop`, Linux 5.3).
#[derive(Debug, Default)]
struct Nexthop {
    id: u32,
    interface: Option<InterfaceIndex>,
    members: Vec<u32>,
}

fn parse_nexthop(payload: &[u8]) -> Result<Option<Nexthop>, DecodeError> {
    let attributes = payload.get(NEXTHOP_HEADER_LEN..).unwrap_or_default();
    let mut nexthop = Nexthop::default();
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            NHA_ID => nexthop.id = netlink_packet_core::parse_u32(value)?,
            NHA_OIF => nexthop.interface = Some(parse_index(value)?),
            NHA_GROUP => {
                let members = value.chunks_exact(NEXTHOP_GROUP_LEN);
                let ids = members.map(|member| netlink_packet_core::parse_u32(&member[..4]));
                nexthop.members = ids.collect::<Result<_, _>>()?;
            }
            _ => {}
        }
    }
    Ok(Some(nexthop))
}

fn parse_index(value: &[u8]) -> Result<InterfaceIndex, DecodeError> {
    netlink_packet_core::parse_u32(value).map(InterfaceIndex::new)
}

/// The bytes of `struct rtmsg` and `struct rtnexthop`, and names of their values,
/// `include/uapi/linux/rtnetlink.h`.
const ROUTE_HEADER_LEN: usize = 12;
const NEXT_HOP_LEN: usize = 8;
const RTN_UNICAST: u8 = libc::RTN_UNICAST;
const RTM_F_CLONED: u32 = libc::RTM_F_CLONED;
const RTA_NH_ID: u16 = 30;
const RTM_GETNEXTHOP: u16 = 106;

/// The bytes of `struct nhmsg` and `struct nexthop_grp`, and attributes,
/// `include/uapi/linux/nexthop.h`.
const NEXTHOP_HEADER_LEN: usize = 8;
const NEXTHOP_GROUP_LEN: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hop_that_lies_about_its_length_is_read_to_the_end() {
        let mut hops = [0_u8; 16];
        hops[4] = 3;
        hops[12] = 4;

        let interfaces = parse_multipath(&hops).expect("sixteen bytes are two hops");

        assert_eq!(interfaces, [InterfaceIndex::new(3), InterfaceIndex::new(4)]);
    }
}
