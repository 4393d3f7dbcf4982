//! Options of AF_XDP sockets.

#![expect(unsafe_code, reason = "no library offers this option")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets how many frames one call sends in copy mode.
pub(crate) fn set_tx_budget(xsk: BorrowedFd<'_>, frames: u32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<u32>()).expect("it is four bytes");
    // SAFETY: the pointer is to a u32 that outlives the call, which reads
    // `length` bytes of it, its size.
    let outcome = unsafe {
        libc::setsockopt(
            xsk.as_raw_fd(),
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            (&raw const frames).cast(),
            length,
        )
    };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Source: `include/uapi/linux/if_xdp.h`, Linux 6.17.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
