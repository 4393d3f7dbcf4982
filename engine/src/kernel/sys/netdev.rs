//! System calls about a network interface: ethtool's ioctls and promiscuous mode.
//!
//! Everything here acts in the network namespace of the socket it is given, or
//! of the calling thread where there is no socket. Nothing reads `/sys`, which
//! shows the namespace it was mounted in.
#![expect(unsafe_code, reason = "ioctl, setsockopt, dup3 and unshare")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::result::check;

/// The numbers of queues in use, as a driver says them. A combined channel is
/// one RX and one TX queue.
/// Source: `struct ethtool_channels` in `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Channels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    pub(crate) rx: u32,
    pub(crate) tx: u32,
    other: u32,
    pub(crate) combined: u32,
}

/// Source: `struct ethtool_drvinfo` in `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    // Versions of the driver and of its firmware.
    versions: [u32; 16],
    bus_info: [u8; 32],
    // The version of its ROM, and sizes of other answers.
    rest: [u32; 16],
}

/// What an interface is a device of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    /// The driver, for example `veth`.
    pub(crate) driver: String,
    /// Where it is on its bus, for example `0000:03:00.0`.
    pub(crate) bus_info: String,
}

/// A question of ethtool with one number in the answer.
/// Source: `struct ethtool_value` in `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

/// The queues of the interface `name`. `EOPNOTSUPP` where the driver does not
/// say, for example on `lo` and tun.
pub(crate) fn channels(socket: BorrowedFd<'_>, name: &str) -> io::Result<Channels> {
    let mut channels = Channels {
        cmd: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    let request = (&raw mut channels).cast();
    // SAFETY: ETHTOOL_GCHANNELS writes one `struct ethtool_channels`, whose
    // layout `Channels` has, and any bytes are valid in its integers.
    unsafe { ethtool(socket, name, request) }?;
    Ok(channels)
}

/// The driver of the interface `name`, for example `veth`.
pub(crate) fn driver(socket: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    device(socket, name).map(|device| device.driver)
}

/// Which of its receive and transmit features take VLAN tags out of frames.
pub(crate) fn vlan_offloads(socket: BorrowedFd<'_>, name: &str) -> io::Result<(bool, bool)> {
    let mut flags = Value {
        cmd: ETHTOOL_GFLAGS,
        data: 0,
    };
    let request = (&raw mut flags).cast();
    // SAFETY: ETHTOOL_GFLAGS writes one `struct ethtool_value`, whose layout `Value`
    // has, and any bytes are valid in its integers.
    unsafe { ethtool(socket, name, request) }?;
    let has = |flag| flags.data & flag != 0;
    Ok((has(ETH_FLAG_RXVLAN), has(ETH_FLAG_TXVLAN)))
}

/// The driver of the interface `name`, and where it is.
pub(crate) fn device(socket: BorrowedFd<'_>, name: &str) -> io::Result<Device> {
    let mut info = DriverInfo {
        cmd: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        versions: [0; 16],
        bus_info: [0; 32],
        rest: [0; 16],
    };
    let request = (&raw mut info).cast();
    // SAFETY: ETHTOOL_GDRVINFO writes one `struct ethtool_drvinfo`, whose size
    // `DriverInfo` has, and any bytes are valid in its integers.
    unsafe { ethtool(socket, name, request) }?;
    let text = |bytes: &[u8]| {
        let text = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
        text.to_string_lossy().into_owned()
    };
    Ok(Device {
        driver: text(&info.driver),
        bus_info: text(&info.bus_info),
    })
}

/// Opens a packet socket that receives nothing; it exists to hold memberships.
/// Needs CAP_NET_RAW.
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    // Protocol 0 takes no frames off the interface.
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        flags,
        None,
    )?)
}

/// Puts the interface `index` into promiscuous mode until [`release_promiscuous`]
/// or for as long as `socket` is open. The kernel counts the holders.
pub(crate) fn hold_promiscuous(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    change_promiscuous(socket, index, libc::PACKET_ADD_MEMBERSHIP)
}

/// Gives up what [`hold_promiscuous`] got, whoever else has a copy of `socket`.
pub(crate) fn release_promiscuous(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    change_promiscuous(socket, index, libc::PACKET_DROP_MEMBERSHIP)
}

fn change_promiscuous(socket: BorrowedFd<'_>, index: u32, option: libc::c_int) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).expect("the constant is 1"),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&membership)).expect("16 bytes");
    // SAFETY: `membership` is a live structure of `len` bytes that the kernel
    // reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const membership).cast(),
            len,
        )
    };
    check(result.into()).map(drop)
}

/// Makes the descriptor `alias`, whoever owns it, one of what `original` is one of.
/// What it was before is closed.
pub(crate) fn make_alias(alias: BorrowedFd<'_>, original: BorrowedFd<'_>) -> io::Result<()> {
    let (from, to) = (original.as_raw_fd(), alias.as_raw_fd());
    // SAFETY: `dup3` takes integers only. Both are open, and `alias` stays open.
    check(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }.into()).map(drop)
}

/// Source: `include/uapi/linux/ethtool.h`.
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_TXVLAN: u32 = 1 << 7;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// # Safety
///
/// `request` points to a live structure that begins with an ethtool command,
/// and that has room for what the kernel writes in answer to that command.
unsafe fn ethtool(
    socket: BorrowedFd<'_>,
    name: &str,
    request: *mut libc::c_char,
) -> io::Result<()> {
    let mut ifreq = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: request },
    };
    if name.len() >= ifreq.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: SIOCETHTOOL reads the name, which ends in a zero because it is
    // shorter than its field, and the pointer, which the caller vouches for.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut ifreq) };
    check(result.into()).map(drop)
}

/// The network namespace of `socket`. Needs CAP_NET_ADMIN there. Linux 4.9.
pub(crate) fn namespace_of(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: SIOCGSKNS takes no argument, and returns a new descriptor.
    let fd = check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) }.into())?;
    let fd = RawFd::try_from(fd).expect("descriptors are small numbers");
    // SAFETY: `fd` is what the call returned just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Source: `include/uapi/linux/sockios.h`.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Moves the calling thread into a network namespace of its own. Needs CAP_SYS_ADMIN.
pub(crate) fn enter_private_network() -> io::Result<()> {
    // SAFETY: `unshare` takes an integer; CLONE_NEWNET affects this thread only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_size_of_the_kernel() {
        assert_eq!(size_of::<Channels>(), 36);
        assert_eq!(size_of::<DriverInfo>(), 196);
    }
}
