//! AF_PACKET sockets: binding, options, and receiving in batches.
//!
//! Sending needs nothing from here. Receiving does for one reason: the stack
//! takes the VLAN tag out of a frame before an AF_PACKET socket sees it
//! (`skb_vlan_untag` in `net/core/dev.c`), and hands it over in ancillary data
//! (`PACKET_AUXDATA`), from where [`Batch`] puts it back.

#![expect(
    unsafe_code,
    reason = "no library offers packet addresses and options without unsafe"
)]

use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Binds `socket` to one interface; `protocol` 0 receives nothing.
pub(crate) fn bind(socket: BorrowedFd<'_>, index: u32, protocol: u16) -> io::Result<()> {
    // Both constants fit: AF_PACKET is 17, the structure has 20 bytes.
    let family = u16::try_from(libc::AF_PACKET).expect("address families fit 16 bits");
    let length = socklen::<libc::sockaddr_ll>();
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: protocol.to_be(),
        sll_ifindex: signed(index),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the pointer is to a sockaddr_ll of `length` bytes that outlives
    // the call, which only reads it.
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    check(outcome)
}

/// Sets an option whose value is one integer.
pub(crate) fn set_flag(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(socket, option, &on)
}

/// Has the interface receive frames for other addresses while the socket lives.
pub(crate) fn be_promiscuous(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: signed(index),
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).expect("PACKET_MR_PROMISC is 1"),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(socket, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Frames the socket had no room for since this was last asked.
pub(crate) fn drops(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut statistics = libc::tpacket_stats {
        tp_packets: 0,
        tp_drops: 0,
    };
    let mut length = socklen::<libc::tpacket_stats>();
    // SAFETY: the kernel writes at most `length` bytes, the size of
    // `statistics`, which is exclusively borrowed and valid for any bytes.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    check(outcome)?;
    Ok(u64::from(statistics.tp_drops))
}

/// Room for [`SLOTS`] frames, and those received into it but not yet taken.
pub(crate) struct Batch {
    storage: Vec<u8>,
    controls: Vec<Control>,
    /// Where in `storage` the received frames are.
    received: Vec<(usize, usize)>,
    taken: usize,
}

/// The only ancillary message that is switched on, as the kernel lays it out:
/// `CMSG_DATA` follows the header at its alignment, which is this offset.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: libc::cmsghdr,
    data: libc::tpacket_auxdata,
}

impl Batch {
    pub fn new() -> Self {
        // SAFETY: both structures are plain integers, for which zero is valid.
        let empty: Control = unsafe { mem::zeroed() };
        Self {
            storage: vec![0; SLOTS * SLOT_BYTES],
            controls: vec![empty; SLOTS],
            received: Vec::with_capacity(SLOTS),
            taken: 0,
        }
    }

    /// The next frame received, its VLAN tag in place.
    pub fn take(&mut self) -> Option<&[u8]> {
        let &(start, end) = self.received.get(self.taken)?;
        self.taken += 1;
        Some(&self.storage[start..end])
    }

    /// Receives what is there; frames not taken are forgotten. Does not wait, as
    /// `socket` is non-blocking.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.received.clear();
        self.taken = 0;
        // SAFETY: an iovec is a pointer, which may be null, and a length.
        let mut vectors: [libc::iovec; SLOTS] = unsafe { mem::zeroed() };
        // SAFETY: an mmsghdr is pointers, which may be null, and integers.
        let mut messages: [libc::mmsghdr; SLOTS] = unsafe { mem::zeroed() };
        let slots = self.storage.chunks_exact_mut(SLOT_BYTES);
        for (((slot, control), vector), message) in slots
            .zip(&mut self.controls)
            .zip(&mut vectors)
            .zip(&mut messages)
        {
            vector.iov_base = slot[TAG_BYTES..].as_mut_ptr().cast();
            vector.iov_len = SLOT_BYTES - TAG_BYTES;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = (&raw mut *control).cast();
            message.msg_hdr.msg_controllen = size_of::<Control>();
        }

        // SAFETY: each of the SLOTS headers points to one iovec, that to its own
        // slot of `storage`, and to its own element of `controls`, with their
        // sizes; all are exclusively borrowed and outlive the call, and any
        // bytes are valid in them. A null timeout is allowed.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                libc::c_uint::try_from(SLOTS).expect("SLOTS is 64"),
                0,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        for (number, message) in messages.iter().enumerate().take(count) {
            if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a frame exceeds 64 KiB; switch segmentation offload off at the sender",
                ));
            }
            let length = usize::try_from(message.msg_len).unwrap_or(usize::MAX);
            let tag = self.controls[number].vlan_tag(&message.msg_hdr);
            let start = number * SLOT_BYTES + TAG_BYTES;
            let end = start + length.min(SLOT_BYTES - TAG_BYTES);
            let start = match tag {
                Some(tag) if length >= ADDRESSES_BYTES => {
                    put_back_tag(&mut self.storage[start - TAG_BYTES..end], tag);
                    start - TAG_BYTES
                }
                _ => start,
            };
            self.received.push((start, end));
        }
        Ok(())
    }
}

impl Control {
    /// The tag the kernel took out of the frame, as it was on the wire.
    fn vlan_tag(&self, message: &libc::msghdr) -> Option<[u8; TAG_BYTES]> {
        let is_present = message.msg_controllen >= size_of::<libc::cmsghdr>()
            && self.header.cmsg_level == libc::SOL_PACKET
            && self.header.cmsg_type == libc::PACKET_AUXDATA;
        if !is_present || self.data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
            return None;
        }
        let protocol = if self.data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
            self.data.tp_vlan_tpid
        } else {
            ETHERTYPE_VLAN
        };
        let [a, b] = protocol.to_be_bytes();
        let [c, d] = self.data.tp_vlan_tci.to_be_bytes();
        Some([a, b, c, d])
    }
}

/// Moves the addresses to the front, over [`TAG_BYTES`] of room, and puts the
/// tag behind them.
fn put_back_tag(frame_with_room: &mut [u8], tag: [u8; TAG_BYTES]) {
    frame_with_room.copy_within(TAG_BYTES..TAG_BYTES + ADDRESSES_BYTES, 0);
    frame_with_room[ADDRESSES_BYTES..ADDRESSES_BYTES + TAG_BYTES].copy_from_slice(&tag);
}

fn set_option<T: Copy>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer is to a value of the given size that outlives the
    // call, which only reads it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const *value).cast(),
            socklen::<T>(),
        )
    };
    check(outcome)
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("socket structures are small")
}

fn signed(index: u32) -> libc::c_int {
    libc::c_int::try_from(index).expect("interface indices are positive i32")
}

/// Frames a system call may return; enough that its cost is shared.
const SLOTS: usize = 64;
/// A segmentation-offload frame of 64 KiB, its headers, and room for a tag. The
/// pages that frames do not reach are never touched.
const SLOT_BYTES: usize = 68 * 1024;
const TAG_BYTES: usize = 4;
/// Destination and source address, which precede the tag.
const ADDRESSES_BYTES: usize = 12;
const ETHERTYPE_VLAN: u16 = 0x8100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_goes_between_addresses_and_type() {
        let mut bytes: Vec<u8> = [0; TAG_BYTES].into_iter().chain(1..=16).collect();

        put_back_tag(&mut bytes, [0x81, 0, 0, 42]);

        let expected = (1..=12).chain([0x81, 0, 0, 42]).chain(13..=16);
        assert_eq!(bytes, expected.collect::<Vec<u8>>());
    }
}
