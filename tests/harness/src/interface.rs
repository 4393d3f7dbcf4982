//! One network interface of a host: what it is called, and its state.
//!
//! A handle notes the interface's index in its host and asks the kernel for
//! everything that can change. Only [`Interface::move_to`] changes the handle.
//! Addresses, offloads, queues and counters have modules of their own.

use std::io;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::mac::MacAddress;
use crate::sys::ethtool;

/// A handle to one interface of a host.
///
/// Dropping the handle leaves the interface alone; the [`Link`](crate::Link) or
/// the host that owns it removes it.
#[derive(Debug)]
pub struct Interface {
    host: Host,
    name: String,
    index: u32,
    mac: MacAddress,
}

/// An interface's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it is set up.
    pub is_up: bool,
    /// Whether the other end is up as well, and the kernel has noticed: until
    /// then it drops what its stack sends.
    pub has_carrier: bool,
    /// Whether somebody wants frames for other addresses from it.
    pub is_promiscuous: bool,
    /// Its MTU in bytes, Ethernet header not included.
    pub mtu: u32,
    /// The root queueing discipline; `noqueue` when none is attached.
    pub queueing_discipline: String,
    /// The receive queues it was created with; see also
    /// [`Interface::channels`].
    pub rx_queues: u32,
    /// The transmit queues it was created with.
    pub tx_queues: u32,
}

impl Host {
    /// Looks up an interface of the host by its name.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when there is none of that name.
    pub fn interface(&self, name: &str) -> Result<Interface> {
        Interface::lookup(self, name)
    }
}

impl Interface {
    pub(crate) fn lookup(host: &Host, name: &str) -> Result<Self> {
        let mut request = LinkMessage::default();
        request
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        let link = get_link(host, request, || format!("find interface `{name}`"))?;
        let mac = link.attributes.iter().find_map(|attribute| {
            let LinkAttribute::Address(address) = attribute else {
                return None;
            };
            Some(MacAddress(address.as_slice().try_into().ok()?))
        });
        Ok(Self {
            host: host.clone(),
            name: name.to_owned(),
            index: link.header.index,
            // Interfaces without Ethernet, such as tunnels, have none.
            mac: mac.unwrap_or(MacAddress([0; 6])),
        })
    }

    /// Sets the interface up. A veth carries frames once both ends are; see
    /// [`Interface::wait_for_carrier`].
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when the kernel refuses.
    pub fn set_up(&self) -> Result<()> {
        self.set_flags(LinkFlags::Up, "set up")
    }

    /// Sets the interface down; its peer loses carrier.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when the kernel refuses.
    pub fn set_down(&self) -> Result<()> {
        self.set_flags(LinkFlags::empty(), "set down")
    }

    /// Sets the MTU in bytes, Ethernet header not included.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]; an XDP program without fragment support on the
    /// peer, for one, limits the MTU to about 3500.
    pub fn set_mtu(&self, mtu_bytes: u32) -> Result<()> {
        self.change(vec![LinkAttribute::Mtu(mtu_bytes)], || {
            format!("set its MTU to {mtu_bytes}")
        })
    }

    /// Gives the interface another name.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`], for instance when the name is taken; before Linux 6.3 also
    /// while the interface is up.
    pub fn rename(&mut self, name: &str) -> Result<()> {
        self.change(vec![LinkAttribute::IfName(name.to_owned())], || {
            format!("rename it to `{name}`")
        })?;
        name.clone_into(&mut self.name);
        Ok(())
    }

