//! Exact flows: a 5-tuple that a hash finds, however many there are.

use std::net::SocketAddr;

/// One direction of a flow: protocol, addresses and ports, exactly. Frames are
/// recognised behind VLAN tags, whatever those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The IP protocol: 6 (TCP), 17 (UDP) or 132 (SCTP).
    pub protocol: u8,
    /// The sender. Of the same IP version as the receiver.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
}
