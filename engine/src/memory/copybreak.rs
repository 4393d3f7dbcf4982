//! Below which size a frame that stays is copied.

/// Below which size a frame that the application keeps ([`Frame::hold`](crate::Frame::hold)) or hands
/// to another thread ([`Frame::detach`](crate::Frame::detach)) is copied out of the UMEM.
///
/// The chunk is free at once then. The copy is a [`Frame`](crate::Frame) like any other, in ordinary
/// memory beside the UMEM that nobody pins; it is copied into a chunk again when it is
/// sent.
///
/// [`Off`](Self::Off) by default, because of what `wharf bench sweep` measures: packet memory is
/// pinned once and for all, so a frame that stays costs nothing for that, and a copy costs
/// twice its bytes and its way through a second ledger. With 256 frames of 64 bytes held at a time it takes
/// 3.8 times as long to hold, read and send one that was copied as one in place, 2.7 times with 256 bytes, and
/// 1.5 times with 3 KiB; with 4096 frames held 2.6, 2.0 and 1.5 times (AMD EPYC with 2 CPUs, shared with
/// other work, Linux 6.18, rings in memory). No size was faster copied. So copies are for memory, not for time: for an
/// application that holds so many small frames, or for so long, that those which arrive find no chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Copybreak {
    /// Frames stay where they are.
    #[default]
    Off,
    /// Frames of fewer bytes than this are copied.
    Below(u32),
}

impl Copybreak {
    /// The bytes below which frames are copied, none of them being 0.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Below(bytes) => bytes,
        }
    }
}
