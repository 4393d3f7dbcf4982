//! The index of an interface.

use std::fmt;

/// The kernel's number for an interface, unique in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(u32);

impl InterfaceIndex {
    /// Any number; whether there is such an interface is for the kernel to say.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number as the kernel's calls take it.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
