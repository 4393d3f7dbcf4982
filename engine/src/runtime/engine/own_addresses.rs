//! The host's own addresses, in the steering of each interface that keeps
//! management traffic with the kernel, for as long as the engine runs.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::rules::SteeringTable;
use crate::kernel::interface::AddressWatch;
use crate::kernel::interface_id::InterfaceId;
use crate::runtime::Error;

/// Carries addresses from the network namespace to the steering.
pub(super) struct AddressFollower {
    watch: AddressWatch,
    steering: Arc<SteeringTable>,
    /// The interfaces that are told.
    told: Vec<InterfaceId>,
}

impl AddressFollower {
    /// Tells the steering of the interfaces `told` the addresses of the calling
    /// thread's network namespace.
    pub(super) fn start(
        steering: &Arc<SteeringTable>,
        told: Vec<InterfaceId>,
    ) -> Result<Self, Error> {
        let follower = Self {
            watch: AddressWatch::open()?,
            steering: Arc::clone(steering),
            told,
        };
        follower.tell()?;
        Ok(follower)
    }

    /// Passes on what changed since the last call.
    pub(super) fn follow(&mut self) -> Result<(), Error> {
        if self.watch.poll(Duration::ZERO)? {
            self.tell()?;
        }
        Ok(())
    }

    fn tell(&self) -> Result<(), Error> {
        let addresses: Vec<IpAddr> = self.watch.addresses().iter().copied().collect();
        let mut steering = self.steering.lock();
        for &InterfaceId(id) in &self.told {
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
