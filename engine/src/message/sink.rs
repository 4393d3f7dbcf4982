//! Where the frames of messages go: to an xsk, or to an interface by a worker's outbox.

use crate::kernel::InterfaceId;
use crate::memory::frame::Frame;
use crate::runtime::Outbox;
use crate::xsk::{TransmitError, XskTx};

/// Sends the frames of messages, each with its message's cookie.
pub trait FrameSink {
    /// Frames that it takes now.
    fn room(&mut self) -> u32;

    /// Sends a frame whose completion is reported with `cookie`, and returned with it if
    /// `returning` says so.
    ///
    /// # Errors
    ///
    /// [`TransmitError`] with the frame.
    fn send(
        &mut self,
        frame: Frame,
        cookie: u64,
        returning: Returning,
    ) -> Result<(), TransmitError>;
}

/// Whether the frames of a message come back when they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returning {
    /// Their chunks are free then.
    #[default]
    No,
    /// They come back as a message again: to be sent once more, or to be kept.
    Yes,
}

impl FrameSink for XskTx<'_> {
    fn room(&mut self) -> u32 {
        XskTx::room(self)
    }

    fn send(
        &mut self,
        frame: Frame,
        cookie: u64,
        returning: Returning,
    ) -> Result<(), TransmitError> {
        match returning {
            Returning::No => self.transmit_tagged(frame, cookie),
            Returning::Yes => self.transmit_returning(frame, cookie),
        }
    }
}

/// An interface of a worker, reached by its outbox.
#[derive(Debug)]
pub struct ToInterface<'a, 'b> {
    out: &'a mut Outbox<'b>,
    interface: InterfaceId,
}

impl<'a, 'b> ToInterface<'a, 'b> {
    /// Sends on an interface for as long as the outbox is borrowed.
    pub fn new(out: &'a mut Outbox<'b>, interface: InterfaceId) -> Self {
        Self { out, interface }
    }
}

impl FrameSink for ToInterface<'_, '_> {
    fn room(&mut self) -> u32 {
        self.out.room(self.interface)
    }

    fn send(
        &mut self,
        frame: Frame,
        cookie: u64,
        returning: Returning,
    ) -> Result<(), TransmitError> {
        match returning {
            Returning::No => self.out.try_send_tagged(frame, cookie, self.interface),
            Returning::Yes => self.out.try_send_returning(frame, cookie, self.interface),
        }
    }
}
