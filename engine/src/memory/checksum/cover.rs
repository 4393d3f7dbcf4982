//! A checksum of a frame and what it covers.

use super::header::word;
use super::sum::{fold, sum};

/// A checksum that a sender may leave undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChecksumProtocol {
    /// TCP's.
    Tcp,
    /// UDP's: of a packet, or of a tunnel around one.
    Udp,
    /// SCTP's CRC32c.
    Sctp,
    /// GRE's own, of a tunnel.
    Gre,
}

/// A checksum, and what it covers: places in a frame, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cover {
    pub(super) protocol: ChecksumProtocol,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the checksum is, all of it before `end`.
    pub(super) field: usize,
    /// The pseudo-header's sum, not folded.
    pub(super) pseudo: u64,
}

impl Cover {
    /// Whether the checksum has the value of one that is left undone.
    #[inline]
    pub(super) fn looks_undone(&self, head: &[u8]) -> bool {
        match self.protocol {
            ChecksumProtocol::Sctp => head.get(self.field..self.field + 4) == Some(&[0; 4]),
            _ => word(head, self.field) == Some(fold(self.pseudo)),
        }
    }

    /// Whether this checksum, around `inner`, is right once that is finished. What
    /// `inner` covers need not be looked at for that: with its pseudo-header it then
    /// sums up to zero. `tail` is the sum of what lies behind it in this one.
    pub(super) fn holds_around(&self, head: &[u8], inner: &Self, tail: u16) -> bool {
        if self.protocol == ChecksumProtocol::Udp && word(head, self.field) == Some(0) {
            return true; // Not used.
        }
        if inner.protocol == ChecksumProtocol::Sctp {
            // The sum of a CRC tells nothing. No sender leaves one undone in another
            // checksum.
            return false;
        }
        let Some(between) = head.get(self.start..inner.start) else {
            return false;
        };
        let swap = |sum: u16, from: usize| match (from - self.start).is_multiple_of(2) {
            true => u64::from(sum),
            false => u64::from(sum.swap_bytes()),
        };
        let within = swap(!fold(inner.pseudo), inner.start);
        let total = self.pseudo + u64::from(sum(between)) + within + swap(tail, inner.end);
        fold(total) == 0xffff
    }
}
