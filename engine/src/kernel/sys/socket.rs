//! The system calls of an AF_XDP socket, one function each, and nothing on top.
//!
//! Errors are the kernel's own, as [`io::Error`]; what they mean here is for
//! the callers to say. Source of the numbers and rules: `net/xdp/xsk.c`.
#![expect(unsafe_code, reason = "setsockopt and getsockopt")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use super::if_xdp::{self, MmapOffsets, Statistics, UmemReg};
use super::memory::{Mapping, page_size};
use super::result::check;
use super::wait::PollSet;

/// Opens an xsk. Needs CAP_NET_RAW in the user namespace that owns the network
/// namespace.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::XDP,
        SocketType::RAW,
        flags,
        None,
    )?)
}

/// What an xsk is to be bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindAddress<'fd> {
    pub(crate) flags: u16,
    pub(crate) ifindex: u32,
    pub(crate) queue_id: u32,
    /// The bound socket whose UMEM it uses, with the flag `XDP_SHARED_UMEM`.
    pub(crate) shared_umem: Option<BorrowedFd<'fd>>,
}

/// Binds an xsk to a queue.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &BindAddress<'_>) -> io::Result<()> {
    let flags = SocketAddrXdpFlags::from_bits_retain(address.flags);
    let addr = SocketAddrXdp::new(flags, address.ifindex, address.queue_id);
    match address.shared_umem {
        None => rustix::net::bind(fd, &addr)?,
        Some(shared_umem_fd) => {
            let addr = SocketAddrXdpWithSharedUmem {
                addr,
                shared_umem_fd,
            };
            rustix::net::bind(fd, &addr)?;
        }
    }
    Ok(())
}

/// Registers memory as the socket's UMEM (`XDP_UMEM_REG`), which pins it.
///
/// # Safety
///
/// The kernel writes to the memory that `registration` names for as long as a
/// chunk of it lies in a fill ring: the caller keeps Rust references off it.
/// (It may be unmapped at any time: the kernel holds the pages.)
pub(crate) unsafe fn register_umem(fd: BorrowedFd<'_>, registration: &UmemReg) -> io::Result<()> {
    set_option(fd, if_xdp::SOL_XDP, if_xdp::XDP_UMEM_REG, registration)
}

/// Creates one of the four rings; `option` is `XDP_RX_RING` or a sibling.
pub(crate) fn create_ring(fd: BorrowedFd<'_>, option: i32, entries: u32) -> io::Result<()> {
    set_option(fd, if_xdp::SOL_XDP, option, &entries)
}

/// Where the parts of the rings lie in their mappings.
pub(crate) fn mmap_offsets(fd: BorrowedFd<'_>) -> io::Result<MmapOffsets> {
    let (offsets, len) = get_option(
        fd,
        if_xdp::SOL_XDP,
        if_xdp::XDP_MMAP_OFFSETS,
        MmapOffsets::default(),
    )?;
    if len < size_of::<MmapOffsets>() {
        // Version 1 of the structure (Linux 5.3 and older) has no flags, and
        // other offsets than the ones read here.
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(offsets)
}

/// The kernel's counters of the socket.
pub(crate) fn statistics(fd: BorrowedFd<'_>) -> io::Result<Statistics> {
    let (statistics, _) = get_option(
        fd,
        if_xdp::SOL_XDP,
        if_xdp::XDP_STATISTICS,
        Statistics::default(),
    )?;
    Ok(statistics)
}

/// Whether the kernel counts drops by reason, which is Linux 5.9: it fills in more
/// of the structure.
pub(crate) fn has_long_statistics(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let (_, len) = get_option(
        fd,
        if_xdp::SOL_XDP,
        if_xdp::XDP_STATISTICS,
        Statistics::default(),
    )?;
    Ok(len == size_of::<Statistics>())
}

/// Registers a UMEM of one page with a socket of its own, with `flags` and room
/// for transmit metadata in front of each frame, and lets go of it.
pub(crate) fn try_registration(flags: u32, tx_metadata_len: u32) -> io::Result<()> {
    let fd = open()?;
    let page = usize::try_from(page_size()).expect("a page size fits usize");
    let memory = Mapping::anonymous(page)?;
    let registration = UmemReg {
        addr: u64::try_from(memory.start().as_ptr().addr()).expect("addresses fit 64 bits"),
        len: u64::from(page_size()),
        chunk_size: 4096.min(page_size()),
        headroom: 0,
        flags,
        tx_metadata_len,
    };
    // SAFETY: the socket has no fill ring, so the kernel writes nowhere, and there
    // are no references to the memory.
    unsafe { register_umem(fd.as_fd(), &registration) }
}

/// Asks that the socket's queue be polled by whoever reads it. Linux 5.11; earlier
/// kernels answer `ENOPROTOOPT`. Takes CAP_NET_ADMIN.
pub(crate) fn prefer_busy_poll(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1_i32)
}

