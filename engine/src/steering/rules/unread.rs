//! Why fields of a frame are undecided.

use std::fmt;

/// What keeps fields of a frame from being read. Its text completes a sentence:
/// "undecided, because ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unread {
    /// There is no whole Ethernet header.
    EthernetHeader,
    /// The frame ends within a VLAN tag.
    VlanTag,
    /// The ARP packet is cut off.
    Arp,
    /// The IP header is malformed or cut off.
    IpHeader,
    /// An IPv6 extension header is cut off.
    ExtensionHeader,
    /// There are more IPv6 extension headers than are walked.
    ManyExtensionHeaders,
    /// It is an IP fragment after the first, without the upper layer's header.
    LaterFragment,
    /// The upper layer's header is cut off.
    UpperHeader,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EthernetHeader => "the Ethernet header is cut off",
            Self::VlanTag => "a VLAN tag is cut off",
            Self::Arp => "the ARP packet is cut off",
            Self::IpHeader => "the IP header is malformed or cut off",
            Self::ExtensionHeader => "an IPv6 extension header is cut off",
            Self::ManyExtensionHeaders => "there are more than four IPv6 extension headers",
            Self::LaterFragment => "it is an IP fragment after the first",
            Self::UpperHeader => "the header behind IP is cut off",
        })
    }
}
