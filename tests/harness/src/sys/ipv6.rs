//! Options of IPv6 sockets.

#![expect(unsafe_code, reason = "no library offers this option")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Has every packet carry `options`, a whole extension header.
pub(crate) fn set_destination_options(socket: BorrowedFd<'_>, options: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(options.len()).expect("a header is short");
    // SAFETY: the pointer is to `length` bytes that outlive the call, which reads them.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_DSTOPTS,
            options.as_ptr().cast(),
            length,
        )
    };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
