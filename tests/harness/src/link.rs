//! A link: a veth pair between two hosts, deleted on drop.
//!
//! Both ends are created where they belong, so nothing ever appears in the
//! caller's namespace. A [`Link`] keeps its hosts alive and is gone before them.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};

#[cfg(feature = "impair")]
use crate::error::Error;
use crate::error::Result;
use crate::host::Host;
use crate::interface::Interface;
#[cfg(feature = "impair")]
use crate::line::{Line, LinkEnd};
use crate::mac::MacAddress;
use crate::offloads::Offload;
use crate::queueing::Queueing;
use crate::switch::Switch;

/// A veth pair; what enters one end leaves the other. Deleted on drop.
#[derive(Debug)]
pub struct Link {
    near: Interface,
    far: Interface,
    /// What lies between the ends of an impairable link. The engine stops before its
    /// interfaces go.
    #[cfg(feature = "impair")]
    line: Option<Line>,
    #[cfg(feature = "impair")]
    halves: Vec<Link>,
}

/// Settings of a link; see [`Link::between`].
#[derive(Clone, Debug)]
#[must_use = "call create"]
pub struct LinkBuilder {
    near: End,
    far: End,
    mtu_bytes: u32,
    queues: u32,
    offloads: Switch,
    queueing: Queueing,
    #[cfg(feature = "impair")]
    is_impairable: bool,
}

#[derive(Clone, Debug)]
struct End {
    host: Host,
    name: Option<String>,
    mac: Option<MacAddress>,
}

impl Link {
    /// Plans a link with one end in `near` and the other in `far`, which may be
    /// the same host.
    ///
    /// By default both ends have the first free name of `eth0`,
    /// `eth1`, …, an MTU of 1500, one queue, no offloads and a `pfifo` queue, and
    /// are up: frames pass as soon as the link is there.
    ///
    /// ```no_run
    /// # fn main() -> wharf_testbed::Result<()> {
    /// use wharf_testbed::{Host, Link};
    ///
    /// let (client, server) = (Host::new("client")?, Host::new("server")?);
    /// let link = Link::between(&client, &server).queues(2).create()?;
    /// link.near().add_address([10, 0, 0, 1], 24)?;
    /// link.far().add_address([10, 0, 0, 2], 24)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn between(near: &Host, far: &Host) -> LinkBuilder {
        let end = |host: &Host| End {
            host: host.clone(),
            name: None,
            mac: None,
        };
        LinkBuilder {
            near: end(near),
            far: end(far),
            mtu_bytes: 1500,
            queues: 1,
            offloads: Switch::Off,
            queueing: Queueing::Pfifo,
            #[cfg(feature = "impair")]
            is_impairable: false,
        }
    }

    /// The near end, to be moved to another host.
    pub fn near_mut(&mut self) -> &mut Interface {
        &mut self.near
    }

    /// The far end, to be moved to another host.
    pub fn far_mut(&mut self) -> &mut Interface {
        &mut self.far
    }

    /// The end in the first host.
    pub fn near(&self) -> &Interface {
        &self.near
    }

    /// The end in the second host.
    pub fn far(&self) -> &Interface {
        &self.far
    }

    /// Delays, loses, duplicates, corrupts, reorders or slows down frames from now on, in
    /// both directions, in the words of `tc netem`: see
    /// [`Impairment`](wharf::impairment::Impairment). It takes the place of the one
    /// before; frames that are held keep their times.
    ///
    /// ```no_run
    /// # fn main() -> wharf_testbed::Result<()> {
    /// # use wharf_testbed::{Host, Link};
    /// # let (client, server) = (Host::new("client")?, Host::new("server")?);
    /// let link = Link::between(&client, &server).impairable().create()?;
    /// link.impair("delay 20ms loss 1%")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Impairment`] when the words are wrong, when more frames are to be held
    /// than there is memory for, and when the link is not
    /// [impairable](LinkBuilder::impairable). Nothing has changed then.
    #[cfg(feature = "impair")]
    pub fn impair(&self, impairment: &str) -> Result<()> {
        self.line()?.set(None, Some(impairment))
    }

    /// As [`impair`](Self::impair), only what the host at one end sends.
    ///
    /// # Errors
    ///
    /// As [`impair`](Self::impair).
    #[cfg(feature = "impair")]
    pub fn impair_from(&self, end: LinkEnd, impairment: &str) -> Result<()> {
        self.line()?.set(Some(end), Some(impairment))
    }

    /// Impairs frames no more.
    ///
    /// # Errors
    ///
    /// [`Error::Impairment`] when the link is not
    /// [impairable](LinkBuilder::impairable).
    #[cfg(feature = "impair")]
    pub fn clear_impairment(&self) -> Result<()> {
        self.line()?.set(None, None)
    }

    /// What was done so far to frames that the host at one end sent.
    ///
    /// # Errors
    ///
    /// As [`clear_impairment`](Self::clear_impairment).
    #[cfg(feature = "impair")]
    pub fn impaired(&self, end: LinkEnd) -> Result<wharf::impairment::ImpairmentCounts> {
        Ok(self.line()?.counts(end))
    }

    #[cfg(feature = "impair")]
    fn line(&self) -> Result<&Line> {
        self.line.as_ref().ok_or_else(|| Error::Impairment {
            reason: "it is a plain veth pair: create it with `impairable`".to_owned(),
        })
    }

    /// Deletes both ends now; the handle then speaks of an interface that is
    /// gone. Doing so twice is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) when the kernel refuses.
    pub fn delete(&self) -> Result<()> {
        // Either end takes the other along. Both are tried, because a handle is
        // stale once its end was moved by other means than this crate's.
        self.near.delete()?;
        self.far.delete()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        #[cfg(feature = "impair")]
        {
            drop(self.line.take());
            self.halves.clear();
        }
        // When even this fails, the kernel deletes the pair with its hosts.
        let _ = self.delete();
    }
}

