//! What an xsk really got, beside what was asked for.

use super::checksums::Checksums;
use super::config::Mode;
use super::limits::XskLimits;
use crate::kernel::{CopyMode, QueueIndex};
use crate::kernel::{InterfaceId, XskIndex};

/// What an xsk got when it was bound, read back from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindReport {
    /// The interface's name.
    pub interface: String,
    /// The caller's name for the interface.
    pub id: InterfaceId,
    /// The interface's driver, where it says.
    pub driver: Option<String>,
    /// The queue.
    pub queue: QueueIndex,
    /// Which of the queue's xsks, in the order they were bound.
    pub xsk: XskIndex,
    /// What was asked for.
    pub requested: Mode,
    /// What the kernel says the socket does (`XDP_OPTIONS`).
    pub got: CopyMode,
    /// Why zero copy was not had, where it was tried.
    pub fallback: Option<String>,
    /// Whether frames may lie in several chunks.
    pub multi_buffer: bool,
    /// Whether received frames get the checksums that their senders left to hardware:
    /// `Finish` or `Leave`, whatever was asked for.
    pub checksums: Checksums,
    /// Frames that one wake-up sends in copy mode, where the kernel lets that
    /// be set (Linux 6.17); `None` is the kernel's fixed 16 (5.10) or 32.
    pub tx_budget: Option<u32>,
    /// The socket's send buffer in bytes, which bounds frames in flight in copy
    /// mode.
    pub send_buffer_bytes: u32,
    /// The limits in force as it was bound.
    pub limits: XskLimits,
}
