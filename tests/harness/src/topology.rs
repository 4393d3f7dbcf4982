//! The hosts and links most tests need, in one call.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use crate::error::Result;
use crate::frames::UdpFlow;
use crate::host::Host;
use crate::interface::Interface;
use crate::link::{Link, LinkBuilder};
use crate::mac::MacAddress;
use crate::switch::Switch;

/// The client's IPv4 address, in a subnet of 24 bits.
pub const CLIENT_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The server's IPv4 address, in the same subnet.
pub const SERVER_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The client's IPv6 address, in a subnet of 64 bits, where IPv6 is on.
pub const CLIENT_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
/// The server's IPv6 address, in the same subnet, where IPv6 is on.
pub const SERVER_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// Makes testbeds; see [`Testbed::pair`] and [`Testbed::wire`].
#[derive(Debug)]
pub struct Testbed;

/// Settings of a testbed's links and hosts.
#[derive(Clone, Copy, Debug)]
#[must_use = "call pair or wire"]
pub struct TopologyOptions {
    queues: u32,
    mtu_bytes: u32,
    neighbours: Neighbours,
    ipv6: Switch,
    offloads: Switch,
    #[cfg(feature = "impair")]
    impairable: Switch,
}

/// How client and server learn each other's Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Neighbours {
    /// They know it from the start and never ask.
    #[default]
    Static,
    /// They ask by ARP or neighbour discovery, as in real life.
    Resolved,
}

/// Two hosts and a link: `client eth0 ─── eth0 server`.
#[derive(Debug)]
pub struct Pair {
    /// Deleted before its hosts go.
    link: Link,
    client: Host,
    server: Host,
}

/// Two hosts in one subnet, and between them a host whose two interfaces
/// nothing joins: `client eth0 ─── left forwarder right ─── eth0 server`.
///
/// The forwarder has no IP addresses and does not forward; whoever is tested
/// there carries frames between `left` and `right`, like a bump in the wire.
#[derive(Debug)]
pub struct Wire {
    /// Deleted before their hosts go.
    client_link: Link,
    server_link: Link,
    client: Host,
    forwarder: Host,
    server: Host,
}

impl Testbed {
    /// Two hosts joined by a link, that can reach each other by IPv4.
    ///
    /// # Errors
    ///
    /// As [`Host::new`] and [`LinkBuilder::create`].
    pub fn pair() -> Result<Pair> {
        Self::options().pair()
    }

    /// A client and a server that reach each other once something forwards
    /// frames between the two interfaces of the host in the middle.
    ///
    /// # Errors
    ///
    /// As [`Host::new`] and [`LinkBuilder::create`].
    pub fn wire() -> Result<Wire> {
        Self::options().wire()
    }

    /// Options to deviate from one queue, an MTU of 1500, known neighbours, no
    /// IPv6 and no offloads.
    pub fn options() -> TopologyOptions {
        TopologyOptions {
            queues: 1,
            mtu_bytes: 1500,
            neighbours: Neighbours::Static,
            ipv6: Switch::Off,
            offloads: Switch::Off,
            #[cfg(feature = "impair")]
            impairable: Switch::Off,
        }
    }
}

impl TopologyOptions {
    /// Creates every interface with this many receive and transmit queues.
    pub fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// Sets the MTU of every interface, in bytes.
    pub fn mtu(mut self, mtu_bytes: u32) -> Self {
        self.mtu_bytes = mtu_bytes;
        self
    }

    /// Chooses how client and server learn each other's Ethernet address.
    pub fn neighbours(mut self, neighbours: Neighbours) -> Self {
        self.neighbours = neighbours;
        self
    }

    /// Adds IPv6 addresses to client and server. The forwarder of a wire
    /// stays without, and silent.
    pub fn ipv6(mut self, ipv6: Switch) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// Leaves the offloads of every interface on, or switches them off.
    pub fn offloads(mut self, offloads: Switch) -> Self {
        self.offloads = offloads;
        self
    }

    /// Makes the link of a [`Pair`] [impairable](LinkBuilder::impairable), or not.
    #[cfg(feature = "impair")]
    pub fn impairable(mut self, impairable: Switch) -> Self {
        self.impairable = impairable;
        self
    }

    /// Makes a [`Pair`].
    ///
    /// # Errors
    ///
    /// As [`Testbed::pair`].
    pub fn pair(self) -> Result<Pair> {
        let (client, server) = (self.host("client")?, self.host("server")?);
        let plan = self.link(&client, &server);
        #[cfg(feature = "impair")]
        let plan = match self.impairable {
            Switch::On => plan.impairable(),
            Switch::Off => plan,
        };
        let link = plan
            .names("eth0", "eth0")
            .macs(CLIENT_MAC, SERVER_MAC)
            .create()?;
        self.add_addresses(link.near(), link.far())?;
        Ok(Pair {
            link,
            client,
            server,
        })
    }

