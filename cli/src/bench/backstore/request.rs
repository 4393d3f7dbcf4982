//! What the client of `backstore` asks, and what it is answered: messages that begin with
//! a head.

use wharf::message::{Message, Payload};

use super::super::pattern::Pattern;

/// Bytes of a head.
pub const HEAD_BYTES: u32 = 16;

/// What a request is about, and what a block begins with in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub operation: Operation,
    pub block: u32,
    /// Which write it is of: the payload's pattern follows from it.
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Read,
    Write,
}

impl Head {
    /// The head of a message, if it has one.
    pub fn of<P>(message: &Message<P>) -> Option<Self> {
        let mut bytes = [0; HEAD_BYTES as usize];
        let len = message.copy_to(0, &mut bytes);
        let operation = match bytes[0] {
            b'R' => Operation::Read,
            b'W' => Operation::Write,
            _ => return None,
        };
        (len == bytes.len()).then(|| Self {
            operation,
            block: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            version: u64::from_be_bytes(bytes[8..].try_into().expect("eight bytes")),
        })
    }

    pub fn bytes(&self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[0] = match self.operation {
            Operation::Read => b'R',
            Operation::Write => b'W',
        };
        bytes[4..8].copy_from_slice(&self.block.to_be_bytes());
        bytes[8..].copy_from_slice(&self.version.to_be_bytes());
        bytes
    }
}

/// A request: its head, and behind it the data of a write, which is written in place.
pub struct Request(pub Head);

impl Payload for Request {
    fn fill(&mut self, offset: u32, bytes: &mut [u8]) {
        let head = self.0.bytes();
        let rest = head.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        let (front, data) = bytes.split_at_mut(len);
        front.copy_from_slice(&rest[..len]);
        Pattern::of(self.0.version).fill(offset.saturating_sub(HEAD_BYTES), data);
    }
}

/// How many bytes of a block's data, as read, are not those of its version.
pub fn wrong_bytes<P>(message: &Message<P>, version: u64) -> u64 {
    let (mut offset, mut wrong) = (0_u32, 0);
    for segment in message.segments() {
        let head = HEAD_BYTES.saturating_sub(offset) as usize;
        let data = segment.get(head..).unwrap_or_default();
        let at = offset.saturating_sub(HEAD_BYTES);
        wrong += Pattern::of(version).wrong_bytes(at, data);
        offset += u32::try_from(segment.len()).unwrap_or(u32::MAX);
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_the_same_however_it_is_cut() {
        let head = Head {
            operation: Operation::Write,
            block: 3,
            version: 77,
        };
        let mut whole = vec![0; 100];
        Request(head).fill(0, &mut whole);
        assert_eq!(whole[..16], head.bytes());
        assert_eq!(Pattern::of(77).wrong_bytes(0, &whole[16..]), 0);

        for piece in [1, 5, 15, 16, 17, 64] {
            let mut cut = vec![0; 100];
            for (index, bytes) in cut.chunks_mut(piece).enumerate() {
                Request(head).fill(u32::try_from(index * piece).expect("small"), bytes);
            }
            assert_eq!(cut, whole, "{piece}");
        }
    }
}
