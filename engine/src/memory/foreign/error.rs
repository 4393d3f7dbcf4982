//! Why memory of another owner cannot be a UMEM.

use std::io;

use thiserror::Error;

use crate::kernel::{KernelCall, explain_refusal};

/// Memory of another owner cannot be a UMEM: see [`Umem::adopt`](crate::Umem::adopt).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForeignMemoryError {
    /// The descriptor is of something that is no memory.
    #[error(
        "{what} cannot be packet memory: use a memfd, a file in hugetlbfs or tmpfs, or a DAX device"
    )]
    NotMemory {
        /// What it is of.
        what: String,
    },
    /// The file is not open for reading and writing.
    #[error("the file is not open for both reading and writing, which packet memory takes")]
    FileNotWritable,
    /// A seal forbids to write to the file.
    #[error(
        "the memfd is sealed against {against}, and packet memory is written: leave out that seal"
    )]
    SealedAgainstWriting {
        /// `writing` or `writing in future`.
        against: &'static str,
    },
    /// The file could be truncated while frames lie in it.
    #[error(
        "the file cannot be sealed against shrinking ({why}), and touching frames in a truncated file would end \
         this process with SIGBUS: use a memfd with MFD_ALLOW_SEALING, or vouch for the file with \
         `ForeignMemory::File`"
    )]
    CanShrink {
        /// What stands against it.
        why: String,
    },
    /// An address or an offset is not at the border of a page.
    #[error("the {of} {value:#x} is not a multiple of the page size, {page_bytes} bytes")]
    Misaligned {
        /// `address` or `offset`.
        of: &'static str,
        /// The number.
        value: u64,
        /// Bytes of a page.
        page_bytes: u64,
    },
    /// There is less memory than the chunks take.
    #[error(
        "the UMEM takes {needed} bytes, and the memory has {there}: extend it, or ask for fewer frames"
    )]
    TooSmall {
        /// Bytes that the chunks take, in whole pages.
        needed: u64,
        /// Bytes there are, from the offset on.
        there: u64,
    },
    /// Some of the memory is not mapped, or not as packet memory has to be.
    #[error(
        "the memory at {address:#x} is {what}: map all of it for reading and writing, without a gap"
    )]
    Unsuitable {
        /// Where.
        address: u64,
        /// What it is there.
        what: &'static str,
    },
    /// It is not on huge pages, which the configuration demands.
    #[error(
        "the memory lies on pages of {page_bytes} bytes, and huge ones were asked for (`Pages::Huge`)"
    )]
    NotHuge {
        /// Bytes of a page.
        page_bytes: u64,
    },
    /// Another UMEM of this process lies in the same memory.
    #[error(
        "another UMEM of this process lies in the same memory: give each a range of its own, and adopt it again \
         only when all its frames are gone"
    )]
    InUse,
    /// The kernel has no memory for some of the pages.
    #[error(
        "not every page of the memory can be had: {}",
        explain_refusal(source, KernelCall::Memory)
    )]
    NoPages {
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel does not do what it takes.
    #[error("{call}: {}", explain_refusal(source, KernelCall::Other))]
    Call {
        /// The system call, and what it was for.
        call: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

impl ForeignMemoryError {
    /// That `call` failed.
    pub(super) fn of<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Call {
            call,
            source: source.into(),
        }
    }
}
