//! What can keep a field of a frame from being read, known from how the frame was
//! built, and which questions that leaves without an answer.

use wharf::{Expression, IcmpVersion, Primitive};

/// What may keep a field from being read, by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Nothing: every question has an answer.
    Whole,
    /// The frame ends inside a VLAN tag that is looked at.
    TagCut,
    /// The frame ends inside its ARP packet.
    ArpCut,
    /// The IP header is cut off or contradicts itself.
    BadHeader,
    /// An IP fragment without the upper layer's header.
    LaterFragment,
    /// The same, and it names an extension header for its protocol.
    LaterFragmentOfExtension,
    /// More extension headers than are walked.
    LongChain,
    /// The frame or the packet ends among the extension headers.
    ChainCut,
    /// The frame or the packet ends inside the upper layer's header.
    UpperCut,
}

impl Shape {
    /// Whether this may leave the expression without an answer: whether it asks
    /// for a field that such a frame hides. All others must get one.
    #[must_use]
    pub fn hides(self, expression: &Expression) -> bool {
        match expression {
            Expression::Primitive(primitive) => self.hides_field(primitive),
            Expression::Not(inner) => self.hides(inner),
            Expression::And(members) | Expression::Or(members) => {
                members.iter().any(|member| self.hides(member))
            }
        }
    }

    /// Whether it leaves every single question without an answer that
    /// [`hides`](Self::hides) says it may.
    #[must_use]
    pub fn hides_all_or_none(self) -> bool {
        matches!(self, Self::Whole | Self::BadHeader | Self::LongChain)
    }

    fn hides_field(self, primitive: &Primitive) -> bool {
        let level = match primitive {
            Primitive::Ether(..)
            | Primitive::EtherMulticast
            | Primitive::AtMostBytes(_)
            | Primitive::AtLeastBytes(_) => return false,
            Primitive::ArpAddress(..) => return matches!(self, Self::TagCut | Self::ArpCut),
            Primitive::EtherType(_) | Primitive::Vlan(..) => 0,
            Primitive::Address(..) => 1,
            // An IPv6 packet has none, whatever is in it.
            Primitive::IcmpType(IcmpVersion::V4, _)
                if matches!(self, Self::LongChain | Self::ChainCut) =>
            {
                return false;
            }
            Primitive::Protocol(_) | Primitive::LaterFragment => 2,
            _ => 3,
        };
        match self {
            Self::Whole | Self::ArpCut => false,
            Self::TagCut => true,
            Self::BadHeader => level >= 1,
            Self::LongChain | Self::ChainCut => level >= 2,
            Self::LaterFragment | Self::UpperCut => level >= 3,
            Self::LaterFragmentOfExtension => {
                level >= 3 || matches!(primitive, Primitive::Protocol(_))
            }
        }
    }
}