impl LinkBuilder {
    /// Names the two ends.
    pub fn names(mut self, near: &str, far: &str) -> Self {
        self.near.name = Some(near.to_owned());
        self.far.name = Some(far.to_owned());
        self
    }

    /// Sets the Ethernet addresses of the two ends. Otherwise they are derived
    /// from the names of host and interface, the same on every run.
    pub fn macs(mut self, near: MacAddress, far: MacAddress) -> Self {
        self.near.mac = Some(near);
        self.far.mac = Some(far);
        self
    }

    /// Sets the MTU of both ends, in bytes without the Ethernet header.
    pub fn mtu(mut self, mtu_bytes: u32) -> Self {
        self.mtu_bytes = mtu_bytes;
        self
    }

    /// Creates both ends with this many receive and transmit queues, all in use.
    pub fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// Leaves the kernel's offloads on, or switches them off (the default).
    pub fn offloads(mut self, offloads: Switch) -> Self {
        self.offloads = offloads;
        self
    }

    /// Chooses the queueing discipline of both ends.
    pub fn queueing(mut self, queueing: Queueing) -> Self {
        self.queueing = queueing;
        self
    }

    /// Puts an engine in the middle, in a host of its own, so that
    /// [`Link::impair`] can impair what crosses the link. Until then it forwards every
    /// frame.
    ///
    /// It is an XDP program and a worker between two veth pairs: so the two ends are no
    /// peers, and neither notices when the other is set down. Leave offloads off.
    #[cfg(feature = "impair")]
    pub fn impairable(mut self) -> Self {
        self.is_impairable = true;
        self
    }

    /// Creates the link.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink) or
    /// [`Error::Interface`](crate::Error::Interface); nothing is left then.
    pub fn create(self) -> Result<Link> {
        #[cfg(feature = "impair")]
        if self.is_impairable {
            return self.create_impairable();
        }
        self.create_pair()
    }

