//! The table that each primitive asks, and the values of its field.

use std::net::Ipv4Addr;

use wharf_ebpf::Table;

use super::fields::{Field, Fields, extension_bit};
use super::primitive::{IcmpVersion, Primitive, Side, VlanId, VlanTag};

/// The table of the field that a primitive asks.
pub(super) fn table_of(primitive: Primitive) -> Table {
    match primitive {
        Primitive::EtherType(_) => Table::EtherType,
        Primitive::Vlan(VlanTag::Outer, _) => Table::OuterVlan,
        Primitive::Vlan(VlanTag::Inner, _) => Table::InnerVlan,
        Primitive::Ether(Side::Source, _) => Table::EtherSource,
        Primitive::Ether(Side::Destination, _) => Table::EtherDestination,
        Primitive::EtherMulticast => Table::EtherMulticast,
        Primitive::AtMostBytes(_) | Primitive::AtLeastBytes(_) => Table::FrameBytes,
        Primitive::ArpAddress(Side::Source, _) => Table::ArpSource,
        Primitive::ArpAddress(Side::Destination, _) => Table::ArpDestination,
        Primitive::Address(Side::Source, _) => Table::Source,
        Primitive::Address(Side::Destination, _) => Table::Destination,
        Primitive::Protocol(number) if extension_bit(number).is_some() => Table::Extensions,
        Primitive::Protocol(_) => Table::Protocol,
        Primitive::LaterFragment => Table::LaterFragment,
        Primitive::Port(Side::Source, _) => Table::SourcePort,
        Primitive::Port(Side::Destination, _) => Table::DestinationPort,
        Primitive::TcpFlags(_) => Table::TcpFlags,
        Primitive::IcmpType(IcmpVersion::V4, _) => Table::IcmpTypeV4,
        Primitive::IcmpType(IcmpVersion::V6, _) => Table::IcmpTypeV6,
    }
}

/// The values of a wide field at which the answer of `primitive` may change.
pub(super) fn edges(primitive: Primitive, table: Table) -> Vec<usize> {
    let from_to = |first: u16, last: u16| vec![usize::from(first), usize::from(last) + 1];
    match primitive {
        _ if table_of(primitive) != table => Vec::new(),
        Primitive::EtherType(is) => from_to(is, is),
        Primitive::Vlan(_, Some(ids)) => from_to(ids.first().get(), ids.last().get()),
        Primitive::AtMostBytes(most) => from_to(0, most),
        Primitive::AtLeastBytes(least) => from_to(least, u16::MAX),
        Primitive::Port(_, ports) => from_to(ports.first(), ports.last()),
        _ => Vec::new(),
    }
}

/// The fields of a frame of which only one is known.
pub(super) fn with_field(table: Table, value: Field<usize>) -> Fields {
    fn as_field<T>(value: Field<usize>, typed: impl FnOnce(u16) -> T) -> Field<T> {
        match value {
            Field::Absent => Field::Absent,
            Field::Undecided => Field::Undecided,
            Field::Is(value) => Field::Is(typed(
                u16::try_from(value).expect("fields have 65536 values at most"),
            )),
        }
    }
    let byte = |value: u16| u8::try_from(value).expect("the field has 256 values");
    let id = |value: u16| VlanId::new(value).expect("the field has 4096 values");
    let no_value = |_| unreachable!("the field has no values of its own");
    let mut fields = Fields::UNDECIDED;
    match table {
        Table::EtherType => fields.ether_type = as_field(value, |value| value),
        Table::OuterVlan => fields.outer_vlan = as_field(value, id),
        Table::InnerVlan => fields.inner_vlan = as_field(value, id),
        Table::EtherDestination => fields.ether_destination = as_field(value, no_value),
        Table::EtherSource => fields.ether_source = as_field(value, no_value),
        Table::EtherMulticast => fields.ether_multicast = as_field(value, |value| value == 1),
        Table::FrameBytes => fields.frame_bytes = as_field(value, |value| value),
        Table::ArpSource => fields.arp_source = as_field(value, |_| Ipv4Addr::UNSPECIFIED),
        Table::ArpDestination => {
            fields.arp_destination = as_field(value, |_| Ipv4Addr::UNSPECIFIED);
        }
        Table::Extensions => fields.extensions = as_field(value, byte),
        Table::Source => fields.source = as_field(value, |_| Ipv4Addr::UNSPECIFIED.into()),
        Table::Destination => {
            fields.destination = as_field(value, |_| Ipv4Addr::UNSPECIFIED.into());
        }
        Table::Protocol => fields.protocol = as_field(value, byte),
        Table::LaterFragment => fields.later_fragment = as_field(value, |value| value == 1),
        Table::SourcePort => fields.source_port = as_field(value, |value| value),
        Table::DestinationPort => fields.destination_port = as_field(value, |value| value),
        Table::TcpFlags => fields.tcp_flags = as_field(value, byte),
        Table::IcmpTypeV4 => fields.icmp_type_v4 = as_field(value, byte),
        Table::IcmpTypeV6 => fields.icmp_type_v6 = as_field(value, byte),
    }
    fields
}

/// The field in words, as messages name it.
pub(super) fn name(table: Table) -> &'static str {
    match table {
        Table::EtherType => "the EtherType",
        Table::OuterVlan | Table::InnerVlan => "a VLAN id",
        Table::FrameBytes => "the frame length",
        Table::SourcePort => "the source port",
        Table::DestinationPort => "the destination port",
        _ => "a field",
    }
}
