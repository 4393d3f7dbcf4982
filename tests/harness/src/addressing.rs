//! IP addresses, neighbours and routes of an interface.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::Result;
use crate::interface::Interface;
use crate::mac::MacAddress;

impl Interface {
    /// Adds an address to the interface, and with it the route to its subnet.
    ///
    /// An IPv6 address is usable at once: duplicate detection is skipped.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink), for instance for an IPv6
    /// address on a host without IPv6.
    pub fn add_address(&self, address: impl Into<IpAddr>, prefix_len: u8) -> Result<()> {
        let address = address.into();
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix_len;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = self.index();
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        let request = RouteNetlinkMessage::NewAddress(message);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("add address {address}/{prefix_len}")
        })?;
        Ok(())
    }

    /// Tells the host for good which Ethernet address `address` has, so that it
    /// sends no request.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) when the kernel refuses.
    pub fn add_neighbour(&self, address: impl Into<IpAddr>, mac: MacAddress) -> Result<()> {
        let address = address.into();
        let destination = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = self.index();
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(destination),
            NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec()),
        ];
        let request = RouteNetlinkMessage::NewNeighbour(message);
        self.request(request, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!("add neighbour {address} at {mac}")
        })?;
        Ok(())
    }

    /// Routes `destination/prefix_len` through this interface to `gateway`;
    /// prefix length 0 makes it the default route.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink), for instance when the gateway
    /// is not in a subnet of the interface.
    pub fn add_route(
        &self,
        destination: impl Into<IpAddr>,
        prefix_len: u8,
        gateway: impl Into<IpAddr>,
    ) -> Result<()> {
        let (destination, gateway) = (destination.into(), gateway.into());
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: family(destination),
            destination_prefix_length: prefix_len,
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: RouteProtocol::Static,
            scope: RouteScope::Universe,
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        message.attributes = vec![
            RouteAttribute::Oif(self.index()),
            RouteAttribute::Gateway(RouteAddress::from(gateway)),
        ];
        if prefix_len > 0 {
            let destination = RouteAddress::from(destination);
            message
                .attributes
                .push(RouteAttribute::Destination(destination));
        }
        let request = RouteNetlinkMessage::NewRoute(message);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("add route {destination}/{prefix_len} via {gateway}")
        })?;
        Ok(())
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
