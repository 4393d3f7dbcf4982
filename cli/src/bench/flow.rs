//! Flow control between the ends of a channel, in frames.
//!
//! AF_XDP drops what finds no chunk, so an end sends only what the other has chunks for: at
//! most a window of frames that were not granted. A grant is a frame of its own with the
//! number of frames received so far; it is a total, so one that gets lost is made up for
//! by the next.

/// One end's view of both directions.
#[derive(Clone, Debug)]
pub struct Flow {
    window: u32,
    sent: u64,
    granted: u64,
    received: u64,
    told: u64,
}

impl Flow {
    pub fn new(window: u32) -> Self {
        Self {
            window,
            sent: 0,
            granted: 0,
            received: 0,
            told: 0,
        }
    }

    /// Frames that may be sent now.
    pub fn room(&self) -> u32 {
        let open = self.sent - self.granted;
        self.window - u32::try_from(open).unwrap_or(u32::MAX).min(self.window)
    }

    pub fn was_sent(&mut self, frames: u32) {
        self.sent += u64::from(frames);
    }

    pub fn was_received(&mut self) {
        self.received += 1;
    }

    /// The other end has received so many.
    pub fn grant(&mut self, received: u64) {
        // What a stranger says counts up to what was sent.
        self.granted = self.granted.max(received.min(self.sent));
    }

    /// What to tell the other end, if it may be waiting for it: when a quarter of the
    /// window came since, or when nothing more comes.
    pub fn to_tell(&self, nothing_more: bool) -> Option<u64> {
        let new = self.received - self.told;
        let is_due = new >= u64::from(self.window / 4).max(1) || (nothing_more && new > 0);
        is_due.then_some(self.received)
    }

    pub fn was_told(&mut self, received: u64) {
        self.told = received;
    }

    /// The payload of a frame that grants.
    pub fn grant_payload(received: u64) -> [u8; GRANT_BYTES as usize] {
        let mut payload = [0; GRANT_BYTES as usize];
        payload[..8].copy_from_slice(MARK);
        payload[8..].copy_from_slice(&received.to_be_bytes());
        payload
    }

    /// Reads such a payload.
    pub fn read_grant(payload: &[u8]) -> Option<u64> {
        let bytes = payload.strip_prefix(MARK)?;
        Some(u64::from_be_bytes(*bytes.first_chunk()?))
    }
}

/// Bytes of a grant's payload.
pub const GRANT_BYTES: u32 = 16;

/// No fragment of a message begins so.
const MARK: &[u8; 8] = b"WG\x01grant";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_window_is_ever_under_way() {
        let mut flow = Flow::new(8);

        assert_eq!(flow.room(), 8);
        flow.was_sent(8);
        assert_eq!(flow.room(), 0);
        flow.grant(3);
        flow.grant(2);
        assert_eq!(flow.room(), 3);
        flow.grant(u64::MAX);
        assert_eq!(flow.room(), 8);
    }

    #[test]
    fn other_end_is_told_by_quarters_and_at_the_end() {
        let mut flow = Flow::new(8);
        assert_eq!(flow.to_tell(true), None);
        flow.was_received();
        assert_eq!((flow.to_tell(false), flow.to_tell(true)), (None, Some(1)));
        flow.was_received();
        assert_eq!(flow.to_tell(false), Some(2));
        flow.was_told(2);
        assert_eq!(flow.to_tell(true), None);
    }

    #[test]
    fn grant_is_read_as_written() {
        assert_eq!(Flow::read_grant(&Flow::grant_payload(77)), Some(77));
        assert_eq!(Flow::read_grant(b"WM\x01"), None);
        assert_eq!(Flow::read_grant(&Flow::grant_payload(77)[..15]), None);
    }
}
