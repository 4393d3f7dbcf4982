//! Memory as files: memfds, their seals, and which files are memory at all.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::Resource;

/// A memfd of `len` zeroed bytes that stays so long: it can be neither shrunk nor
/// extended, nor executed. `name` is what `/proc/PID/maps` says of it.
///
/// # Errors
///
/// Those of `memfd_create` and `ftruncate`; `EFBIG` where the process may not have
/// files so large (`RLIMIT_FSIZE`), of which the kernel makes a deadly signal.
pub(crate) fn create(name: &str, len: u64, huge: bool) -> io::Result<OwnedFd> {
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| len > limit) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    if huge {
        flags |= MemfdFlags::HUGETLB;
    }
    // Linux 6.3; with `vm.memfd_noexec=2` the kernel refuses those that lack it.
    let never_executed = rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL);
    let file = match never_executed {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        file => file?,
    };
    rustix::fs::ftruncate(&file, len)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// Has `file` take up the memory for its first `len` bytes. For kernels that do not
/// [fault in](super::memory::Mapping::fault_in) with an error.
pub(crate) fn allocate(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(
        file,
        rustix::fs::FallocateFlags::empty(),
        0,
        len,
    )?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn memory_stays_as_long_as_it_was_made() {
        let file = File::from(create("wharf-test", 8192, false).expect("a memfd"));

        assert_eq!(file.metadata().expect("its length").len(), 8192);
        for len in [0, 4096, 16384] {
            let refused = file.set_len(len).expect_err("sealed");
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM), "{len}");
        }
        let link = format!("/proc/self/fd/{}", {
            use std::os::fd::AsRawFd;
            file.as_raw_fd()
        });
        let link = std::fs::read_link(link).expect("a link");
        assert_eq!(link.to_str(), Some("/memfd:wharf-test (deleted)"));
        allocate(file.as_fd(), 8192).expect("memory for two pages");
    }
}
