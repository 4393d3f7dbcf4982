//! The blocks of one job, in memory.
//!
//! In place, a block is the frames that its write arrived in, and a read sends these
//! frames: they are away until the kernel is done with them, and a read of the block that
//! comes meanwhile waits. Otherwise a block is bytes on the heap.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use wharf::message::{Message, Payload, Returning, SentMessage};

use super::super::channel::Channel;
use super::plan::Handling;
use super::request::{HEAD_BYTES, Head, Operation};
use crate::exit::Failure;

/// The blocks of one job.
pub struct Store {
    handling: Handling,
    blocks: HashMap<u32, Block>,
    /// Blocks whose frames are sent, by the number of the answer.
    away: HashMap<u64, u32>,
    /// Reads of blocks that are away.
    waiting: VecDeque<(u64, u32)>,
    buffers: Rc<RefCell<Vec<Vec<u8>>>>,
}

enum Block {
    /// The frames that it was written in, or none while they are sent.
    Frames {
        version: u64,
        message: Option<Message<()>>,
    },
    Bytes(Rc<Vec<u8>>),
}

/// The payload of an answer.
pub enum Answer {
    /// What was asked.
    Head([u8; HEAD_BYTES as usize]),
    /// Straight from the store.
    Block(Rc<Vec<u8>>),
    /// From a buffer that it was copied to.
    Buffer(Buffer),
}

/// A buffer that is used again.
pub struct Buffer {
    bytes: Vec<u8>,
    buffers: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Payload for Answer {
    fn fill(&mut self, offset: u32, to: &mut [u8]) {
        let from: &[u8] = match self {
            Self::Head(head) => head,
            Self::Block(bytes) => bytes,
            Self::Buffer(buffer) => &buffer.bytes,
        };
        let start = offset as usize;
        to.copy_from_slice(&from[start..start + to.len()]);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.buffers.borrow_mut().push(bytes);
    }
}

impl Store {
    pub fn new(handling: Handling) -> Self {
        Self {
            handling,
            blocks: HashMap::new(),
            away: HashMap::new(),
            waiting: VecDeque::new(),
            buffers: Rc::default(),
        }
    }

    /// Does what a message asks for, and answers it.
    pub fn serve<P>(
        &mut self,
        message: Message<P>,
        channel: &mut Channel<Answer>,
    ) -> Result<(), Failure> {
        let number = message.number();
        // A message without a head is answered by none, which the client notices.
        let Some(head) = Head::of(&message) else {
            return Ok(());
        };
        match head.operation {
            Operation::Write => {
                self.write(head, message);
                channel.submit(
                    number,
                    HEAD_BYTES,
                    Answer::Head(head.bytes()),
                    Returning::No,
                )
            }
            Operation::Read => self.read(number, head.block, channel),
        }
    }

    /// An answer was sent: its block may be there again, for those who wait for it.
    pub fn was_sent(
        &mut self,
        sent: SentMessage,
        channel: &mut Channel<Answer>,
    ) -> Result<(), Failure> {
        let Some(block) = self.away.remove(&sent.cookie) else {
            return Ok(());
        };
        if let Some(Block::Frames { version, message }) = self.blocks.get_mut(&block)
            && message.is_none()
            // Else it was written meanwhile.
            && sent.message.as_ref().and_then(Head::of).is_some_and(|head| head.version == *version)
        {
            *message = sent.message;
        }
        for (number, block) in std::mem::take(&mut self.waiting) {
            self.read(number, block, channel)?;
        }
        Ok(())
    }

    fn write<P>(&mut self, head: Head, message: Message<P>) {
        let block = match self.handling {
            Handling::InPlace => Block::Frames {
                version: head.version,
                message: Some(message.with_peer(())),
            },
            Handling::StoreCopies => {
                let mut bytes = self.bytes_of(head.block, message.len());
                message.copy_to(0, &mut bytes);
                Block::Bytes(Rc::new(bytes))
            }
            Handling::CopiedOut => {
                let mut buffer = self.buffer(message.len());
                message.copy_to(0, &mut buffer.bytes);
                let mut bytes = self.bytes_of(head.block, message.len());
                bytes.copy_from_slice(&buffer.bytes);
                Block::Bytes(Rc::new(bytes))
            }
        };
        self.blocks.insert(head.block, block);
    }

    fn read(
        &mut self,
        number: u64,
        block: u32,
        channel: &mut Channel<Answer>,
    ) -> Result<(), Failure> {
        match self.blocks.get_mut(&block) {
            None => Ok(()),
            Some(Block::Frames { message, .. }) => {
                let Some(message) = message.take() else {
                    self.waiting.push_back((number, block));
                    return Ok(());
                };
                self.away.insert(number, block);
                channel.submit_message(number, message, Returning::Yes)
            }
            Some(Block::Bytes(bytes)) => {
                let bytes = Rc::clone(bytes);
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let answer = match self.handling {
                    Handling::CopiedOut => {
                        let mut buffer = self.buffer(len);
                        buffer.bytes.copy_from_slice(&bytes);
                        Answer::Buffer(buffer)
                    }
                    _ => Answer::Block(bytes),
                };
                channel.submit(number, len, answer, Returning::No)
            }
        }
    }

    /// The memory of a block, as far as no answer reads it.
    fn bytes_of(&mut self, block: u32, len: u32) -> Vec<u8> {
        let old = match self.blocks.remove(&block) {
            Some(Block::Bytes(bytes)) => Rc::try_unwrap(bytes).ok(),
            _ => None,
        };
        let mut bytes = old.unwrap_or_default();
        bytes.resize(len as usize, 0);
        bytes
    }

    fn buffer(&self, len: u32) -> Buffer {
        let mut bytes = self.buffers.borrow_mut().pop().unwrap_or_default();
        bytes.resize(len as usize, 0);
        Buffer {
            bytes,
            buffers: Rc::clone(&self.buffers),
        }
    }
}
