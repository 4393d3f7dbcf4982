//! The slots: one for each xsk of each queue.
//!
//! A frame that is redirected to the socket of another queue or interface is lost:
//! the kernel drops it and no counter of the socket says so (`xsk_rcv_check`,
//! `net/xdp/xsk.c`). So a slot takes an [`Xsk`], whose queue and interface are
//! compared.

#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;

use aya::maps::MapError;

use super::error::{SteeringError, SteeringErrorKind, into_io};
use super::handle::Steering;
use super::shared;
use crate::kernel::{InterfaceIndex, QueueIndex, XskIndex};
use crate::xsk::Xsk;

/// A slot: frames of the queue that go to the queue's n-th xsk.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) queue: QueueIndex,
    pub(crate) xsk: XskIndex,
}

impl Steering {
    /// Redirects the frames of the xsk's queue that go to the [`XskIndex`] of `xsk`
    /// to its socket, from the next frame on. The kernel empties the slot by itself
    /// when the xsk is dropped.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::OtherInterface`] when the xsk is bound to another
    /// interface, [`SteeringErrorKind::NoSocket`] when it is simulated,
    /// [`SteeringErrorKind::QueueOutOfRange`] and
    /// [`SteeringErrorKind::XskOutOfRange`] when there is no such slot.
    pub fn insert(&mut self, xsk: &Xsk) -> Result<(), SteeringError> {
        self.insert_as(xsk.index(), xsk)
    }

    /// Like [`insert`](Self::insert), for frames that go to `index`, whatever index
    /// the xsk has itself: so one xsk of a queue takes the frames of another.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn insert_as(&mut self, index: XskIndex, xsk: &Xsk) -> Result<(), SteeringError> {
        let Some((socket, bound_to)) = xsk.socket().zip(xsk.bound_to()) else {
            return Err(self.error(SteeringErrorKind::NoSocket));
        };
        let slot = Slot {
            queue: xsk.queue(),
            xsk: index,
        };
        self.insert_bound(slot, bound_to, socket)
    }

    /// Inserts the socket of an xsk that is on another thread.
    pub(crate) fn insert_bound(
        &mut self,
        slot: Slot,
        bound_to: InterfaceIndex,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SteeringError> {
        let other = |reason| SteeringErrorKind::OtherInterface { bound_to, reason };
        if self.interface.shares_namespace_of(socket) == Some(false) {
            return Err(self.error(other("in another network namespace than")));
        }
        if bound_to != self.interface.index() {
            return Err(self.error(other("which is not")));
        }
        self.insert_fd(slot.queue.get(), slot.xsk, socket)
    }

    /// Redirects the frames of `queue` that go to the xsk `index` to `socket`, which
    /// may be an AF_XDP socket of any library.
    ///
    /// Nothing is compared: frames are lost, and in no counter of the socket, while
    /// it is not bound, and when it is bound to another queue or interface.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::QueueOutOfRange`] and
    /// [`SteeringErrorKind::XskOutOfRange`] when there is no such slot, and
    /// [`SteeringErrorKind::Slot`] when `socket` is no AF_XDP socket.
    pub fn insert_fd(
        &mut self,
        queue: u32,
        index: XskIndex,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SteeringError> {
        let slot = self.slot(queue, index)?;
        let result = self.shared.xsks.set(slot, socket, 0);
        result.map_err(|source| self.slot_error(queue, "steer frames to", source))
    }

    /// Empties the slot: from the next frame on, frames of `queue` that go to the
    /// xsk `index` go to the kernel's stack. An empty slot is fine.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::QueueOutOfRange`] and
    /// [`SteeringErrorKind::XskOutOfRange`] when there is no such slot.
    pub fn clear(&mut self, queue: u32, index: XskIndex) -> Result<(), SteeringError> {
        let slot = self.slot(queue, index)?;
        let removed = shared::found(self.shared.xsks.unset(slot));
        let removed = removed.map(drop);
        removed.map_err(|source| self.slot_error(queue, "stop steering frames to", source))
    }

    pub(super) fn slot(&self, queue: u32, xsk: XskIndex) -> Result<u32, SteeringError> {
        let queue_slots = self.queue_slots;
        if queue >= queue_slots {
            return Err(self.error(SteeringErrorKind::QueueOutOfRange { queue, queue_slots }));
        }
        let xsks = self.config.xsks_per_queue;
        if xsk.0 >= xsks {
            return Err(self.error(SteeringErrorKind::XskOutOfRange { xsk, xsks }));
        }
        Ok(queue * u32::from(xsks) + u32::from(xsk.0))
    }

    pub(super) fn slot_error(
        &self,
        queue: u32,
        operation: &'static str,
        source: MapError,
    ) -> SteeringError {
        self.error(SteeringErrorKind::Slot {
            queue,
            operation,
            source: into_io(source),
        })
    }
}
