//! Exact flows: a 5-tuple that a hash finds, however many there are.

use std::net::SocketAddr;

use super::expression::Expression;
use super::fields::{Field, Fields};
use super::primitive::{Ports, Prefix, Primitive, Side};

/// One direction of a flow: protocol, addresses and ports, exactly. Frames are
/// recognised behind VLAN tags, whatever those are.
///
/// As text: `tcp 10.0.0.1:1234 > 10.0.0.2:80`, or with `[fd00::1]:80`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The IP protocol: 6 (TCP), 17 (UDP) or 132 (SCTP).
    pub protocol: u8,
    /// The sender. Of the same IP version as the receiver.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
}

impl Flow {
    /// The flow that `frame` is of, if it is of one: its protocol has ports, and they
    /// can be read.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let fields = Fields::of(frame);
        let (
            Field::Is(protocol),
            Field::Is(source),
            Field::Is(destination),
            Field::Is(source_port),
            Field::Is(destination_port),
        ) = (
            fields.protocol,
            fields.source,
            fields.destination,
            fields.source_port,
            fields.destination_port,
        )
        else {
            return None;
        };
        Some(Self {
            protocol,
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        })
    }
}

impl From<Flow> for Expression {
    /// The frames of the flow.
    fn from(flow: Flow) -> Self {
        let on = |side, end: SocketAddr| {
            let host = Primitive::Address(side, Prefix::host(end.ip()));
            Self::from(host) & Primitive::Port(side, Ports::one(end.port()))
        };
        Self::from(Primitive::Protocol(flow.protocol))
            & on(Side::Source, flow.source)
            & on(Side::Destination, flow.destination)
    }
}
