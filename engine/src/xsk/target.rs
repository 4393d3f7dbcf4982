//! What a socket is to be bound to, and how.

use crate::kernel::interface::Interface;
use crate::kernel::sys::if_xdp;
use crate::kernel::{CopyMode, QueueIndex};

/// What a socket is to be bound to, and how.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) queue: QueueIndex,
    pub(crate) mode: CopyMode,
    /// Whether for frames in several chunks. Inherited, like the mode, by a
    /// socket that shares a registration.
    pub(crate) multi_buffer: bool,
}

impl Target<'_> {
    /// The flags of the first bind of a UMEM.
    pub(super) fn flags(&self) -> u16 {
        let mode = match self.mode {
            CopyMode::ZeroCopy => if_xdp::XDP_ZEROCOPY,
            CopyMode::Copy => if_xdp::XDP_COPY,
        };
        let multi_buffer = if self.multi_buffer {
            if_xdp::XDP_USE_SG
        } else {
            0
        };
        mode | multi_buffer | if_xdp::XDP_USE_NEED_WAKEUP
    }
}
