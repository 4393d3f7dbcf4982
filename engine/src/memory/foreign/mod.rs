//! A UMEM over memory that someone else owns: a memfd or another file by its
//! descriptor, or what the caller mapped.
//!
//! Only here the public API is `unsafe`, because only here frames lie in memory that
//! others can reach. A frame is a `&mut [u8]` to those who own it, so nobody may write
//! to its bytes meanwhile: no other mapping of the same file, no `write(2)` to it, no
//! other UMEM, no other process. None of that can be found out, let alone prevented: a
//! seal against writing forbids ours, too, and those that are mapped already stay. So the
//! caller vouches for it.
#![expect(unsafe_code, reason = "the caller vouches for the memory")]

mod areas;
mod error;
mod file;
mod in_use;
mod mapped;

use std::any::Any;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

pub use error::ForeignMemoryError;

use super::geometry::Geometry;
use super::numa::Placement;
use super::region::{Memory, Region};
use super::{MemoryReport, MemorySource, Pages, Umem, UmemConfig, UmemError, budget};
use crate::kernel::sys::memory::page_size;
use file::MemoryFile;
use mapped::Candidate;

/// Memory that someone else owns: see [`Umem::adopt`].
#[non_exhaustive]
pub enum ForeignMemory {
    /// A memfd from `offset` on, which nobody can truncate: it is sealed against
    /// shrinking if it is not yet.
    Memfd {
        /// The memfd, open for reading and writing.
        file: OwnedFd,
        /// Where the chunks begin, in bytes; a multiple of the page size.
        offset: u64,
    },
    /// A file in hugetlbfs or tmpfs, or a DAX device, from `offset` on: a file that
    /// cannot be sealed, so that the caller vouches for its length as well.
    File {
        /// The file, open for reading and writing.
        file: OwnedFd,
        /// Where the chunks begin, in bytes; a multiple of the page size.
        offset: u64,
    },
    /// Memory that the caller mapped.
    Mapping {
        /// Where the chunks begin, at the border of a page.
        start: NonNull<u8>,
        /// The bytes there are.
        len: usize,
        /// What keeps it mapped. It is dropped when the UMEM, its xsks and its last
        /// frame are gone, on the thread of the last of them.
        owner: Box<dyn Any + Send>,
    },
}

impl std::fmt::Debug for ForeignMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, from) = match self {
            Self::Memfd { offset, .. } => ("Memfd", *offset),
            Self::File { offset, .. } => ("File", *offset),
            Self::Mapping { start, .. } => ("Mapping", start.as_ptr().addr() as u64),
        };
        f.debug_struct(name)
            .field("from", &from)
            .finish_non_exhaustive()
    }
}

