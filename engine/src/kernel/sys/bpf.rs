//! The system call `bpf(2)`: attaching an XDP program by a link, and what the
//! kernel knows of such programs. aya makes maps and loads programs.
#![expect(unsafe_code, reason = "bpf")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::result::check;

/// The mode bits that an XDP attachment takes, exactly one of them.
/// Source: `XDP_FLAGS_SKB_MODE` and `_DRV_MODE` in `include/uapi/linux/if_link.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum XdpMode {
    Generic = 1 << 1,
    Native = 1 << 2,
}

/// Attaches `program` to the interface `index` in the calling thread's network
/// namespace. It stays attached until [`detach_xdp`], or until the last copy of
/// the descriptor is closed, so a killed process leaves nothing behind. Linux 5.9.
///
/// Not done through aya, which falls back to a netlink attachment when the
/// kernel answers `EINVAL` (aya 0.14, `programs/xdp.rs`): that one survives us.
pub(crate) fn attach_xdp(
    program: BorrowedFd<'_>,
    index: u32,
    mode: XdpMode,
) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        program: program.as_raw_fd(),
        interface: index,
        attach_type: BPF_XDP,
        flags: mode as u32,
    };
    // SAFETY: the command takes integers only, and writes nothing.
    let fd = unsafe { bpf(BPF_LINK_CREATE, &attributes) }?;
    // SAFETY: `fd` is what the command returned just now: a new link.
    unsafe { owned(fd) }
}

/// Detaches what [`attach_xdp`] attached, whoever else holds a copy of `link`.
/// Linux 5.9.
///
/// Closing the descriptor does it too, but only with the last copy, and copies
/// come about unasked: a child between `fork` and `exec`, or anybody who lists
/// the host's links.
pub(crate) fn detach_xdp(link: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the command takes one integer, and writes nothing.
    unsafe { bpf(BPF_LINK_DETACH, &link.as_raw_fd()) }.map(drop)
}

/// Replaces `old` by `program` in what [`attach_xdp`] attached: every frame is seen
/// by exactly one of the two. Fails, and leaves `old` where it is, when
/// that is not what is there. Linux 5.9.
pub(crate) fn replace_xdp(
    link: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> io::Result<()> {
    let attributes = LinkUpdate {
        link: link.as_raw_fd(),
        program: program.as_raw_fd(),
        flags: BPF_F_REPLACE,
        old: old.as_raw_fd(),
    };
    // SAFETY: the command takes integers only, and writes nothing.
    unsafe { bpf(BPF_LINK_UPDATE, &attributes) }.map(drop)
}

/// Whether the kernel attaches XDP programs by links, which is Linux 5.9. Attaches
/// nothing: the program named is none.
///
/// A kernel that does not know the attachment says `EINVAL` before it looks at
/// the program, one that does says `EBADF` (`link_create` in
/// `kernel/bpf/syscall.c`).
pub(crate) fn knows_xdp_links() -> io::Result<bool> {
    let attributes = LinkCreate {
        program: -1,
        interface: 0,
        attach_type: BPF_XDP,
        flags: XdpMode::Generic as u32,
    };
    // SAFETY: the command takes integers only, and writes nothing. It opens no
    // descriptor, as there is no program -1.
    match unsafe { bpf(BPF_LINK_CREATE, &attributes) } {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether frames of a program may lie in several buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Buffers {
    One = 0,
    /// `BPF_F_XDP_HAS_FRAGS`, Linux 5.18.
    Several = 1 << 5,
}

/// Loads an XDP program that passes every frame, and lets go of it.
pub(crate) fn load_xdp(buffers: Buffers) -> io::Result<()> {
    // `r0 = XDP_PASS; exit`.
    let instructions: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let license = c"GPL";
    // Exposed, so that the compiler knows of somebody who reads there.
    let address =
        |pointer: *const u8| u64::try_from(pointer.expose_provenance()).expect("64 bits hold it");
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: 2,
        instructions: address(instructions.as_ptr().cast()),
        license: address(license.as_ptr().cast()),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: buffers as u32,
    };
    // SAFETY: the two pointers are to memory that lives until the call is over: as
    // many instructions as are said, eight bytes each, and a string that ends in
    // a zero. Without a log nothing is written.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &attributes) }?;
    // SAFETY: `fd` is what the command returned just now: a new program.
    unsafe { owned(fd) }.map(drop)
}

/// Creates an array of one number, and lets go of it.
pub(crate) fn create_array() -> io::Result<()> {
    let attributes = MapCreate {
        kind: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: 4,
        entries: 1,
        flags: 0,
    };
    // SAFETY: the command takes integers only, and writes nothing.
    let fd = unsafe { bpf(BPF_MAP_CREATE, &attributes) }?;
    // SAFETY: `fd` is what the command returned just now: a new map.
    unsafe { owned(fd) }.map(drop)
}

/// `attributes` is the part of `union bpf_attr` that `command` reads.
///
/// # Safety
///
/// Where `command` reads a pointer from `attributes`, it points to live memory of
/// the size that the attributes say; and `command` writes to none of it.
unsafe fn bpf<T: Copy>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: `attributes` is live and of the size given, and the kernel
    // zero-extends it; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    check(result)
}

/// The descriptor that a call has just opened, or its error.
///
/// # Safety
///
/// `result` is what the call returned, and nobody else owns the descriptor.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(check(result)?).expect("descriptors are small numbers");
    // SAFETY: by the caller's promise it is valid, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Source: `link_create` in `union bpf_attr`, `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(C)]
struct LinkCreate {
    program: RawFd,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// Source: `link_update` in `union bpf_attr`, `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(C)]
struct LinkUpdate {
    link: RawFd,
    program: RawFd,
    flags: u32,
    old: RawFd,
}

/// The beginning of what `BPF_PROG_LOAD` reads.
/// Source: `union bpf_attr` in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The beginning of what `BPF_MAP_CREATE` reads.
/// Source: `union bpf_attr` in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy)]
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
}

/// Source: `include/uapi/linux/bpf.h`.
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_F_REPLACE: u32 = 1 << 2;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_XDP: u32 = 37;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_size_of_the_kernel() {
        assert_eq!(size_of::<LinkCreate>(), 16);
        assert_eq!(size_of::<LinkUpdate>(), 16);
        assert_eq!(size_of::<ProgramLoad>(), 48);
        assert_eq!(size_of::<MapCreate>(), 20);
    }
}
