//! The host's own addresses, in the steering of each interface that keeps
//! management traffic with the kernel, for as long as the engine runs.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::steering_table::SteeringTable;
use crate::kernel::interface::AddressWatch;
use crate::kernel::interface_id::InterfaceId;
use crate::runtime::Error;

/// Carries addresses from the network namespace to the steering.
pub(super) struct AddressFollower {
    watch: AddressWatch,
    steering: Arc<SteeringTable>,
    /// The interfaces whose steering knows them.
    interfaces: Vec<InterfaceId>,
}

impl AddressFollower {
    /// Puts the addresses of the calling thread's network namespace into the steering
    /// of `interfaces`.
    pub(super) fn start(
        steering: &Arc<SteeringTable>,
        interfaces: Vec<InterfaceId>,
    ) -> Result<Self, Error> {
        let follower = Self {
            watch: AddressWatch::open()?,
            steering: Arc::clone(steering),
            interfaces,
        };
        follower.set()?;
        Ok(follower)
    }

    /// Passes on what changed since the last call.
    pub(super) fn follow(&mut self) -> Result<(), Error> {
        if self.watch.poll(Duration::ZERO)? {
            self.set()?;
        }
        Ok(())
    }

    fn set(&self) -> Result<(), Error> {
        let addresses: Vec<IpAddr> = self.watch.addresses().iter().copied().collect();
        let mut steering = self.steering.lock();
        for &InterfaceId(id) in &self.interfaces {
            steering[id].set_own_addresses(&addresses)?;
        }
        Ok(())
    }
}

impl AsFd for AddressFollower {
    /// Readable when there may be something to [`follow`](Self::follow).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