impl Umem {
    /// Makes a UMEM over memory that someone else owns.
    ///
    /// It takes as much of it as the chunks of `config` take, in whole pages, from its
    /// start. Pages and NUMA node are what they are: [`memory`](Self::memory) says
    /// which. [`Pages::Huge`] demands huge pages, and the other two take any. What the
    /// memory holds before and after is unspecified. Children of this process do not
    /// have it, until it is given up.
    ///
    /// ```
    /// use std::fs::File;
    /// use wharf::{ForeignMemory, Umem, UmemConfig};
    ///
    /// # fn memfd() -> std::io::Result<File> {
    /// #     use rustix::fs::{MemfdFlags, memfd_create};
    /// #     let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    /// #     Ok(File::from(memfd_create("guest", flags)?))
    /// # }
    /// let file = memfd()?; // from another process, say
    /// file.set_len(64 * 4096)?;
    /// let memory = ForeignMemory::Memfd { file: file.into(), offset: 0 };
    /// // SAFETY: the memfd was made for this, and nobody else maps or writes it.
    /// let umem = unsafe { Umem::adopt(&UmemConfig::new(64), memory)? };
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UmemError::Foreign`] when the memory is too small, misaligned, read-only, can
    /// be truncated, is in use by another UMEM of this process, or no memory at all; and
    /// what [`new`](Self::new) says of limits. The memory is as it was, except that a
    /// memfd may be sealed by then.
    ///
    /// # Safety
    ///
    /// From this call until the UMEM, its xsks and its last frame, detached ones
    /// included, are gone:
    ///
    /// - The bytes that it takes are read and written through its frames only, and by
    ///   the kernel for its xsks: by no reference or pointer in this process, no other
    ///   mapping of the same memory, no `write(2)` to the file, no other UMEM, no other
    ///   process. Handing a frame's bytes to another process takes a copy, or a contract
    ///   with it that it reads only while this process does not write.
    /// - They stay there: nobody truncates a [`ForeignMemory::File`], or punches holes
    ///   into any file.
    /// - A [`ForeignMemory::Mapping`] has all its `len` bytes, initialised, in memory that
    ///   the pointer may be used for, and stays mapped there, readable and writable, until
    ///   `owner` drops. Moving `owner` does not claim the bytes, as moving a `Box` of them
    ///   would.
    ///
    /// And for another second, bytes in shared memory (a file, a shared mapping) may
    /// change: the kernel tears sockets down after they are closed, and in zero-copy
    /// mode NICs write to what was posted until then. Private memory is parted from
    /// that: its pages are replaced.
    pub unsafe fn adopt(config: &UmemConfig, memory: ForeignMemory) -> Result<Self, UmemError> {
        config.validate()?;
        match memory {
            ForeignMemory::Memfd { file, offset } => {
                let file = MemoryFile::new(file, offset, true)?;
                let made = Plan::new(config, file.page_bytes)?;
                made.over(MemorySource::ForeignMemfd, |len| file.map(len))
            }
            ForeignMemory::File { file, offset } => {
                let file = MemoryFile::new(file, offset, false)?;
                let made = Plan::new(config, file.page_bytes)?;
                made.over(MemorySource::ForeignFile, |len| file.map(len))
            }
            ForeignMemory::Mapping { start, len, owner } => {
                let candidate = Candidate::new(start, len, owner)?;
                let made = Plan::new(config, candidate.page_bytes())?;
                made.over(MemorySource::ForeignMapping, |len| candidate.take(len))
            }
        }
    }
}

/// How the chunks lie in memory with pages of some size.
struct Plan<'a> {
    config: &'a UmemConfig,
    geometry: Geometry,
    page_bytes: u64,
    mapped: u64,
    reservation: budget::Reservation,
}

impl<'a> Plan<'a> {
    fn new(config: &'a UmemConfig, page_bytes: u64) -> Result<Self, UmemError> {
        let is_huge = page_bytes > u64::from(page_size());
        if config.pages == Pages::Huge && !is_huge {
            return Err(ForeignMemoryError::NotHuge { page_bytes }.into());
        }
        let geometry = Geometry::of(config, is_huge.then_some(page_bytes));
        let mapped = geometry.len_bytes().next_multiple_of(page_bytes);
        let reservation = budget::Reservation::new(mapped, config.memory_limit)?;
        Ok(Self {
            config,
            geometry,
            page_bytes,
            mapped,
            reservation,
        })
    }

    fn over<M: Memory + 'static>(
        self,
        source: MemorySource,
        map: impl FnOnce(u64) -> Result<M, ForeignMemoryError>,
    ) -> Result<Umem, UmemError> {
        let memory = map(self.mapped)?;
        let placement = Placement::of_others();
        let report = MemoryReport {
            bytes: self.mapped,
            page_bytes: self.page_bytes,
            pages_fallback: None,
            source,
            source_fallback: None,
            numa: placement.report(memory.start(), memory.len(), self.page_bytes),
        };
        let region = Region::new(self.geometry, memory, report);
        Ok(Umem::of(self.config, region, self.reservation))
    }
}
