//! How many frames the rings of a NIC hold.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::sys::ethtool::{self, RingSizes};

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
