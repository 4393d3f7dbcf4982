//! What a system call returned.

use std::io;

/// The number that a call returned, or its error where that is negative.
pub(super) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
