//! Zero copy or copy: what a bind got.

/// How frames travel between the NIC and the UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// The NIC reads and writes the UMEM itself.
    ZeroCopy,
    /// The kernel copies between its own memory and the UMEM.
    Copy,
}

impl CopyMode {
    /// The mode in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
        }
    }
}
