//! How many queues of an interface are in use.

use crate::error::Result;
use crate::interface::Interface;
use crate::sys::ethtool::{self, Channels};

impl Interface {
    /// Changes how many queues are in use, up to those created
    /// ([`LinkBuilder::queues`](crate::LinkBuilder::queues)).
    ///
    /// Native XDP on a veth needs at least as many receive queues as the peer
    /// has transmit queues.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`](crate::Error::Interface) when the kernel refuses.
    pub fn set_channels(&self, rx: u32, tx: u32) -> Result<()> {
        ethtool::set_channels(self.host().control(), self.name(), rx, tx)
            .map_err(|source| self.error(format!("use {rx} rx and {tx} tx queues"), source))
    }

    /// How many queues are in use.
    ///
    /// # Errors
    ///
    /// [`Error::Interface`](crate::Error::Interface) when the driver does not
    /// say (loopback does not).
    pub fn channels(&self) -> Result<Channels> {
        ethtool::channels(self.host().control(), self.name())
            .map_err(|source| self.error("read its queue counts", source))
    }
}
