//! The index of an xsk on its queue.

/// Which of several xsks that share a queue, in the order they were bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct XskIndex(pub u8);
