//! Memory of our own: a memfd, so that it can be handed over to another process, and
//! anonymous memory where there can be none.
#![expect(unsafe_code, reason = "vouches for a mapping of our own")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use super::numa::Placement;
use super::region::Memory;
use super::{MemoryReport, MemorySource, NumaReport};
use crate::kernel::sys::memfd;
use crate::kernel::sys::memory::{Mapping, page_size};
use crate::kernel::{KernelCall, explain_refusal};

/// What `/proc/PID/maps` and `/proc/PID/fd` show of it.
const NAME: &str = "wharf-umem";

/// Pages of so many bytes.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Base(u64),
    Huge(u64),
}

/// Zeroed memory that is there, on the node of the thread that made it.
#[derive(Debug)]
pub(super) struct OwnMemory {
    mapping: Mapping,
    /// What it is taken over by in another process.
    file: Option<OwnedFd>,
    /// Why there is no file.
    fallback: Option<String>,
    numa: NumaReport,
}

impl OwnMemory {
    /// `len` bytes, whole pages.
    pub(super) fn new(len: u64, size: Size) -> io::Result<Self> {
        let mapped = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let huge = matches!(size, Size::Huge(_));
        let (file, fallback) = match memfd::create(NAME, len, huge) {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(why_no_memfd(&error))),
        };
        let mapping = match &file {
            Some(file) => Mapping::of_memory(file.as_fd(), mapped, 0)?,
            None if huge => Mapping::huge(mapped)?,
            None => Mapping::anonymous(mapped)?,
        };
        let placement = Placement::near(&mapping);
        if !mapping.fault_in()? {
            if let Some(file) = &file {
                memfd::allocate(file.as_fd(), len)?;
            }
            mapping.touch_zeroed();
        }
        let (Size::Base(page_bytes) | Size::Huge(page_bytes)) = size;
        let numa = placement.report(mapping.start(), mapped, page_bytes);
        Ok(Self {
            mapping,
            file,
            fallback,
            numa,
        })
    }

    pub(super) fn report(
        &self,
        bytes: u64,
        page_bytes: u64,
        pages_fallback: Option<String>,
    ) -> MemoryReport {
        MemoryReport {
            bytes,
            page_bytes,
            pages_fallback,
            source: match &self.file {
                Some(_) => MemorySource::Memfd,
                None => MemorySource::Anonymous,
            },
            source_fallback: self.fallback.clone(),
            numa: self.numa.clone(),
        }
    }
}

// SAFETY: the mapping is readable and writable, stays as long as the value, and nobody
// else has its address. Nor has anyone the memfd, which cannot be shrunk: it is given
// out by no function, and opening it anew through /proc is as writing to /proc/self/mem.
unsafe impl Memory for OwnMemory {
    fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    fn len(&self) -> usize {
        self.mapping.len()
    }
}

/// Ordinary memory, which has pages where it was touched.
#[derive(Debug)]
pub(super) struct LazyMemory(Mapping);

impl LazyMemory {
    /// `len` bytes, which are to come from the node of the thread that maps them.
    pub(super) fn new(len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping::anonymous(len)?;
        Placement::near(&mapping);
        Ok(Self(mapping))
    }

    pub(super) fn report(&self) -> MemoryReport {
        MemoryReport {
            bytes: self.len() as u64,
            page_bytes: page_size().into(),
            pages_fallback: None,
            source: MemorySource::Anonymous,
            source_fallback: None,
            numa: NumaReport::default(),
        }
    }
}

// SAFETY: as for `OwnMemory`.
unsafe impl Memory for LazyMemory {
    fn start(&self) -> NonNull<u8> {
        self.0.start()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn why_no_memfd(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EFBIG) => {
            "it would be larger than files may be (RLIMIT_FSIZE, `ulimit -f`)".to_owned()
        }
        _ => format!(
            "memfd_create: {}",
            explain_refusal(error, KernelCall::Other)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_a_memfd_on_the_node_of_its_thread() {
        let memory = OwnMemory::new(1 << 16, Size::Base(4096)).expect("64 KiB");

        let report = memory.report(1 << 16, 4096, None);
        assert_eq!((report.bytes, report.has_huge_pages()), (1 << 16, false));
        assert_eq!(report.source, MemorySource::Memfd);
        assert_eq!(report.source_fallback, None);
        let numa = &report.numa;
        if numa.fallback.is_none() {
            assert_eq!(numa.got, numa.wanted);
            assert!(numa.got.is_some());
        }
    }

    #[test]
    fn refusals_are_explained() {
        let text = |code| why_no_memfd(&io::Error::from_raw_os_error(code));

        assert!(text(libc::EFBIG).contains("RLIMIT_FSIZE"));
        assert!(text(libc::EMFILE).contains("RLIMIT_NOFILE"));
        assert!(text(libc::EPERM).starts_with("memfd_create: "));
    }
}
