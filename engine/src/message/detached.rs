//! A whole message on its way between threads.

use super::whole::Message;
use crate::memory::{DetachedFrame, Frame, Umem};

/// A [`Message`] that may travel between threads. Dropping it sends its chunks back.
#[derive(Debug)]
pub struct DetachedMessage<P> {
    pub(super) peer: P,
    pub(super) number: u64,
    pub(super) len: u32,
    pub(super) stride: u32,
    pub(super) frames: Vec<DetachedFrame>,
}

impl<P> Message<P> {
    /// Makes it fit to travel to other threads.
    #[must_use]
    pub fn detach(self) -> DetachedMessage<P> {
        DetachedMessage {
            peer: self.peer,
            number: self.number,
            len: self.len,
            stride: self.stride,
            frames: self.frames.into_iter().map(Frame::detach).collect(),
        }
    }
}

impl<P> DetachedMessage<P> {
    /// See [`Message::segments`].
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().flat_map(DetachedFrame::segments)
    }

    /// See [`Message::segments_mut`].
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.frames.iter_mut().flat_map(DetachedFrame::segments_mut)
    }

    /// Makes it a [`Message`] again, on the thread of its UMEM.
    ///
    /// # Errors
    ///
    /// A message with a frame of another UMEM, which is returned.
    pub fn attach(self, umem: &Umem) -> Result<Message<P>, Self> {
        let mut attached = Vec::with_capacity(self.frames.len());
        let mut foreign = Vec::new();
        for frame in self.frames {
            if !foreign.is_empty() {
                foreign.push(frame);
                continue;
            }
            match umem.attach(frame) {
                Ok(frame) => attached.push(frame),
                Err(frame) => foreign.push(frame),
            }
        }
        let Self {
            peer,
            number,
            len,
            stride,
            ..
        } = self;
        if foreign.is_empty() {
            return Ok(Message {
                peer,
                number,
                len,
                stride,
                frames: attached,
            });
        }
        let own = attached.into_iter().map(Frame::detach);
        Err(Self {
            peer,
            number,
            len,
            stride,
            frames: own.chain(foreign).collect(),
        })
    }

    /// Who sent it.
    pub fn peer(&self) -> &P {
        &self.peer
    }

    /// The number that its sender gave it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of its payload.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
