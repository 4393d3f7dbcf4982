//! The IP addresses of a network namespace, as they come and go.
//!
//! All interfaces count, loopback too: routers have the address that they are
//! managed by there. Only 127.0.0.0/8 and ::1 are left out, because no frame
//! from outside may have them as its destination.
//!
//! A notification says that something changed; what there is now is then
//! requested. So an address that two interfaces have is there until both have lost
//! it, and notifications that the kernel dropped (`ENOBUFS`) are no loss.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{DecodeError, NlasIterator};
use netlink_sys::Socket;

use super::error::{CallContext, InterfaceError};
use super::netlink::{self, Netlink};
use crate::kernel::sys::wait::PollSet;

/// The addresses of the network namespace it was opened in.
///
/// Its descriptor is readable when addresses may have changed.
#[derive(Debug)]
pub(crate) struct AddressWatch {
    notifications: Socket,
    netlink: Netlink,
    addresses: BTreeSet<IpAddr>,
}

impl AddressWatch {
    /// Looks up the addresses in the network namespace of the calling thread, and
    /// starts to listen for changes.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a socket or does not answer.
    pub(crate) fn open() -> Result<Self, InterfaceError> {
        Self::subscribe().in_namespace(OPERATION)
    }

    /// The addresses, as of the last look.
    #[must_use]
    pub(crate) fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }

    /// Looks for changes, and waits up to `timeout` for one when there is none.
    /// Zero does not wait. Returns whether [`addresses`](Self::addresses) has
    /// others than before.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer; then addresses may have changed unseen.
    pub(crate) fn poll(&mut self, timeout: Duration) -> Result<bool, InterfaceError> {
        self.wait(timeout).in_namespace(OPERATION)
    }

    fn subscribe() -> io::Result<Self> {
        // Listening first, so that nothing is missed in between.
        let notifications =
            netlink::subscribe(&[libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR])?;
        let mut netlink = Netlink::route()?;
        Ok(Self {
            addresses: look_up(&mut netlink)?,
            notifications,
            netlink,
        })
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let start = Instant::now();
        loop {
            if self.drain_notifications()? {
                let addresses = look_up(&mut self.netlink)?;
                if addresses != self.addresses {
                    self.addresses = addresses;
                    return Ok(true);
                }
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            let set = PollSet::new(self.notifications.as_fd());
            set.wait(left)?;
        }
    }

    /// Takes all notifications, and returns whether there were any.
    fn drain_notifications(&mut self) -> io::Result<bool> {
        let mut were_any = false;
        loop {
            match self.notifications.recv_from_full() {
                Ok(_) => were_any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(were_any),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => were_any = true,
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for AddressWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

fn look_up(netlink: &mut Netlink) -> io::Result<BTreeSet<IpAddr>> {
    // Of any family: the header's first byte is AF_UNSPEC.
    let header = [0; ADDRESS_HEADER_LEN];
    let addresses = netlink.dump(libc::RTM_GETADDR, &header, parse)?;
    let from_outside = addresses.into_iter().filter(|ip| !ip.is_loopback());
    Ok(from_outside.collect())
}

/// Reads an address; `None` for what is neither IPv4 nor IPv6.
fn parse(payload: &[u8]) -> Result<Option<IpAddr>, DecodeError> {
    let attributes = payload.get(ADDRESS_HEADER_LEN..).unwrap_or_default();
    let (mut address, mut local) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::IFA_ADDRESS => address = parse_ip(attribute.value()),
            libc::IFA_LOCAL => local = parse_ip(attribute.value()),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the peer's. Of IPv6 the kernel
    // says IFA_LOCAL only there (`inet6_fill_ifaddr`, `net/ipv6/addrconf.c`).
    Ok(local.or(address))
}

fn parse_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

const OPERATION: &str = "watch the addresses of this network namespace";

/// The bytes of `struct ifaddrmsg`, `include/uapi/linux/if_addr.h`.
const ADDRESS_HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::testing::{allow_ipv6, in_private_network, ip};
    use super::*;

    /// A deadline for what happens at once.
    const SOON: Duration = Duration::from_secs(10);

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        let parse = |text: &&str| text.parse().expect("an address");
        texts.iter().map(parse).collect()
    }

    /// A watch on an interface whose link-local addresses do not come by
    /// themselves.
    fn watch() -> AddressWatch {
        ip("link add one type veth peer name two");
        ip("link set dev one addrgenmode none");
        ip("link set dev one up");
        AddressWatch::open().expect("a socket")
    }

    #[test]
    fn addresses_of_all_interfaces_but_the_loopback_ones_are_known() {
        in_private_network(|| {
            allow_ipv6();
            drop(watch());
            ip("address add 10.1.0.1/24 dev one");
            ip("address add 192.0.2.7/32 dev lo");
            ip("address add 127.0.0.5/8 dev lo");
            ip("address add 10.1.0.9 peer 10.1.0.10 dev one");
            ip("address add 2001:db8::1/64 dev one nodad");
            ip("address add 2001:db8::9 peer 2001:db8::a dev one nodad");

            let watch = AddressWatch::open().expect("a socket");

            let expected = ["10.1.0.1", "192.0.2.7", "10.1.0.9"];
            let expected6 = ["2001:db8::1", "2001:db8::9"];
            let expected = [expected.as_slice(), &expected6].concat();
            assert_eq!(watch.addresses(), &addresses(&expected));
        });
    }

    #[test]
    fn addresses_are_followed_as_they_come_and_go() {
        in_private_network(|| {
            allow_ipv6();
            let mut watch = watch();
            assert_eq!(watch.addresses(), &addresses(&[]));
            assert!(!watch.poll(Duration::ZERO).expect("an answer"));

            ip("address add 10.1.0.1/24 dev one");
            assert!(watch.poll(SOON).expect("an answer"));
            assert_eq!(watch.addresses(), &addresses(&["10.1.0.1"]));
            ip("address add 2001:db8::1/64 dev one nodad");
            assert!(watch.poll(SOON).expect("an answer"));
            ip("address delete 10.1.0.1/24 dev one");
            assert!(watch.poll(SOON).expect("an answer"));

            assert_eq!(watch.addresses(), &addresses(&["2001:db8::1"]));
            ip("link delete one");
            assert!(watch.poll(SOON).expect("an answer"));
            assert_eq!(watch.addresses(), &addresses(&[]));
        });
    }

    #[test]
    fn address_on_two_interfaces_stays_until_both_have_lost_it() {
        in_private_network(|| {
            let mut watch = watch();
            ip("address add 10.1.0.1/32 dev one");
            ip("address add 10.1.0.1/32 dev lo");
            assert!(watch.poll(SOON).expect("an answer"));

            ip("address delete 10.1.0.1/32 dev one");

            assert!(!watch.poll(Duration::ZERO).expect("an answer"));
            ip("address delete 10.1.0.1/32 dev lo");
            assert!(watch.poll(SOON).expect("an answer"));
            assert_eq!(watch.addresses(), &addresses(&[]));
        });
    }

    #[test]
    fn change_is_found_after_lost_notifications() {
        in_private_network(|| {
            let mut watch = watch();
            // The kernel's least is 2 KiB or so: a few notifications.
            watch
                .notifications
                .set_rx_buf_sz(1_u32)
                .expect("a small buffer");
            for host in 1..100 {
                ip(&format!("address add 10.1.0.{host}/32 dev one"));
            }

            assert!(watch.poll(SOON).expect("an answer"));

            assert_eq!(watch.addresses().len(), 99);
            assert!(!watch.poll(Duration::ZERO).expect("an answer"));
        });
    }
}
