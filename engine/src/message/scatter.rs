//! Cuts a message into frames, one at a time, so that a sender may stop where the TX ring
//! is full and go on later.

use super::error::{MessageError, NoChunk};
use super::fragment::{FRAGMENT_HEADER_BYTES, Fragment};
use super::headers::Headers;
use super::layout::Layout;
use super::payload::Payload;
use super::whole::Message;
use crate::memory::Umem;
use crate::memory::frame::Frame;

/// A message on its way into frames.
///
/// It is resumable: each [`next_frame`](Self::next_frame) makes one, and what is left
/// waits as long as it has to.
#[derive(Debug)]
pub struct Scatter<H, P> {
    headers: H,
    source: Source<P>,
    /// The fragment that comes next; beyond the last one when all were made.
    next: Fragment,
    count: u32,
}

/// Where the payload comes from.
#[derive(Debug)]
enum Source<P> {
    /// It is written into new frames.
    Payload(P),
    /// It is in frames already.
    Frames(std::vec::IntoIter<Frame>),
}

impl<H: Headers, P: Payload> Scatter<H, P> {
    /// A message of `len` bytes, which `payload` writes into its frames. To its peer,
    /// `number` tells it from others of the same sender: use each once, counting up.
    ///
    /// # Errors
    ///
    /// [`MessageError::OtherHeaders`] when the layout was made for others.
    pub fn new(
        number: u64,
        len: u32,
        layout: &Layout,
        headers: H,
        payload: P,
    ) -> Result<Self, MessageError> {
        if headers.header_bytes() != layout.header_bytes() {
            return Err(MessageError::OtherHeaders {
                layout: layout.header_bytes(),
                headers: headers.header_bytes(),
            });
        }
        let next = Fragment {
            message: number,
            message_len: len,
            stride: layout.stride(),
            index: 0,
        };
        Ok(Self {
            headers,
            source: Source::Payload(payload),
            next,
            count: next.count(),
        })
    }

    /// A message that was received, on its way to somebody else or back, in the frames
    /// that it lies in: headers are written in front of each, and nothing is copied.
    ///
    /// # Errors
    ///
    /// The message, when the headers do not fit in front of its frames. They do where
    /// they are no longer than those it came with.
    pub fn of_message<Q>(
        number: u64,
        message: Message<Q>,
        headers: H,
    ) -> Result<Self, (Message<Q>, MessageError)> {
        let needed = headers.header_bytes() + FRAGMENT_HEADER_BYTES;
        let free = message.frames.iter().map(Frame::headroom).min();
        let headroom = free.unwrap_or(0);
        if headroom < needed {
            let error = MessageError::NoHeadroom {
                headroom,
                headers: needed,
            };
            return Err((message, error));
        }
        let next = Fragment {
            message: number,
            message_len: message.len,
            stride: message.stride,
            index: 0,
        };
        Ok(Self {
            headers,
            source: Source::Frames(message.frames.into_iter()),
            next,
            count: next.count(),
        })
    }

    /// The next frame of the message, ready to be sent, or `None` when there are no more.
    ///
    /// # Errors
    ///
    /// [`NoChunk`] when a new frame finds no free chunk in `umem`: nothing has changed,
    /// and the same frame comes next.
    pub fn next_frame(&mut self, umem: &Umem) -> Result<Option<Frame>, NoChunk> {
        if self.is_done() {
            return Ok(None);
        }
        let fragment = self.next;
        let front = self.headers.header_bytes() + FRAGMENT_HEADER_BYTES;
        let mut frame = match &mut self.source {
            Source::Payload(payload) => {
                let mut frame = allocate(umem, front, fragment.len())?;
                fill(&mut frame, front, &fragment, payload);
                frame
            }
            Source::Frames(frames) => {
                let mut frame = frames.next().expect("a message has all its frames");
                frame.grow_front(front).expect("the room was found there");
                frame
            }
        };
        let header_bytes = self.headers.header_bytes();
        let behind = frame.total_len() - header_bytes;
        let (headers, rest) = frame.split_at_mut(header_bytes as usize);
        self.headers.write(headers, behind);
        fragment.write(rest);
        self.next.index += 1;
        Ok(Some(frame))
    }

    /// Whether all frames were made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next.index >= self.count
    }

    /// Frames that are still to be made.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.count - self.next.index
    }

    /// Bytes of the headers in front of each fragment header.
    #[must_use]
    pub fn header_bytes(&self) -> u32 {
        self.headers.header_bytes()
    }

    /// Payload bytes of every frame but the last.
    #[must_use]
    pub fn stride(&self) -> u32 {
        self.next.stride
    }

    /// The message's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.next.message
    }

    /// Bytes of its payload.
    #[must_use]
    pub fn message_len(&self) -> u32 {
        self.next.message_len
    }
}

/// A frame of `front` bytes for headers, which lie in its first chunk, and `len` behind
/// them, all zero.
///
/// # Panics
///
/// When headers do not fit a chunk.
fn allocate(umem: &Umem, front: u32, len: u32) -> Result<Frame, NoChunk> {
    let mut frame = chunk(umem, front + len)?;
    assert!(frame.total_len() >= front, "headers fit a chunk");
    let mut left = front + len - frame.total_len();
    while left > 0 {
        let part = chunk(umem, left)?;
        left -= part.total_len();
        frame
            .append(part)
            .expect("it is of the same UMEM, with bytes");
    }
    Ok(frame)
}

/// A frame in one chunk, of as many of the bytes as that has room for.
fn chunk(umem: &Umem, bytes: u32) -> Result<Frame, NoChunk> {
    let mut frame = umem.allocate().ok_or(NoChunk)?;
    let fits = bytes.min(frame.tailroom());
    frame.grow_back(fits).expect("there is so much room");
    Ok(frame)
}

/// Has the payload written behind the headers.
fn fill(frame: &mut Frame, front: u32, fragment: &Fragment, payload: &mut impl Payload) {
    let mut offset = fragment.offset();
    let mut skip = front as usize;
    for segment in frame.segments_mut() {
        let bytes = &mut segment[skip..];
        skip = 0;
        if !bytes.is_empty() {
            payload.fill(offset, bytes);
            offset += u32::try_from(bytes.len()).expect("a chunk is small");
        }
    }
}
