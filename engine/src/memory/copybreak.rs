//! Below which size a frame that stays is copied.

/// Below which size a frame that the application keeps ([`Frame::hold`](crate::Frame::hold)) or hands
/// to another thread ([`Frame::detach`](crate::Frame::detach)) is copied out of the UMEM.
///
/// The chunk is free at once then. The copy is a [`Frame`](crate::Frame) like any other, in ordinary
/// memory beside the UMEM that nobody pins; it is copied into a chunk again when it is
/// sent.
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
