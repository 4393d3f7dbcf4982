//! System calls no library offers safely; all the crate's `unsafe` is here.

pub(crate) mod ethtool;
pub(crate) mod ipv6;
pub(crate) mod namespace;
pub(crate) mod packet;
pub(crate) mod xsk;
