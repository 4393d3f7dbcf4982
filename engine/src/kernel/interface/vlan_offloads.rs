//! Whether VLAN tags are taken out of frames, so that AF_XDP does not see them.
//!
//! A NIC does so with what it receives (`rxvlan`). On a veth the other end does, with
//! what it sends (`txvlan`). The tag then goes beside the frame, where AF_XDP has
//! nothing.

use std::io;
use std::os::fd::AsFd;

use super::link::Link;
use super::link_socket::LinkSocket;
use crate::kernel::sys::netdev;

/// Where VLAN tags are taken out of the frames of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VlanOffloads {
    /// Nowhere.
    None,
    /// In the interface itself, as it receives (`rxvlan`).
    Receiving,
    /// At the other end of a veth, of this name, as it sends (`txvlan`).
    Peer(String),
    /// At the other end of a veth, which is in another network namespace, unless that
    /// was changed there: the end here is as it was made.
    PeerElsewhere,
}

pub(super) fn of(socket: &mut LinkSocket, link: &Link) -> io::Result<VlanOffloads> {
    let receives = offloads(socket, link)?.0;
    if link.kind != "veth" {
        return Ok(if receives {
            VlanOffloads::Receiving
        } else {
            VlanOffloads::None
        });
    }
    let peer = match link.lower {
        Some(index) => socket.by_index(index)?,
        None => None,
    };
    Ok(match peer {
        Some(peer) if offloads(socket, &peer)?.1 => VlanOffloads::Peer(peer.name),
        None if receives => VlanOffloads::PeerElsewhere,
        _ => VlanOffloads::None,
    })
}

/// Of what it receives and of what it sends.
fn offloads(socket: &LinkSocket, link: &Link) -> io::Result<(bool, bool)> {
    match netdev::vlan_offloads(socket.as_fd(), &link.name) {
        // It has no such features.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok((false, false)),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::handle::Interface;
    use super::super::testing::{in_private_network, ip};
    use super::*;

    fn offloads_of(name: &str) -> VlanOffloads {
        let interface = Interface::by_name(name).expect("it exists");
        interface.vlan_offloads().expect("the kernel answers")
    }

    #[test]
    fn tags_of_a_veth_are_taken_out_at_the_other_end() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            assert_eq!(offloads_of("one"), VlanOffloads::Peer("two".to_owned()));
            assert_eq!(offloads_of("lo"), VlanOffloads::None);

            let changed = Command::new("ethtool")
                .args(["-K", "two", "txvlan", "off"])
                .status();
            if changed.is_err() {
                println!("without `ethtool` it cannot be switched off");
                return;
            }

            assert_eq!(offloads_of("one"), VlanOffloads::None);
            assert_eq!(offloads_of("two"), VlanOffloads::Peer("one".to_owned()));
        });
    }
}
