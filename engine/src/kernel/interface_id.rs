//! The number of an engine's interface, for the data path, where names are too slow.

/// An interface of an engine, counted from 0 in the order of the calls to
/// [`EngineBuilder::interface`](crate::EngineBuilder::interface).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub usize);
