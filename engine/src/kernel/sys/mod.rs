//! System calls and the kernel's structures. It knows nothing of the rest of
//! the engine, and does one thing per function.

pub(crate) mod bpf;
pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod epoll;
pub(crate) mod if_xdp;
pub(crate) mod memfd;
pub(crate) mod memory;
pub(crate) mod namespace;
pub(crate) mod netdev;
pub(crate) mod numa;
mod result;
pub(crate) mod socket;
pub(crate) mod wait;
