//! Memory mappings that unmap on drop: those of UMEMs, and the four rings of an xsk.
#![expect(unsafe_code, reason = "mmap, munmap and madvise")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use rustix::process::Resource;

/// One mapping of readable and writable memory, unmapped on drop.
///
/// # Invariants
///
/// `start` is the address of `len` mapped bytes, `len` is not zero, and nothing
/// else unmaps them.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; `Mapping` itself
// only hands out its address, and unmapping works from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above: `&Mapping` returns the address and the length, nothing more.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of private zeroed memory. Nothing is behind it before it is
    /// [faulted in](Self::fault_in).
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Like [`anonymous`](Self::anonymous), in huge pages of the default size, of
    /// which `len` is a multiple. An error if too few are reserved.
    pub(crate) fn huge(len: usize) -> io::Result<Self> {
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        Self::map(len, kind, -1, 0)
    }

    /// Maps `len` bytes at `offset` of the memory that `file` is, shared. As
    /// [`anonymous`](Self::anonymous), it has to be faulted in.
    pub(crate) fn of_memory(file: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<Self> {
        let offset =
            i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
        Self::map(len, libc::MAP_SHARED, file.as_raw_fd(), offset)
    }

    /// Maps `len` bytes at `offset` of the file behind `fd`, shared.
    pub(crate) fn of_file(fd: BorrowedFd<'_>, len: usize, offset: i64) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, flags, fd.as_raw_fd(), offset)
    }

    fn map(len: usize, flags: i32, fd: i32, offset: i64) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without MAP_FIXED the kernel chooses an unused range, so no
        // memory that exists is touched. Bad arguments are an error.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { start, len };
        mapping.leave_out_of_children()?;
        Ok(mapping)
    }

    /// Has every page of the memory there, writable, or an error where touching some
    /// page would be a `SIGBUS`: the kernel has no page for it, a control group may
    /// not have it (`hugetlb.2MB.max`), or the file behind it is too short.
    ///
    /// Before Linux 5.14 the kernel cannot fault in with an error, and `Ok(false)` says
    /// that nothing was done.
    pub(crate) fn fault_in(&self) -> io::Result<bool> {
        fault_in(self.start, self.len)
    }

    /// As [`fault_in`](Self::fault_in) by writing a zero to each page, for memory that
    /// is new and has no other bytes.
    pub(crate) fn touch_zeroed(&self) {
        for offset in (0..self.len).step_by(page_size() as usize) {
            // SAFETY: the offset is inside the mapping.
            let byte = unsafe { self.start.add(offset) };
            // SAFETY: by the invariant the byte is mapped, and it is writable.
            unsafe { byte.as_ptr().write_volatile(0) };
        }
    }

    /// Keeps a forked child from getting copies of pages the kernel writes:
    /// copy-on-write would hand the child, or us, the wrong page.
    fn leave_out_of_children(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping, and MADV_DONTFORK changes nothing
        // for this process.
        unsafe { advise(self.start, self.len, libc::MADV_DONTFORK) }
    }

    /// The first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: by the invariant the range is mapped and ours; whoever got
        // the address from `start` keeps this value alive while using it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// As [`Mapping::fault_in`], for the `len` bytes at `start`, whoever mapped them.
pub(crate) fn fault_in(start: NonNull<u8>, len: usize) -> io::Result<bool> {
    // SAFETY: faulting in changes no byte, and is an error where nothing is mapped.
    let done = unsafe { advise(start, len, libc::MADV_POPULATE_WRITE) };
    match done {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL) => Ok(false),
            // The kernel's word for a SIGBUS.
            Some(libc::EFAULT) => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
            _ => Err(error),
        },
    }
}

/// `madvise(2)`.
///
/// # Safety
///
/// What `advice` does to the `len` bytes at `start` is the caller's to do.
pub(crate) unsafe fn advise(start: NonNull<u8>, len: usize, advice: i32) -> io::Result<()> {
    // SAFETY: by the caller.
    let done = unsafe { libc::madvise(start.as_ptr().cast(), len, advice) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The size of a page in bytes.
pub(crate) fn page_size() -> u32 {
    u32::try_from(rustix::param::page_size()).expect("a page size fits 32 bits")
}

/// The soft limit of locked memory in bytes (`RLIMIT_MEMLOCK`), or `None` when
/// there is none.
pub(crate) fn locked_memory_limit() -> Option<u64> {
    rustix::process::getrlimit(Resource::Memlock).current
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn anonymous_mapping_is_page_aligned() {
        let mapping = Mapping::anonymous(1 << 16).expect("64 KiB of memory");

        let page = usize::try_from(page_size()).expect("a page size fits usize");
        assert_eq!(mapping.start().as_ptr().addr() % page, 0);
        assert_eq!(mapping.len(), 1 << 16);
    }

    #[test]
    fn mapping_without_the_memory_behind_it_is_noticed() {
        let page = usize::try_from(page_size()).expect("a page size fits usize");
        let path = std::env::temp_dir().join(format!("wharf-empty-{}", std::process::id()));
        let mut options = std::fs::File::options();
        options.read(true).write(true).create_new(true);
        let file = options.open(&path).expect("a new file");
        std::fs::remove_file(&path).expect("it is there");
        // It maps, but there is nothing behind the end of a file.
        let mapping = Mapping::of_file(file.as_fd(), page, 0).expect("it maps");

        let error = mapping.fault_in().expect_err("nothing to fault in");
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));

        file.set_len(page_size().into()).expect("room for a page");
        mapping.fault_in().expect("it has its page now");
    }

    #[test]
    fn memory_is_there_once_it_was_touched() {
        let page = usize::try_from(page_size()).expect("a page size fits usize");
        let mapping = Mapping::anonymous(3 * page).expect("three pages");

        mapping.touch_zeroed();

        for place in 0..3 {
            // SAFETY: the page is inside the mapping.
            let start = unsafe { mapping.start().add(place * page) };
            let mut is_there = [0_u8];
            // SAFETY: the range is a page of the mapping, and one byte is written for it.
            let done = unsafe { libc::mincore(start.as_ptr().cast(), page, is_there.as_mut_ptr()) };
            assert_eq!((done, is_there[0] & 1), (0, 1), "page {place}");
        }
    }

    #[test]
    fn empty_mapping_is_an_error() {
        assert!(Mapping::anonymous(0).is_err());
    }
}
