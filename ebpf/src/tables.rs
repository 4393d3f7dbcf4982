//! The tables that rules are compiled to: for each field, the mask of clauses
//! that a value does not rule out. `maps.h` has the layout.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::mem::offset_of;

/// Words of a [`Mask`].
pub const WORDS: usize = 4;

/// The most clauses.
pub const CLAUSES: usize = WORDS * 64;

/// A bit for each clause; the lowest of the first word is the first clause.
pub type Mask = [u64; WORDS];

/// A field with a table in [`Tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// The EtherType: 65536 values.
    EtherType,
    /// The outer VLAN id: 4096 values.
    OuterVlan,
    /// The inner VLAN id: 4096 values.
    InnerVlan,
    /// The destination MAC address: no values, as addresses are in
    /// [`MACS`](crate::MACS). None is absent; that mask is for those not in there.
    EtherDestination,
    /// The source address: no values, as prefixes are in tries.
    Source,
    /// The destination address: no values, as prefixes are in tries.
    Destination,
    /// The upper-layer protocol: 256 values.
    Protocol,
    /// Whether it is a later fragment: no and yes.
    LaterFragment,
    /// The source port: 65536 values.
    SourcePort,
    /// The destination port: 65536 values.
    DestinationPort,
    /// The TCP flags: 256 values.
    TcpFlags,
    /// The type of an ICMP message: 256 values.
    IcmpTypeV4,
    /// The type of an ICMPv6 message: 256 values.
    IcmpTypeV6,
    /// The source MAC address: as [`EtherDestination`](Self::EtherDestination), in
    /// [`SOURCE_MACS`](crate::SOURCE_MACS).
    EtherSource,
    /// Whether the destination MAC address is a group's: no and yes.
    EtherMulticast,
    /// The length of the whole frame: 65536 values, of which the last is for all that
    /// are longer.
    FrameBytes,
    /// The sender's IPv4 address in ARP: no values, as prefixes are in a trie.
    ArpSource,
    /// The IPv4 address that ARP asks for: no values, as prefixes are in a trie.
    ArpDestination,
    /// Which of [`EXTENSIONS`] a packet has, a bit for each: 32 values.
    Extensions,
}

/// The extension headers of IPv6 that are walked, in the order of their bits in
/// [`Table::Extensions`]: hop-by-hop, routing, fragment, authentication, destination
/// options.
pub const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

