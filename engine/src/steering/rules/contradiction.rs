//! Why no frame satisfies a clause, in words.

use std::fmt;

use super::literal::Literal;
use super::primitive::{Primitive, VlanTag};

/// Two literals of one clause that exclude each other; or the same literal twice,
/// which is impossible by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contradiction {
    pub(super) first: Literal,
    pub(super) second: Literal,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second } = self;
        if first.leaf == second.leaf {
            return match first.primitive {
                Primitive::EtherType(_) => {
                    write!(
                        f,
                        "`{first}` is never true: EtherTypes are 1536 (0x600) or more"
                    )
                }
                _ => write!(
                    f,
                    "`{first}` is never true: the value has bits that the mask has not"
                ),
            };
        }
        write!(f, "`{first}` and `{second}` exclude each other")?;
        match (first.primitive, second.primitive) {
            (Primitive::Vlan(VlanTag::Outer, _), Primitive::Vlan(tag, Some(ids)))
                if first.positive && second.positive =>
            {
                let inner = Primitive::Vlan(VlanTag::Inner, Some(ids));
                match tag {
                    VlanTag::Outer => write!(f, " (the second tag is `{inner}`)"),
                    VlanTag::Inner => Ok(()),
                }
            }
            (Primitive::EtherType(0x0806), Primitive::Address(side, prefix))
            | (Primitive::Address(side, prefix), Primitive::EtherType(0x0806))
                if first.positive && second.positive && prefix.address().is_ipv4() =>
            {
                let in_arp = Primitive::ArpAddress(side, prefix);
                write!(f, " (an address in ARP is `{in_arp}`)")
            }
            (Primitive::LaterFragment, _) | (_, Primitive::LaterFragment)
                if first.positive && second.positive =>
            {
                write!(f, " (a later fragment has no header to read it from)")
            }
            _ => Ok(()),
        }
    }
}
