//! Where the bytes of a message come from: written straight into its frames.

/// What writes the payload of a message into its frames, segment by segment, from the
/// first byte to the last.
///
/// Every function or closure of a matching form is one, and [`FromBytes`] copies from a
/// slice.
pub trait Payload {
    /// Writes the bytes of the message from `offset` on. `bytes` are zeroed memory of a
    /// frame.
    fn fill(&mut self, offset: u32, bytes: &mut [u8]);
}

impl<F: FnMut(u32, &mut [u8])> Payload for F {
    fn fill(&mut self, offset: u32, bytes: &mut [u8]) {
        self(offset, bytes);
    }
}

/// A payload that is copied from bytes. Where the message is longer, zeros follow.
#[derive(Clone, Debug)]
pub struct FromBytes<T>(pub T);

impl<T: AsRef<[u8]>> Payload for FromBytes<T> {
    fn fill(&mut self, offset: u32, bytes: &mut [u8]) {
        let source = self.0.as_ref().get(offset as usize..).unwrap_or_default();
        let len = source.len().min(bytes.len());
        bytes[..len].copy_from_slice(&source[..len]);
    }
}