impl Table {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::EtherType,
        Self::OuterVlan,
        Self::InnerVlan,
        Self::EtherDestination,
        Self::Source,
        Self::Destination,
        Self::Protocol,
        Self::LaterFragment,
        Self::SourcePort,
        Self::DestinationPort,
        Self::TcpFlags,
        Self::IcmpTypeV4,
        Self::IcmpTypeV6,
        Self::EtherSource,
        Self::EtherMulticast,
        Self::FrameBytes,
        Self::ArpSource,
        Self::ArpDestination,
        Self::Extensions,
    ];

    /// The bit in [`Config::fields`](crate::Config::fields) that turns it on.
    #[must_use]
    pub fn asks(self) -> u32 {
        match self {
            Self::EtherType => 1,
            Self::OuterVlan => 1 << 1,
            Self::InnerVlan => 1 << 2,
            Self::EtherDestination => 1 << 3,
            Self::Source => 1 << 4,
            Self::Destination => 1 << 5,
            Self::Protocol => 1 << 6,
            Self::LaterFragment => 1 << 7,
            Self::SourcePort => 1 << 8,
            Self::DestinationPort => 1 << 9,
            Self::TcpFlags => 1 << 10,
            Self::IcmpTypeV4 => 1 << 11,
            Self::IcmpTypeV6 => 1 << 12,
            Self::EtherSource => 1 << 13,
            Self::EtherMulticast => 1 << 14,
            Self::FrameBytes => 1 << 15,
            Self::ArpSource => 1 << 16,
            Self::ArpDestination => 1 << 17,
            Self::Extensions => 1 << 18,
        }
    }

    /// How many values the field can have, besides being absent or undecided.
    #[must_use]
    pub fn values(self) -> usize {
        match self {
            Self::EtherDestination
            | Self::EtherSource
            | Self::Source
            | Self::Destination
            | Self::ArpSource
            | Self::ArpDestination => 0,
            Self::LaterFragment | Self::EtherMulticast => 2,
            Self::Extensions => 32,
            Self::Protocol | Self::TcpFlags | Self::IcmpTypeV4 | Self::IcmpTypeV6 => 256,
            Self::OuterVlan | Self::InnerVlan => 4096,
            Self::EtherType | Self::SourcePort | Self::DestinationPort | Self::FrameBytes => 65536,
        }
    }

    fn offsets(self) -> TableOffsets {
        let rows = |at, rows, masks, most| TableOffsets {
            rows: Some(at + rows),
            masks: at + masks,
            most,
        };
        let of_type = |at| rows(at, 0, offset_of!(TypeMasks, masks), TYPE_ROWS);
        let vlan = |at| rows(at, 0, offset_of!(VlanMasks, masks), TYPE_ROWS);
        let port = |at| rows(at, 0, offset_of!(PortMasks, masks), PORT_ROWS);
        let masks = |masks, most| TableOffsets {
            rows: None,
            masks,
            most,
        };
        match self {
            Self::EtherType => of_type(offset_of!(Layout, ether_type)),
            Self::FrameBytes => of_type(offset_of!(Layout, frame_bytes)),
            Self::OuterVlan => vlan(offset_of!(Layout, outer_vlan)),
            Self::InnerVlan => vlan(offset_of!(Layout, inner_vlan)),
            Self::EtherDestination => masks(offset_of!(Layout, ether_destination), 2),
            Self::Source => masks(offset_of!(Layout, source), 2),
            Self::Destination => masks(offset_of!(Layout, destination), 2),
            Self::LaterFragment => masks(offset_of!(Layout, later_fragment), 4),
            Self::SourcePort => port(offset_of!(Layout, source_port)),
            Self::DestinationPort => port(offset_of!(Layout, destination_port)),
            Self::Protocol => masks(offset_of!(Layout, protocol), 258),
            Self::TcpFlags => masks(offset_of!(Layout, tcp_flags), 258),
            Self::IcmpTypeV4 => masks(offset_of!(Layout, icmp_type_v4), 258),
            Self::IcmpTypeV6 => masks(offset_of!(Layout, icmp_type_v6), 258),
            Self::EtherSource => masks(offset_of!(Layout, ether_source), 2),
            Self::EtherMulticast => masks(offset_of!(Layout, ether_multicast), 4),
            Self::ArpSource => masks(offset_of!(Layout, arp_source), 2),
            Self::ArpDestination => masks(offset_of!(Layout, arp_destination), 2),
            Self::Extensions => masks(offset_of!(Layout, extensions), 34),
        }
    }
}

/// More different masks for the values of a field than its table has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsFull {
    /// The field.
    pub table: Table,
    /// How many there may be.
    pub most: usize,
}

impl fmt::Display for RowsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, most } = self;
        write!(f, "{table:?} has more than {most} different masks")
    }
}

impl Error for RowsFull {}

/// All tables, as the program has them. Empty tables let no clause hold.
#[derive(Clone)]
pub struct Tables {
    bytes: Box<[u8; Self::SIZE]>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            bytes: vec![0; Self::SIZE]
                .into_boxed_slice()
                .try_into()
                .expect("the slice has that length"),
        }
    }
}

impl Tables {
    /// The bytes of all tables.
    pub const SIZE: usize = size_of::<Layout>();

    /// Says what a clause means: an action, and an index in
    /// [`HITS`](crate::HITS).
    ///
    /// # Panics
    ///
    /// When `clause` is not below [`CLAUSES`].
    pub fn set_clause(&mut self, clause: usize, action: u32, hit: u32) {
        assert!(clause < CLAUSES, "the caller counts the clauses");
        let at = offset_of!(Layout, clauses) + clause * 8;
        self.put(at, &action.to_ne_bytes());
        self.put(at + 4, &hit.to_ne_bytes());
    }

