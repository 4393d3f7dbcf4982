//! Requests about links.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, NLM_F_DUMP, NLM_F_REQUEST, NetlinkSerializable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_sys::Socket;

use super::link::{Link, parse_link};
use super::netlink::{self, Netlink};
use crate::kernel::terms::InterfaceIndex;

/// A socket for requests about links, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct LinkSocket(Netlink);

impl LinkSocket {
    pub(super) fn open() -> io::Result<Self> {
        Netlink::route().map(Self)
    }

    /// The link called `name`, if there is one.
    pub(super) fn by_name(&mut self, name: &str) -> io::Result<Option<Link>> {
        // The kernel's limit with the terminating zero. Longer names it does not look
        // up but refuses, as if the request were wrong.
        if name.is_empty() || name.len() >= ALTIFNAMSIZ || name.contains('\0') {
            return Ok(None);
        }
        // Short ones are looked up among both kinds.
        let is_short = name.len() < libc::IFNAMSIZ;
        let attribute = if is_short {
            LinkAttribute::IfName(name.to_owned())
        } else {
            let text = [name.as_bytes(), &[0]].concat();
            LinkAttribute::Other(DefaultNla::new(IFLA_ALT_IFNAME, text))
        };
        let mut request = LinkMessage::default();
        request.attributes.push(attribute);
        match self.one(request) {
            // Before Linux 5.5 there are no alternative names.
            Err(error) if !is_short && error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            found => found,
        }
    }

    /// The link with the number `index`, if there is one.
    pub(super) fn by_index(&mut self, index: InterfaceIndex) -> io::Result<Option<Link>> {
        let mut request = LinkMessage::default();
        request.header.index = index.get();
        self.one(request)
    }

    /// All links.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut request = LinkMessage::default();
        skip_statistics(&mut request);
        let request = RouteNetlinkMessage::GetLink(request);
        self.request(request, NLM_F_REQUEST | NLM_F_DUMP)
    }

    /// The names of all links.
    pub(super) fn names(&mut self) -> io::Result<Vec<String>> {
        let links = self.links()?;
        Ok(links.into_iter().map(|link| link.name).collect())
    }

    /// For requests about other things than links, on the same socket.
    pub(super) fn netlink(&mut self) -> &mut Netlink {
        &mut self.0
    }

    fn one(&mut self, mut request: LinkMessage) -> io::Result<Option<Link>> {
        skip_statistics(&mut request);
        let request = RouteNetlinkMessage::GetLink(request);
        match self.request(request, NLM_F_REQUEST) {
            Ok(links) => Ok(links.into_iter().next()),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends `request` and returns the links in the answer.
    pub(super) fn request(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<Link>> {
        let mut body = vec![0; request.buffer_len()];
        request.serialize(&mut body);
        self.0
            .request(request.message_type(), &body, flags, parse_link)
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The bytes of an alternative name with its zero. Source: `include/uapi/linux/if.h`.
const ALTIFNAMSIZ: usize = 128;

/// Source: `include/uapi/linux/if_link.h`.
const IFLA_ALT_IFNAME: u16 = 53;

/// Opens a socket that receives a notification of every change of a link in the
/// calling thread's network namespace, and never blocks.
pub(super) fn subscribe() -> io::Result<Socket> {
    netlink::subscribe(&[libc::RTNLGRP_LINK])
}

/// Statistics are most of an answer, and none of what we need.
fn skip_statistics(request: &mut LinkMessage) {
    let mask = vec![LinkExtentMask::SkipStats];
    request.attributes.push(LinkAttribute::ExtMask(mask));
}

#[cfg(test)]
mod tests {
    use super::super::testing::in_private_network;
    use super::*;

    #[test]
    fn link_is_found_by_name_and_by_index() {
        in_private_network(|| {
            let mut links = LinkSocket::open().expect("a socket");

            let by_name = links.by_name("lo").expect("an answer").expect("lo");
            let by_index = links.by_index(by_name.index).expect("an answer");

            assert_eq!(by_index.as_ref(), Some(&by_name));
            assert_eq!((by_name.name.as_str(), by_name.mtu), ("lo", 65_536));
            assert_eq!(links.names().expect("an answer")[0], "lo");
            assert_eq!(links.by_name("none").expect("an answer"), None);
            assert_eq!(
                links.by_index(InterfaceIndex::new(99)).expect("an answer"),
                None
            );
        });
    }
}