    /// A pair to each end, and a line between them.
    #[cfg(feature = "impair")]
    fn create_impairable(self) -> Result<Link> {
        let middle = Host::new("line")?;
        let end = |name: &str| End {
            host: middle.clone(),
            name: Some(name.to_owned()),
            mac: None,
        };
        let (near_name, far_name) = self.choose_names()?;
        let half = |end: &End, name: String, other: End| Self {
            near: End {
                name: Some(name),
                ..end.clone()
            },
            far: other,
            is_impairable: false,
            ..self.clone()
        };
        let near = half(&self.near, near_name, end("left")).create_pair()?;
        let far = half(&self.far, far_name, end("right")).create_pair()?;
        let line = Line::start(&middle, &near.far, &far.far)?;
        Ok(Link {
            near: self.near.host.interface(near.near.name())?,
            far: self.far.host.interface(far.near.name())?,
            line: Some(line),
            halves: vec![near, far],
        })
    }

    fn create_pair(self) -> Result<Link> {
        let (near_name, far_name) = self.choose_names()?;
        let mut far = self.describe(&self.far, &far_name);
        let namespace = self.far.host.as_fd().as_raw_fd();
        far.attributes.push(LinkAttribute::NetNsFd(namespace));
        let mut near = self.describe(&self.near, &near_name);
        near.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]));
        let request = RouteNetlinkMessage::NewLink(near);
        self.near
            .host
            .request(request, NLM_F_CREATE | NLM_F_EXCL, || {
                let far_host = self.far.host.name();
                format!("create link `{near_name}` to `{far_name}` of host `{far_host}`")
            })?;

        let link = Link {
            near: self.near.host.interface(&near_name)?,
            far: self.far.host.interface(&far_name)?,
            #[cfg(feature = "impair")]
            line: None,
            #[cfg(feature = "impair")]
            halves: Vec::new(),
        };
        for end in [&link.near, &link.far] {
            if self.offloads == Switch::Off {
                for offload in Offload::ALL {
                    end.set_offload(offload, Switch::Off)?;
                }
            }
            if self.queueing == Queueing::Pfifo {
                end.set_queueing(Queueing::Pfifo)?;
            }
            end.set_up()?;
        }
        link.near.wait_for_carrier(CARRIER_LIMIT)?;
        link.far.wait_for_carrier(CARRIER_LIMIT)?;
        Ok(link)
    }

    fn describe(&self, end: &End, name: &str) -> LinkMessage {
        let mac = end
            .mac
            .unwrap_or_else(|| MacAddress::derived_from(end.host.name(), name));
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.octets().to_vec()),
            LinkAttribute::Mtu(self.mtu_bytes),
            LinkAttribute::NumTxQueues(self.queues),
            LinkAttribute::NumRxQueues(self.queues),
        ];
        message
    }

    fn choose_names(&self) -> Result<(String, String)> {
        let mut taken_near = self.near.host.interface_names()?;
        taken_near.extend(self.near.name.clone());
        let mut taken_far = if self.near.host.is_same_as(&self.far.host) {
            taken_near.extend(self.far.name.clone());
            taken_near.clone()
        } else {
            self.far.host.interface_names()?
        };
        let near = match &self.near.name {
            Some(name) => name.clone(),
            None => first_free(&taken_near),
        };
        if self.near.host.is_same_as(&self.far.host) {
            taken_far.push(near.clone());
        }
        let far = match &self.far.name {
            Some(name) => name.clone(),
            None => first_free(&taken_far),
        };
        Ok((near, far))
    }
}

/// The first of `eth0`, `eth1`, … that is not taken. Two threads that link the
/// same hosts at once may choose the same; one of them then gets an error.
fn first_free(taken: &[String]) -> String {
    (0..=taken.len())
        .map(|number| format!("eth{number}"))
        .find(|name| !taken.contains(name))
        .expect("one more candidate than names taken")
}

/// Carrier is there at once, unless the kernel-wide rtnl lock is contended.
const CARRIER_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_free_name_fills_the_gap() {
        let taken = ["lo", "eth0", "eth2"].map(str::to_owned);

        assert_eq!(first_free(&taken), "eth1");
        assert_eq!(first_free(&[]), "eth0");
    }
}
