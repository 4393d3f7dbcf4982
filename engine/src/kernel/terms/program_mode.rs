//! Where an XDP program runs: what attaching it got.

use std::fmt;

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramMode {
    /// In the driver, before there is an skb.
    Native,
    /// In the kernel's stack, on an skb: works everywhere, and slower.
    Generic,
    /// On the NIC. Wharf attaches no program so, but finds those that are.
    Offloaded,
}

impl ProgramMode {
    /// The mode in words, as the command line has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

impl fmt::Display for ProgramMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
