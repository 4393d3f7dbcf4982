//! Files of other owners that are memory: which may be, and what is done so that they
//! stay.
#![expect(
    unsafe_code,
    reason = "vouches for a mapping that the caller vouched for"
)]

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FileType, OFlags, SealFlags, Stat, major, minor};
use rustix::io::Errno;

use super::error::ForeignMemoryError;
use super::in_use::{InUse, Space};
use crate::kernel::sys::memory::{Mapping, page_size};
use crate::memory::region::Memory;

/// A file that can be packet memory.
pub(super) struct MemoryFile {
    file: OwnedFd,
    stat: Stat,
    pub(super) page_bytes: u64,
    offset: u64,
}

/// A range of a file, mapped.
#[derive(Debug)]
pub(super) struct MappedFile {
    mapping: Mapping,
    _file: OwnedFd,
    _in_use: InUse,
}

// SAFETY: the mapping is readable and writable and stays as long as the value. The
// caller of `Umem::adopt` vouches that nobody else looks at these bytes of the file.
unsafe impl Memory for MappedFile {
    fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    fn len(&self) -> usize {
        self.mapping.len()
    }
}

impl MemoryFile {
    /// `file` from `offset` on. With `must_be_sealed`, it shall be one that nobody can
    /// truncate.
    pub(super) fn new(
        file: OwnedFd,
        offset: u64,
        must_be_sealed: bool,
    ) -> Result<Self, ForeignMemoryError> {
        let stat = rustix::fs::fstat(&file).map_err(ForeignMemoryError::of("fstat of the file"))?;
        let page_bytes = page_bytes(&file, &stat)?;
        let flags = rustix::fs::fcntl_getfl(&file)
            .map_err(ForeignMemoryError::of("fcntl(F_GETFL) of the file"))?;
        if flags & OFlags::ACCMODE != OFlags::RDWR || flags.contains(OFlags::PATH) {
            return Err(ForeignMemoryError::FileNotWritable);
        }
        seal(&file, must_be_sealed)?;
        if !offset.is_multiple_of(page_bytes) {
            return Err(ForeignMemoryError::Misaligned {
                of: "offset",
                value: offset,
                page_bytes,
            });
        }
        Ok(Self {
            file,
            stat,
            page_bytes,
            offset,
        })
    }

    /// Maps `len` bytes of it.
    pub(super) fn map(self, len: u64) -> Result<MappedFile, ForeignMemoryError> {
        // Sealed before it is looked at, so that it stays so long. A device has no
        // length; whether it has the pages is seen below.
        let is_file = FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile;
        let stat =
            rustix::fs::fstat(&self.file).map_err(ForeignMemoryError::of("fstat of the file"))?;
        let there = u64::try_from(stat.st_size)
            .unwrap_or(0)
            .saturating_sub(self.offset);
        if is_file && there < len {
            return Err(ForeignMemoryError::TooSmall { needed: len, there });
        }
        let space = if is_file {
            Space::File {
                major: major(stat.st_dev),
                minor: minor(stat.st_dev),
                inode: stat.st_ino,
            }
        } else {
            Space::File {
                major: major(stat.st_rdev),
                minor: minor(stat.st_rdev),
                inode: 0,
            }
        };
        let range = self.offset..self.offset.saturating_add(len);
        let in_use = InUse::mark(vec![(space, range)]).ok_or(ForeignMemoryError::InUse)?;
        let mapped = usize::try_from(len).map_err(|_| ForeignMemoryError::Call {
            call: "mmap of the file",
            source: std::io::ErrorKind::OutOfMemory.into(),
        })?;
        let mapping = Mapping::of_memory(self.file.as_fd(), mapped, self.offset)
            .map_err(ForeignMemoryError::of("mmap of the file"))?;
        mapping
            .fault_in()
            .map_err(|source| ForeignMemoryError::NoPages { source })?;
        Ok(MappedFile {
            mapping,
            _file: self.file,
            _in_use: in_use,
        })
    }
}

/// The size of the pages of a file that is memory.
fn page_bytes(file: &OwnedFd, stat: &Stat) -> Result<u64, ForeignMemoryError> {
    let usual = u64::from(page_size());
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => return Ok(usual),
        FileType::RegularFile => {
            let file_system =
                rustix::fs::fstatfs(file).map_err(ForeignMemoryError::of("fstatfs of the file"))?;
            match u32::try_from(file_system.f_type) {
                Ok(TMPFS_MAGIC) => return Ok(usual),
                Ok(HUGETLBFS_MAGIC) => {
                    return Ok(u64::try_from(file_system.f_bsize).unwrap_or(usual));
                }
                // Written pages of a disk's file system are no longer pinned for
                // good (Linux 6.5, `writable_file_mapping_allowed` in `mm/gup.c`).
                _ => "a file on a file system that is not memory".to_owned(),
            }
        }
        FileType::Fifo => "a pipe".to_owned(),
        FileType::Socket => "a socket".to_owned(),
        FileType::Directory => "a directory".to_owned(),
        FileType::BlockDevice => "a block device".to_owned(),
        other => format!("what the descriptor is of ({other:?})"),
    };
    Err(ForeignMemoryError::NotMemory { what })
}

/// Has nobody shrink the file from here on, if that can be had.
fn seal(file: &OwnedFd, must_be_sealed: bool) -> Result<(), ForeignMemoryError> {
    let cannot = |why: String| {
        if must_be_sealed {
            Err(ForeignMemoryError::CanShrink { why })
        } else {
            Ok(())
        }
    };
    let seals = match rustix::fs::fcntl_get_seals(file) {
        Ok(seals) => seals,
        Err(Errno::INVAL) => return cannot("it has no seals".to_owned()),
        Err(error) => return Err(ForeignMemoryError::of("fcntl(F_GET_SEALS)")(error)),
    };
    for (seal, against) in [
        (SealFlags::WRITE, "writing"),
        (SealFlags::FUTURE_WRITE, "writing in future"),
    ] {
        if seals.contains(seal) {
            return Err(ForeignMemoryError::SealedAgainstWriting { against });
        }
    }
    if seals.contains(SealFlags::SHRINK) {
        return Ok(());
    }
    if seals.contains(SealFlags::SEAL) {
        return cannot("F_SEAL_SEAL allows no further seal".to_owned());
    }
    match rustix::fs::fcntl_add_seals(file, SealFlags::SHRINK) {
        Ok(()) => Ok(()),
        Err(error) => cannot(error.to_string()),
    }
}

/// `include/uapi/linux/magic.h`.
const TMPFS_MAGIC: u32 = 0x0102_1994;
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;
