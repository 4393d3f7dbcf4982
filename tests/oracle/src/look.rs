//! The little that must be known of a frame that was not built here: where its IP
//! packet says that it ends, and whether libpcap finds the upper layer.

/// What is behind the tags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Tags, looked through or not.
    pub tags: usize,
    /// The type behind two tags at most, when it is there.
    pub ether_type: Option<u16>,
    /// Bytes of the frame that are the packet's, not Ethernet's padding.
    pub visible: usize,
    /// The IPv6 header is followed by extension headers, or may be.
    pub extension_headers: bool,
}

/// Looks.
#[must_use]
pub fn look(frame: &[u8]) -> Look {
    let mut look = Look {
        visible: frame.len(),
        ..Look::default()
    };
    let mut at = 12;
    while let Some(0x8100 | 0x88a8 | 0x9100) = word(frame, at) {
        look.tags += 1;
        at += 4;
    }
    let at = 14 + 4 * look.tags.min(2);
    look.ether_type = word(frame, at - 2);
    match look.ether_type {
        Some(0x0800) => {
            let total = word(frame, at + 2).map_or(usize::MAX, usize::from);
            look.visible = frame.len().min(at.saturating_add(total));
        }
        Some(0x86dd) => {
            let length = word(frame, at + 4).map_or(usize::MAX, usize::from);
            look.visible = frame
                .len()
                .min(at.saturating_add(length).saturating_add(40));
            look.extension_headers =
                matches!(frame.get(at + 6), None | Some(0 | 43 | 44 | 51 | 60));
        }
        _ => {}
    }
    look
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}
