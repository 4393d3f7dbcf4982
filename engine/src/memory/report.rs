//! What the memory of a UMEM is, and why it is not what it might be.

/// What the memory of a UMEM is: see [`Umem::memory`](crate::Umem::memory).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Bytes of it, which are pinned while an xsk is bound: whole pages.
    pub bytes: u64,
    /// Bytes of each page.
    pub page_bytes: u64,
    /// Why the pages are the usual ones, where huge ones were
    /// [preferred](crate::Pages::PreferHuge).
    pub pages_fallback: Option<String>,
    /// Whose memory it is, and of what kind.
    pub source: MemorySource,
    /// Why it is no memfd, where it might have been.
    pub source_fallback: Option<String>,
    /// The NUMA node that it lies on.
    pub numa: NumaReport,
}

impl MemoryReport {
    /// Whether it lies on pages larger than the usual ones.
    #[must_use]
    pub fn has_huge_pages(&self) -> bool {
        self.page_bytes > u64::from(crate::kernel::sys::memory::page_size())
    }
}

/// Whose the memory of a UMEM is, and of what kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemorySource {
    /// A memfd of its own, which `/proc/PID/maps` shows as `/memfd:wharf-umem`.
    Memfd,
    /// Anonymous memory of its own.
    Anonymous,
    /// A memfd of another owner: [`ForeignMemory::Memfd`](crate::ForeignMemory::Memfd).
    ForeignMemfd,
    /// Another file of another owner: [`ForeignMemory::File`](crate::ForeignMemory::File).
    ForeignFile,
    /// What the caller mapped: [`ForeignMemory::Mapping`](crate::ForeignMemory::Mapping).
    ForeignMapping,
}

impl MemorySource {
    /// A word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Memfd => "memfd",
            Self::Anonymous => "anonymous",
            Self::ForeignMemfd => "foreign memfd",
            Self::ForeignFile => "foreign file",
            Self::ForeignMapping => "foreign mapping",
        }
    }
}

/// Which NUMA node memory lies on, beside that of the CPU that works on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumaReport {
    /// The node of the CPU on which the thread ran that made the UMEM, a worker's
    /// being pinned to it.
    pub wanted: Option<u32>,
    /// The node that the memory lies on; `None` if there are several, or none is
    /// known.
    pub got: Option<u32>,
    /// Why it does not lie on the node wanted.
    pub fallback: Option<String>,
    /// The nodes of this machine; 1 on a kernel that knows none.
    pub nodes: u32,
}
