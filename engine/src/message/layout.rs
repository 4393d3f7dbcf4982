//! How a message is cut: how many payload bytes go into a frame.

use super::error::MessageError;
use super::fragment::FRAGMENT_HEADER_BYTES;

/// How messages are cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    header_bytes: u32,
    stride: u32,
}

impl Layout {
    /// Frames of at most `frame_bytes`, the Ethernet header included, each with
    /// `header_bytes` of the caller's own in front. A frame that does not fit a chunk is
    /// made of several, which takes an xsk that [sends
    /// such](crate::XskTx::most_chunks), and an interface whose MTU is `frame_bytes` less
    /// 14.
    ///
    /// # Errors
    ///
    /// [`MessageError::NoRoomForPayload`] when the headers leave none.
    pub fn new(frame_bytes: u32, header_bytes: u32) -> Result<Self, MessageError> {
        let headers = header_bytes.saturating_add(FRAGMENT_HEADER_BYTES);
        match frame_bytes.checked_sub(headers) {
            None | Some(0) => Err(MessageError::NoRoomForPayload {
                frame_bytes,
                headers,
            }),
            Some(stride) => Ok(Self {
                header_bytes,
                stride,
            }),
        }
    }

    /// Payload bytes of every fragment but a message's last.
    #[must_use]
    pub fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of the caller's headers.
    #[must_use]
    pub fn header_bytes(&self) -> u32 {
        self.header_bytes
    }

    /// Frames that a message of so many bytes takes: one at least.
    #[must_use]
    pub fn frames(&self, message_bytes: u32) -> u32 {
        message_bytes.div_ceil(self.stride).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_without_room_for_payload_is_refused() {
        assert_eq!(
            Layout::new(1514, 42).map(|layout| layout.stride()),
            Ok(1448)
        );
        assert_eq!(Layout::new(67, 42).map(|layout| layout.stride()), Ok(1));
        for bad in [0, 24, 65, 66] {
            assert!(Layout::new(bad, 42).is_err(), "{bad}");
        }
        assert!(Layout::new(u32::MAX, u32::MAX).is_err());
    }
}
