//! Where the walk over a frame's headers is, and what lies there.

use super::header::{array, word};

/// Where the walk is: at a header, in a packet.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) head: &'a [u8],
    pub(super) at: usize,
    /// Where the packet around ends.
    pub(super) end: usize,
}

/// What lies at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Ethernet,
    /// What an EtherType names.
    Typed(u16),
    /// IPv4 or IPv6, whichever it says.
    Ip,
    Gre,
}

impl Place<'_> {
    /// Lets the packet around end `len` bytes from here, if it has so many.
    #[inline]
    pub(super) fn enclose(&mut self, len: usize) -> Option<()> {
        let end = self.at + len;
        (end <= self.end).then(|| self.end = end)
    }

    #[inline]
    pub(super) fn word(&self, offset: usize) -> Option<u16> {
        word(self.head, self.at + offset)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        array(self.head, self.at + offset)
    }
}

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const MPLS: u16 = 0x8847;
/// Transparent Ethernet bridging.
pub(super) const ETHERNET: u16 = 0x6558;
pub(super) const ERSPAN: u16 = 0x88be;
