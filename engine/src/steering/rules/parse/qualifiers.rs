//! The words before an address or a port, as values.

/// What a value is preceded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qualifiers {
    /// `ether`, `arp`, `ip` or `ip6` (as its EtherType), `tcp`, `udp` or `sctp` (as its
    /// number).
    pub(super) layer: Layer,
    pub(super) direction: Direction,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layer {
    Any,
    Ether,
    Arp,
    Network(u16),
    Transport(u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Source,
    Destination,
    Either,
    Both,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// No word: an address or a prefix.
    Bare,
    Host,
    Net,
    Port,
    PortRange,
}
