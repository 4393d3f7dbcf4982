//! NUMA nodes: where a thread runs, and where memory lies and is to lie.
#![expect(unsafe_code, reason = "getcpu, mbind and move_pages")]

use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::io;
use std::ptr::NonNull;

use super::memory::Mapping;
use super::result::check;

/// The node of the CPU that the calling thread runs on.
pub(crate) fn current_node() -> io::Result<u32> {
    let (mut cpu, mut node) = (0_u32, 0_u32);
    let none = std::ptr::null_mut::<c_void>();
    // SAFETY: the kernel writes two numbers, and the third pointer is unused.
    let done = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, none) };
    check(done)?;
    Ok(node)
}

/// Has the pages of `mapping` that are not there yet come from `node`, and from others
/// where it has no memory left. For a shared mapping of a file, it holds for all that
/// map it.
pub(crate) fn prefer_node(mapping: &Mapping, node: u32) -> io::Result<()> {
    const WORD: u32 = c_ulong::BITS;
    let mut nodes = [0 as c_ulong; (MOST_NODES / WORD) as usize];
    let word = nodes.get_mut((node / WORD) as usize);
    *word.ok_or(io::ErrorKind::InvalidInput)? |= 1 << (node % WORD);
    // The kernel takes one off the number of bits.
    let bits = c_ulong::from(MOST_NODES) + 1;
    let (start, len) = (mapping.start().as_ptr(), mapping.len());
    let flags = 0 as c_long;
    // SAFETY: the range is the mapping's, of which no byte changes; the kernel reads as
    // many bits as there are.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            start,
            len,
            MPOL_PREFERRED,
            nodes.as_ptr(),
            bits,
            flags,
        )
    };
    check(done).map(drop)
}

/// The nodes of the pages at `offsets` from `start`; those that are nowhere are left
/// out.
pub(crate) fn nodes_of(start: NonNull<u8>, offsets: &[usize]) -> io::Result<Vec<u32>> {
    let page = |offset: &usize| start.as_ptr().wrapping_add(*offset);
    let pages: Vec<*mut u8> = offsets.iter().map(page).collect();
    let mut status: Vec<c_int> = vec![-libc::ENOENT; pages.len()];
    let (this_process, flags) = (0 as c_long, 0 as c_long);
    let nowhere = std::ptr::null::<c_int>();
    // SAFETY: both lists are as long as the kernel is told. Without a list of nodes it
    // touches no page, and writes where each is: a page that is not mapped is an error
    // there.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            this_process,
            pages.len(),
            pages.as_ptr(),
            nowhere,
            status.as_mut_ptr(),
            flags,
        )
    };
    check(done)?;
    Ok(status
        .into_iter()
        .filter_map(|node| u32::try_from(node).ok())
        .collect())
}

/// Nodes that a kernel may have at the most (`NODES_SHIFT` is 10).
const MOST_NODES: u32 = 1024;

/// `include/uapi/linux/mempolicy.h`.
const MPOL_PREFERRED: c_long = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_from_the_node_of_the_thread() {
        let mapping = Mapping::anonymous(1 << 16).expect("64 KiB of memory");
        let node = current_node().expect("some node");
        let offsets = [0, 4096, 1 << 15];

        match prefer_node(&mapping, node) {
            Ok(()) => {}
            // A kernel without nodes, or a filter of system calls.
            Err(error) => {
                return assert!(matches!(
                    error.raw_os_error(),
                    Some(libc::ENOSYS | libc::EPERM)
                ));
            }
        }
        assert_eq!(nodes_of(mapping.start(), &offsets).expect("a look"), []);
        mapping.fault_in().expect("memory");

        let nodes = nodes_of(mapping.start(), &offsets).expect("a look");
        assert_eq!(nodes, [node; 3]);
    }

    #[test]
    fn node_that_is_not_there_is_an_error() {
        let mapping = Mapping::anonymous(4096).expect("a page");

        for node in [MOST_NODES - 1, MOST_NODES, u32::MAX] {
            assert!(prefer_node(&mapping, node).is_err(), "{node}");
        }
    }
}
