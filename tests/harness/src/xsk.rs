//! AF_XDP sockets that somebody else has made.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::xsk;

/// Sets how many frames one `sendto` or `poll` on `xsk` sends in copy mode: from
/// 32 to the entries of its TX ring (`XDP_MAX_TX_SKB_BUDGET`).
///
/// # Errors
///
/// The kernel's: `ENOPROTOOPT` before Linux 6.17, which has a fixed budget.
pub fn set_tx_budget(xsk: BorrowedFd<'_>, frames: u32) -> io::Result<()> {
    xsk::set_tx_budget(xsk, frames)
}