    /// Says which clauses of rules before `clause` would do something else;
    /// [`CLAUSES`] stands for the default.
    ///
    /// # Panics
    ///
    /// When `clause` is above [`CLAUSES`].
    pub fn set_differing(&mut self, clause: usize, differing: &Mask) {
        assert!(clause <= CLAUSES, "the caller counts the clauses");
        let at = offset_of!(Layout, differing) + clause * size_of::<Mask>();
        for (word, bits) in differing.iter().enumerate() {
            self.put(at + word * 8, &bits.to_ne_bytes());
        }
    }

    /// Fills the table of a field with a mask for each of its values in order, one
    /// for "absent", and one for "undecided".
    ///
    /// # Errors
    ///
    /// When the masks differ too often.
    ///
    /// # Panics
    ///
    /// When there are not [`Table::values`] and two masks.
    pub fn set(
        &mut self,
        table: Table,
        masks: impl IntoIterator<Item = Mask>,
    ) -> Result<(), RowsFull> {
        let offsets = table.offsets();
        let mut known = HashMap::new();
        let mut values = 0;
        for mask in masks {
            let row = match offsets.rows {
                None => values,
                Some(rows) => {
                    let next = known.len();
                    let row = *known.entry(mask).or_insert(next);
                    let short = u16::try_from(row).unwrap_or(u16::MAX);
                    if row < offsets.most {
                        self.put(rows + 2 * values, &short.to_ne_bytes());
                    }
                    row
                }
            };
            if row >= offsets.most {
                let most = offsets.most;
                return Err(RowsFull { table, most });
            }
            for (word, bits) in mask.iter().enumerate() {
                let at = offsets.masks + row * size_of::<Mask>() + word * 8;
                self.put(at, &bits.to_ne_bytes());
            }
            values += 1;
        }
        assert_eq!(values, table.values() + 2, "the caller knows the field");
        Ok(())
    }

    /// The value of the map [`TABLES`](crate::TABLES).
    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::SIZE] {
        &self.bytes
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Half a megabyte of numbers says nothing.
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// Where a table is: for each value the index of a mask, or the mask itself.
struct TableOffsets {
    rows: Option<usize>,
    masks: usize,
    most: usize,
}

const TYPE_ROWS: usize = 512;
const PORT_ROWS: usize = 1024;

/// `struct tables` in `maps.h`; only its offsets are used.
#[repr(C)]
struct Layout {
    clauses: [[u32; 2]; CLAUSES],
    ether_type: TypeMasks,
    outer_vlan: VlanMasks,
    inner_vlan: VlanMasks,
    ether_destination: [Mask; 2],
    source: [Mask; 2],
    destination: [Mask; 2],
    later_fragment: [Mask; 4],
    source_port: PortMasks,
    destination_port: PortMasks,
    protocol: [Mask; 258],
    tcp_flags: [Mask; 258],
    icmp_type_v4: [Mask; 258],
    icmp_type_v6: [Mask; 258],
    ether_source: [Mask; 2],
    ether_multicast: [Mask; 4],
    arp_source: [Mask; 2],
    arp_destination: [Mask; 2],
    extensions: [Mask; 34],
    nothing: u64,
    differing: [Mask; CLAUSES + 1],
    frame_bytes: TypeMasks,
}

#[repr(C)]
struct TypeMasks {
    row: [u16; 65538 + 6],
    masks: [Mask; TYPE_ROWS],
}

#[repr(C)]
struct VlanMasks {
    row: [u16; 4098 + 2],
    masks: [Mask; TYPE_ROWS],
}

#[repr(C)]
struct PortMasks {
    row: [u16; 65538 + 6],
    masks: [Mask; PORT_ROWS],
}