    /// Deletes the interface, and with it the other end of the link. One that
    /// is gone already is left so.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when the kernel refuses.
    pub fn delete(&self) -> Result<()> {
        let request = RouteNetlinkMessage::DelLink(self.message());
        match self.request(request, 0, || "delete it".to_owned()) {
            Err(error) if error.is_missing() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Waits until both ends are up and frames pass.
    ///
    /// Of two ends that are set up one after the other, the first begins to
    /// send only when a work queue of the kernel has noticed the second; what
    /// its stack sends before is lost (`linkwatch_do_dev` in
    /// `net/core/link_watch.c`).
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when that takes longer than `limit`.
    pub fn wait_for_carrier(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            // Asking for the link state has the kernel catch up at once
            // (`ethtool_op_get_link`); drivers that cannot be asked do so soon.
            let _ = ethtool::link_state(self.host.control(), &self.name);
            if self.status()?.has_carrier {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    host: self.host.name().to_owned(),
                    interface: self.name.clone(),
                    awaited: "carrier",
                    limit,
                    remedy: "; set both ends of the link up",
                });
            }
            std::thread::sleep(CARRIER_POLL);
        }
    }

    /// The host that has the interface.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The interface's name, unique in its host only.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index (ifindex), unique in its host only.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The interface's Ethernet address.
    pub fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The interface's state now.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`] when the interface is gone.
    pub fn status(&self) -> Result<Status> {
        let link = self.describe("read its state")?;
        let mut status = Status {
            is_up: link.header.flags.contains(LinkFlags::Up),
            has_carrier: link.header.flags.contains(CARRIER),
            is_promiscuous: false,
            mtu: 0,
            queueing_discipline: String::new(),
            rx_queues: 0,
            tx_queues: 0,
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::Promiscuity(count) => status.is_promiscuous = count > 0,
                LinkAttribute::Mtu(mtu) => status.mtu = mtu,
                LinkAttribute::Qdisc(name) => status.queueing_discipline = name,
                LinkAttribute::NumRxQueues(count) => status.rx_queues = count,
                LinkAttribute::NumTxQueues(count) => status.tx_queues = count,
                _ => {}
            }
        }
        Ok(status)
    }

    /// The kernel's full description of the interface.
    pub(crate) fn describe(&self, operation: &str) -> Result<LinkMessage> {
        get_link(&self.host, self.message(), || {
            format!("{operation} (interface `{}`)", self.name)
        })
    }

    /// Makes a netlink request about this interface.
    pub(crate) fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        operation: impl FnOnce() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        self.host.request(message, flags, || {
            format!("{} (interface `{}`)", operation(), self.name)
        })
    }

    /// An error about this interface.
    pub(crate) fn error(&self, operation: impl Into<String>, source: io::Error) -> Error {
        Error::Interface {
            host: self.host.name().to_owned(),
            interface: self.name.clone(),
            operation: operation.into(),
            source,
        }
    }

    pub(crate) fn change(
        &self,
        attributes: Vec<LinkAttribute>,
        operation: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut message = self.message();
        message.attributes = attributes;
        let request = RouteNetlinkMessage::SetLink(message);
        self.request(request, NLM_F_REQUEST | NLM_F_ACK, operation)?;
        Ok(())
    }

    fn set_flags(&self, flags: LinkFlags, operation: &str) -> Result<()> {
        let mut message = self.message();
        message.header.flags = flags;
        message.header.change_mask = LinkFlags::Up;
        let request = RouteNetlinkMessage::SetLink(message);
        self.request(request, 0, || operation.to_owned())?;
        Ok(())
    }

    fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header = LinkHeader {
            index: self.index,
            ..LinkHeader::default()
        };
        message
    }
}

fn get_link(
    host: &Host,
    request: LinkMessage,
    operation: impl Fn() -> String,
) -> Result<LinkMessage> {
    let replies = host.request(RouteNetlinkMessage::GetLink(request), 0, &operation)?;
    replies
        .into_iter()
        .find_map(|reply| match reply {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
        .ok_or_else(|| Error::Netlink {
            host: host.name().to_owned(),
            operation: operation(),
            source: io::Error::new(io::ErrorKind::InvalidData, "the answer describes no link"),
            explanation: None,
        })
}

/// The other end is up, and the queueing discipline is active: the kernel sets
/// `IFF_RUNNING` and activates it in one critical section.
const CARRIER: LinkFlags = LinkFlags::LowerUp.union(LinkFlags::Running);
/// How often to look while waiting for somebody to set the other end up.
const CARRIER_POLL: Duration = Duration::from_millis(1);
