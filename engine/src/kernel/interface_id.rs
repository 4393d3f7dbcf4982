//! Names an engine's interface on the data path, where strings are too slow.

/// An interface of an engine: its place in the order in which the builder was
/// told of them, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub usize);
