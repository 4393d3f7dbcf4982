//! Moving an interface from one host to another.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_route::link::LinkAttribute;

use crate::error::Result;
use crate::host::Host;
use crate::interface::Interface;
use crate::queueing::Queueing;

impl Interface {
    /// Moves the interface into another host.
    ///
    /// On the way the kernel sets it down and takes its addresses,
    /// neighbours and routes, and an XDP socket bound to it goes dead. A `pfifo`
    /// discipline is attached anew; the rest is for the caller to set again.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`](crate::Error::Netlink), for instance when the name is taken over there.
    pub fn move_to(&mut self, host: &Host) -> Result<()> {
        let had_queue = self.status()?.queueing_discipline == Queueing::PFIFO;
        let attribute = LinkAttribute::NetNsFd(host.as_fd().as_raw_fd());
        self.change(vec![attribute], || {
            format!("move to host `{}`", host.name())
        })?;
        *self = host.interface(self.name())?;
        if had_queue {
            self.set_queueing(Queueing::Pfifo)?;
        }
        Ok(())
    }
}
