//! What a system call was for.

/// What a system call was for. The same number means something else by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelCall {
    /// `bpf(2)`: programs, maps and links.
    Bpf,
    /// AF_XDP sockets, and their rings.
    Xsk,
    /// Questions about interfaces, and changes to them.
    Interface,
    /// Memory for packets.
    Memory,
    /// A thread.
    Thread,
    /// Anything else.
    Other,
}

impl KernelCall {
    pub(super) fn names(self) -> &'static str {
        match self {
            Self::Bpf => "the system call bpf",
            Self::Xsk => "AF_XDP sockets",
            Self::Interface => "access to interfaces",
            Self::Memory => "so much memory",
            Self::Thread => "one more thread",
            Self::Other => "it",
        }
    }
}
