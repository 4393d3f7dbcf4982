//! A look at the frames that there are most of, which need no walk.

use super::header::{array, sum_of_words};
use super::place::{IPV4, IPV6};
use super::sum::fold;

/// Whether the frame is plain TCP whose checksum is not undone, or nothing that has a
/// checksum. `false` says nothing.
#[inline]
pub(crate) fn is_plainly_done(frame: &[u8]) -> bool {
    let Some(start) = frame.first_chunk::<PLAIN_BYTES>() else {
        return false;
    };
    match u16::from_be_bytes([start[12], start[13]]) {
        IPV4 if (start[14], start[23]) == (0x45, TCP) => {
            let len = u16::from_be_bytes([start[16], start[17]]).wrapping_sub(20);
            differs::<8>(start, 26, len, 34 + 16)
        }
        IPV6 if start[20] == TCP => match frame.first_chunk::<PLAIN_IPV6_BYTES>() {
            Some(start) => {
                let len = u16::from_be_bytes([start[18], start[19]]);
                differs::<32>(start, 22, len, 54 + 16)
            }
            None => false,
        },
        // ARP, the commonest of the others, and lengths of IEEE 802.3, as spanning
        // tree has them.
        0x0806 | 0..0x600 => true,
        _ => false,
    }
}

/// Whether the word at `field` is not the sum of the pseudo-header of a TCP segment of
/// `len` bytes, with the `N` bytes of addresses from `addresses` on.
#[inline]
fn differs<const N: usize>(start: &[u8], addresses: usize, len: u16, field: usize) -> bool {
    let (Some(addresses), Some(found)) = (array::<N>(start, addresses), array(start, field)) else {
        return false;
    };
    let pseudo = sum_of_words(&addresses) + u64::from(TCP) + u64::from(len);
    fold(pseudo) != u16::from_be_bytes(found)
}

const TCP: u8 = 6;
/// Up to the checksum of TCP in IPv4 without options, and in IPv6.
const PLAIN_BYTES: usize = 34 + 18;
const PLAIN_IPV6_BYTES: usize = 54 + 18;
