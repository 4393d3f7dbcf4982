//! Where the client's payload comes from: written in place, or copied from a heap buffer.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::message::Payload;

use super::super::pattern::Pattern;
use super::plan::Handling;

/// Heap buffers that are used again, as applications do: making them anew would count page
/// faults.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Rc<RefCell<Vec<Vec<u8>>>>);

/// The payload of one message.
#[derive(Debug)]
pub enum Source {
    /// Written straight into frames.
    InPlace(Pattern),
    /// Written into a buffer, then copied.
    Copied(Copied),
}

/// A payload that has a buffer from the first fragment to the last.
#[derive(Debug)]
pub struct Copied {
    pattern: Pattern,
    len: usize,
    buffer: Option<Vec<u8>>,
    buffers: Buffers,
}

impl Source {
    pub fn new(handling: Handling, number: u64, len: u32, buffers: &Buffers) -> Self {
        let pattern = Pattern::of(number);
        match handling {
            Handling::InPlace => Self::InPlace(pattern),
            Handling::CopiedOut => Self::Copied(Copied {
                pattern,
                len: len as usize,
                buffer: None,
                buffers: buffers.clone(),
            }),
        }
    }
}

impl Payload for Source {
    fn fill(&mut self, offset: u32, bytes: &mut [u8]) {
        match self {
            Self::InPlace(pattern) => pattern.fill(offset, bytes),
            Self::Copied(copied) => {
                let buffer = copied.buffer();
                let start = offset as usize;
                bytes.copy_from_slice(&buffer[start..start + bytes.len()]);
            }
        }
    }
}

impl Copied {
    fn buffer(&mut self) -> &[u8] {
        let Self {
            pattern,
            len,
            buffers,
            ..
        } = self;
        self.buffer.get_or_insert_with(|| {
            let mut buffer = buffers.0.borrow_mut().pop().unwrap_or_default();
            buffer.resize(*len, 0);
            pattern.fill(0, &mut buffer);
            buffer
        })
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.buffers.0.borrow_mut().push(buffer);
        }
    }
}
