//! How many frames the rings of a NIC hold.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::sys::ethtool;

/// Frames that each receive and transmit ring of a NIC holds, now and at most, as
/// `ethtool -g` shows them. A veth has no rings.
///
/// NICs are not moved into hosts of their own, so this is about the interfaces
/// of the calling thread's network namespace, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingSizes {
    /// Of each receive ring.
    pub rx: u32,
    /// Of each transmit ring.
    pub tx: u32,
    /// Of each receive ring, at most.
    pub max_rx: u32,
    /// Of each transmit ring, at most.
    pub max_tx: u32,
}

impl RingSizes {
    /// Those of `interface`.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when there is no such interface, or it has no rings.
    pub fn of(interface: &str) -> Result<Self> {
        control()
            .and_then(|socket| ethtool::ring_sizes(socket.as_fd(), interface))
            .map_err(|source| error(interface, "read the sizes of its rings".to_owned(), source))
    }

    /// Resizes the rings of `interface`. Frames in them are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`] when the driver refuses, as some do while an xsk is
    /// bound in zero-copy mode.
    pub fn set(interface: &str, rx: u32, tx: u32) -> Result<()> {
        control()
            .and_then(|socket| ethtool::set_ring_sizes(socket.as_fd(), interface, rx, tx))
            .map_err(|source| {
                let operation = format!("give it rings of {rx} rx and {tx} tx frames");
                error(interface, operation, source)
            })
    }
}

/// Ethtool's ioctl takes any socket of the namespace.
fn control() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
}

fn error(interface: &str, operation: String, source: io::Error) -> Error {
    Error::Interface {
        host: "this thread's".to_owned(),
        interface: interface.to_owned(),
        operation,
        source,
    }
}