/// A number for the network namespace of any socket, which no other namespace has
/// until the next boot. Linux 5.14.
pub(crate) fn network_namespace(fd: BorrowedFd<'_>) -> io::Result<u64> {
    get_option(fd, libc::SOL_SOCKET, SO_NETNS_COOKIE, 0_u64).map(|(cookie, _)| cookie)
}

/// Whether the bound socket works in zero-copy mode (`XDP_OPTIONS`).
pub(crate) fn is_zero_copy(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let (options, _) = get_option(fd, if_xdp::SOL_XDP, if_xdp::XDP_OPTIONS, 0_u32)?;
    Ok(options & if_xdp::XDP_OPTIONS_ZEROCOPY != 0)
}

/// Raises the number of frames that one `sendto` sends in copy mode. Linux
/// 6.17; earlier kernels answer `ENOPROTOOPT`.
pub(crate) fn set_tx_budget(fd: BorrowedFd<'_>, frames: u32) -> io::Result<()> {
    set_option(fd, if_xdp::SOL_XDP, if_xdp::XDP_MAX_TX_SKB_BUDGET, &frames)
}

/// Asks for a send buffer of `bytes`, beyond the system's limit where
/// CAP_NET_ADMIN allows that, and returns the size got. In copy mode the send
/// buffer bounds the frames in flight.
pub(crate) fn set_send_buffer(fd: BorrowedFd<'_>, bytes: i32) -> io::Result<u32> {
    if set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes).is_err() {
        set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes)?;
    }
    let (got, _) = get_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 0_u32)?;
    Ok(got)
}

/// Makes the kernel work on the TX ring, without waiting. In copy mode the
/// frames are sent inside this call.
pub(crate) fn kick_tx(fd: BorrowedFd<'_>) -> io::Result<()> {
    // No bytes and no address is what an xsk takes.
    rustix::net::send(fd, &[], SendFlags::DONTWAIT)?;
    Ok(())
}

/// Makes the kernel look at the fill ring, without waiting. Matters in
/// zero-copy mode only. Before Linux 5.11 an xsk has no `recvfrom`, and a `poll`
/// that does not wait does it.
pub(crate) fn kick_rx(fd: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::net::recv(fd, &mut [0; 0], RecvFlags::DONTWAIT) {
        Ok(_) => Ok(()),
        Err(Errno::OPNOTSUPP) => {
            let set = PollSet::new(fd);
            set.wait(Duration::ZERO).map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

/// A type of plain integers without padding: the kernel may read all its bytes,
/// and write any.
///
/// # Safety
///
/// The type is just that.
unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: eight bytes, and all of their values are valid.
unsafe impl Plain for u64 {}
// SAFETY: `repr(C)`, of u64 only.
unsafe impl Plain for MmapOffsets {}
// SAFETY: `repr(C)`, of u64 only.
unsafe impl Plain for Statistics {}
// SAFETY: `repr(C)`, two u64 and four u32, 32 bytes by the assertion.
unsafe impl Plain for UmemReg {}

fn set_option<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = option_len::<T>();
    // SAFETY: `value` is a live `T`, of which the kernel reads `len` bytes.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    check(result.into()).map(drop)
}

/// Returns the option's value, written over `value`, and the length that the
/// kernel filled in.
fn get_option<T: Plain>(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    mut value: T,
) -> io::Result<(T, usize)> {
    let mut len = option_len::<T>();
    // SAFETY: `value` is a live `T` of `len` bytes, and plain, so whatever bytes
    // the kernel writes are valid.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    check(result.into())?;
    let len = usize::try_from(len).expect("the kernel shortens the length, never more");
    Ok((value, len))
}

/// Source: `include/uapi/asm-generic/socket.h`.
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_NETNS_COOKIE: i32 = 71;

fn option_len<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("options are a few bytes long")
}
