//! Sockets whose packets have IPv6 extension headers.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::ipv6;

/// Has every packet of an IPv6 socket carry a header of destination options, which are
/// padding.
///
/// # Errors
///
/// The kernel's: `EPERM` without CAP_NET_RAW.
pub fn set_destination_options(socket: BorrowedFd<'_>) -> io::Result<()> {
    // The kernel fills in the next header. One option: PadN, of four bytes.
    ipv6::set_destination_options(socket, &[0, 0, 1, 4, 0, 0, 0, 0])
}