    /// Makes a [`Wire`].
    ///
    /// # Errors
    ///
    /// As [`Testbed::wire`].
    pub fn wire(self) -> Result<Wire> {
        let (client, server) = (self.host("client")?, self.host("server")?);
        let forwarder = Host::new("forwarder")?;
        let client_link = self
            .link(&client, &forwarder)
            .names("eth0", "left")
            .macs(CLIENT_MAC, LEFT_MAC)
            .create()?;
        let server_link = self
            .link(&server, &forwarder)
            .names("eth0", "right")
            .macs(SERVER_MAC, RIGHT_MAC)
            .create()?;
        self.add_addresses(client_link.near(), server_link.near())?;
        Ok(Wire {
            client_link,
            server_link,
            client,
            forwarder,
            server,
        })
    }

    fn host(self, name: &str) -> Result<Host> {
        match self.ipv6 {
            Switch::On => Host::with_ipv6(name),
            Switch::Off => Host::new(name),
        }
    }

    fn link(self, near: &Host, far: &Host) -> LinkBuilder {
        Link::between(near, far)
            .queues(self.queues)
            .mtu(self.mtu_bytes)
            .offloads(self.offloads)
    }

    /// Adds the addresses of client and server, and static neighbours where asked for.
    fn add_addresses(self, client: &Interface, server: &Interface) -> Result<()> {
        client.add_address(CLIENT_IPV4, 24)?;
        server.add_address(SERVER_IPV4, 24)?;
        if self.ipv6 == Switch::On {
            client.add_address(CLIENT_IPV6, 64)?;
            server.add_address(SERVER_IPV6, 64)?;
        }
        if self.neighbours == Neighbours::Static {
            client.add_neighbour(SERVER_IPV4, server.mac())?;
            server.add_neighbour(CLIENT_IPV4, client.mac())?;
            if self.ipv6 == Switch::On {
                client.add_neighbour(SERVER_IPV6, server.mac())?;
                server.add_neighbour(CLIENT_IPV6, client.mac())?;
            }
        }
        Ok(())
    }
}

impl Pair {
    /// The link, to change or move its ends. Its near end is the client's.
    pub fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The link; its near end is the client's.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The client.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// The server.
    pub fn server(&self) -> &Host {
        &self.server
    }

    /// The client's interface, `eth0`.
    pub fn client_interface(&self) -> &Interface {
        self.link.near()
    }

    /// The server's interface, `eth0`.
    pub fn server_interface(&self) -> &Interface {
        self.link.far()
    }

    /// A UDP flow over IPv4 from the client's port to the server's.
    pub fn udp_flow(&self, client_port: u16, server_port: u16) -> UdpFlow {
        flow(
            self.client_interface(),
            client_port,
            self.server_interface(),
            server_port,
        )
    }
}

impl Wire {
    /// The link of client and forwarder, to change or move its ends.
    pub fn client_link_mut(&mut self) -> &mut Link {
        &mut self.client_link
    }

    /// The link of server and forwarder, to change or move its ends.
    pub fn server_link_mut(&mut self) -> &mut Link {
        &mut self.server_link
    }

    /// The link of client and forwarder; its near end is the client's.
    pub fn client_link(&self) -> &Link {
        &self.client_link
    }

    /// The link of server and forwarder; its near end is the server's.
    pub fn server_link(&self) -> &Link {
        &self.server_link
    }

    /// The client.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// The host in the middle.
    pub fn forwarder(&self) -> &Host {
        &self.forwarder
    }

    /// The server.
    pub fn server(&self) -> &Host {
        &self.server
    }

    /// The client's interface, `eth0`.
    pub fn client_interface(&self) -> &Interface {
        self.client_link.near()
    }

    /// The forwarder's interface towards the client, `left`.
    pub fn left(&self) -> &Interface {
        self.client_link.far()
    }

    /// The forwarder's interface towards the server, `right`.
    pub fn right(&self) -> &Interface {
        self.server_link.far()
    }

    /// The server's interface, `eth0`.
    pub fn server_interface(&self) -> &Interface {
        self.server_link.near()
    }

    /// A UDP flow over IPv4 from the client's port to the server's.
    pub fn udp_flow(&self, client_port: u16, server_port: u16) -> UdpFlow {
        flow(
            self.client_interface(),
            client_port,
            self.server_interface(),
            server_port,
        )
    }
}

fn flow(client: &Interface, client_port: u16, server: &Interface, server_port: u16) -> UdpFlow {
    UdpFlow::v4(
        SocketAddrV4::new(CLIENT_IPV4, client_port),
        SocketAddrV4::new(SERVER_IPV4, server_port),
    )
    .macs(client.mac(), server.mac())
}

/// Addresses that are easy to tell apart in a capture.
const CLIENT_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const LEFT_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 1]);
const RIGHT_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);
