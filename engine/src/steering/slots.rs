//! The slots: one for each xsk of each queue.

use std::os::fd::BorrowedFd;

use aya::maps::MapError;

use super::error::{SteeringError, SteeringErrorKind, into_io};
use super::handle::Steering;
use super::shared;
use crate::kernel::XskIndex;

impl Steering {
    /// Redirects the frames of `queue` that go to its first xsk to `socket`, from
    /// the next frame on. The kernel empties the slot by itself when the socket is
    /// closed.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::QueueOutOfRange`], or [`SteeringErrorKind::Slot`] when
    /// `socket` is no xsk.
    pub fn insert(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
        self.insert_xsk(queue, XskIndex(0), socket)
    }

    /// Like [`insert`](Self::insert), for any of the queue's xsks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn insert_xsk(
        &mut self,
        queue: u32,
        xsk: XskIndex,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SteeringError> {
        let slot = self.slot(queue, xsk)?;
        let result = self.shared.xsks.set(slot, socket, 0);
        result.map_err(|source| self.slot_error(queue, "steer frames to", source))
    }

    /// Leaves the frames of `queue` that go to its first xsk to the kernel, from
    /// the next frame on. An empty slot is fine.
    ///
    /// # Errors
    ///
    /// [`SteeringErrorKind::QueueOutOfRange`].
    pub fn remove(&mut self, queue: u32) -> Result<(), SteeringError> {
        self.remove_xsk(queue, XskIndex(0))
    }

    /// Like [`remove`](Self::remove), for any of the queue's xsks.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn remove_xsk(&mut self, queue: u32, xsk: XskIndex) -> Result<(), SteeringError> {
        let slot = self.slot(queue, xsk)?;
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
