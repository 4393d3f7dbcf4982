//! Promiscuous mode, held by a socket.
//!
//! The kernel counts who asks for promiscuous mode and drops our count when the
//! socket is closed, so a killed process leaves the interface as it was. Setting
//! `IFF_PROMISC` would not come undone.

use std::os::fd::{AsFd, OwnedFd};

use super::error::{CallContext, InterfaceError};
use crate::kernel::sys::netdev;
use crate::kernel::terms::InterfaceIndex;

/// Keeps an interface in promiscuous mode for as long as it lives.
#[derive(Debug)]
#[must_use = "promiscuous mode ends when this is dropped"]
pub struct Promiscuous {
    socket: OwnedFd,
    index: InterfaceIndex,
}

impl Promiscuous {
    pub(super) fn hold(name: &str, index: InterfaceIndex) -> Result<Self, InterfaceError> {
        const OPERATION: &str = "receive frames for other hosts (promiscuous mode) on";
        let socket = netdev::packet_socket().context(name, OPERATION)?;
        netdev::hold_promiscuous(socket.as_fd(), index.get()).context(name, OPERATION)?;
        Ok(Self { socket, index })
    }
}

impl Drop for Promiscuous {
    fn drop(&mut self) {
        // It fails when the interface is gone. Closing alone would wait for the
        // copy of the descriptor in a child between `fork` and `exec`.
        let _ = netdev::release_promiscuous(self.socket.as_fd(), self.index.get());
    }
}

#[cfg(test)]
mod tests {
    use super::super::handle::Interface;
    use super::super::testing::{in_private_network, ip, ip_output};

    #[test]
    fn promiscuous_mode_ends_with_its_guard() {
        in_private_network(|| {
            ip("link add one type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");
            let is_promiscuous = || ip_output("-d link show dev one").contains("promiscuity 1");

            let guard = one.promiscuous().expect("CAP_NET_RAW is held");

            assert!(is_promiscuous());
            drop(guard);
            assert!(!is_promiscuous());
        });
    }

    #[test]
    fn interface_of_another_namespace_is_refused() {
        in_private_network(|| {
            ip("link add one index 4242 type veth peer name two");
            let one = Interface::by_name("one").expect("it was just added");

            let error = in_private_network(move || one.promiscuous().map(drop));

            let error = error
                .expect("privileged, as before")
                .expect_err("no such index there")
                .to_string();
            assert!(error.contains("not in the network namespace"), "{error}");
        });
    }
}
