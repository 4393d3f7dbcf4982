//! Makes a frame of a fragment one of payload only, in place.

use super::fragment::{FRAGMENT_HEADER_BYTES, Fragment, Malformed};
use crate::memory::frame::Frame;

/// Cuts headers and padding off a frame, and returns which fragment it is.
pub(super) fn strip(
    mut frame: Frame,
    header_bytes: u32,
) -> Result<(Frame, Fragment), (Frame, Malformed)> {
    let header = frame.get(header_bytes as usize..).unwrap_or_default();
    let fragment = match Fragment::read(header) {
        Ok(fragment) => fragment,
        Err(reason) => return Err((frame, reason)),
    };
    // It has been read, so so many are there.
    let front = header_bytes + FRAGMENT_HEADER_BYTES;
    let Some(padding) = (frame.total_len() - front).checked_sub(fragment.len()) else {
        return Err((frame, Malformed::TooShort));
    };
    let cut = frame.shrink_back(padding).is_ok() && frame.shrink_front(front).is_ok();
    debug_assert!(cut, "both were found to be there");
    Ok((frame, fragment))
}
