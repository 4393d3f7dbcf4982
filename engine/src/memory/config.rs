//! What a UMEM is made of, and why it could not be had.

use std::io;

use thiserror::Error;

use super::ForeignMemoryError;
use super::copybreak::Copybreak;
use crate::kernel::{ChunkSize, KernelCall, XDP_PACKET_HEADROOM, explain_refusal};

/// What a UMEM is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UmemConfig {
    /// The number of chunks.
    pub frames: u32,
    /// The size of each chunk, and whether they are aligned to it.
    pub chunk_size: ChunkSize,
    /// The pages that the memory is made of.
    pub pages: Pages,
    /// Bytes that stay free in front of a received frame beside XDP's own 256,
    /// for headers to be put there ([`Frame::grow_front`](crate::Frame::grow_front)).
    /// A chunk takes so much less of a frame.
    pub headroom: u32,
    /// Bytes that all UMEMs of this process together may pin; `None` leaves it
    /// to the kernel.
    pub memory_limit: Option<u64>,
    /// Below which size frames that stay are copied out of it.
    pub copybreak: Copybreak,
    /// Frames that may be copied out at a time, of those in small chunks and of the
    /// others; `None` is as many as the UMEM has chunks. They lie in ordinary memory
    /// beside it, which is mapped for the first of them, and of which only what is used
    /// takes pages; there may be fewer where a limit of the process is tight.
    pub copies: Option<u32>,
}

/// The pages that the memory of a UMEM is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pages {
    /// Those of the machine, mostly of 4 KiB.
    #[default]
    Base,
    /// Huge pages of the machine's default size, mostly 2 MiB, which have to be
    /// reserved (`sysctl vm.nr_hugepages`). The memory is rounded up to whole
    /// ones, and no chunk lies across the border of two.
    ///
    /// They spare the CPU misses in its translation cache, and let
    /// [unaligned](ChunkSize::unaligned) chunks be used with zero copy: behind an
    /// IOMMU that maps them in smaller pieces, the kernel may still pass over
    /// chunks that cross from one piece to the next, without a word
    /// (`xp_check_unaligned` in `net/xdp/xsk_buff_pool.c`).
    Huge,
    /// Huge pages where there are enough, and else the usual ones:
    /// [`MemoryReport::pages_fallback`](crate::MemoryReport::pages_fallback) says why.
    PreferHuge,
}

/// What the kernel may take off the end of a chunk: room for an skb's
/// `skb_shared_info`, and a frame of the smallest unit it counts in
/// (`xdp_umem_reg` in `net/xdp/xdp_umem.c`, since 6.1.175, 6.12.83 and 7.0).
const TAILROOM: u32 = 320 + 128;

impl UmemConfig {
    /// Bytes of a chunk where nothing else is asked for. It fits every mode: with
    /// 2048, some drivers split a full-size frame in zero-copy mode (igb, Linux 7.2).
    pub const DEFAULT_CHUNK_SIZE: u32 = 4096;

    /// `frames` chunks of [`DEFAULT_CHUNK_SIZE`](Self::DEFAULT_CHUNK_SIZE) (or of the
    /// page size if that is smaller), on the usual pages, without further headroom,
    /// with no limit of our own.
    #[must_use]
    pub fn new(frames: u32) -> Self {
        let chunk_size = ChunkSize::new(Self::DEFAULT_CHUNK_SIZE.min(ChunkSize::max()));
        Self {
            frames,
            chunk_size: chunk_size.expect("at most the page size, and every page has 2048 bytes"),
            pages: Pages::Base,
            headroom: 0,
            memory_limit: None,
            copybreak: Copybreak::default(),
            copies: None,
        }
    }

    /// Bytes of all its chunks. It pins the pages that they lie on, on huge pages
    /// whole ones, and a byte more for each chunk of an odd size:
    /// [`MemoryReport::bytes`](crate::MemoryReport::bytes) says how much.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.chunk_size.get())
    }

    /// The most bytes of a received frame that a chunk takes.
    pub(crate) fn receivable(&self) -> u32 {
        self.chunk_size.receivable().saturating_sub(self.headroom)
    }

    /// # Errors
    ///
    /// When the UMEM would be empty or larger than 64 GiB, or the headroom leaves
    /// no room for frames.
    pub(crate) fn validate(&self) -> Result<(), UmemConfigError> {
        if self.frames == 0 {
            return Err(UmemConfigError::Empty);
        }
        let chunk = self.chunk_size.get();
        let most = chunk - XDP_PACKET_HEADROOM - TAILROOM;
        if self.headroom > most {
            return Err(UmemConfigError::Headroom {
                headroom: self.headroom,
                chunk,
                most,
            });
        }
        let copybreak = self.copybreak.bytes();
        if copybreak > chunk {
            return Err(UmemConfigError::Copybreak { copybreak, chunk });
        }
        let gib = self.len_bytes() >> 30;
        if gib >= 64 {
            return Err(UmemConfigError::TooManyFrames {
                frames: self.frames,
                chunk,
                gib,
            });
        }
        Ok(())
    }
}

/// A UMEM that no machine could have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UmemConfigError {
    /// It has no chunks.
    #[error("frames must be at least 1")]
    Empty,
    /// See [`UmemConfig::headroom`](crate::UmemConfig::headroom).
    #[error(
        "{headroom} bytes of headroom leave too little of chunks of {chunk} bytes: use at most {most}, \
         or larger chunks"
    )]
    Headroom {
        /// The headroom asked for, in bytes.
        headroom: u32,
        /// The chunk size, in bytes.
        chunk: u32,
        /// The most that every kernel takes with it.
        most: u32,
    },
    /// See [`UmemConfig::copybreak`](crate::UmemConfig::copybreak).
    #[error(
        "a copybreak of {copybreak} bytes is more than a chunk has, {chunk}: use at most so many, \
         or turn it off"
    )]
    Copybreak {
        /// The bytes below which frames were to be copied.
        copybreak: u32,
        /// The chunk size, in bytes.
        chunk: u32,
    },
    /// The UMEM would not fit the address space of ring entries.
    #[error("{frames} frames of {chunk} bytes are {gib} GiB: at most 64 GiB fit a UMEM here")]
    TooManyFrames {
        /// Chunks asked for.
        frames: u32,
        /// Bytes of each.
        chunk: u32,
        /// Their product in GiB.
        gib: u64,
    },
}

/// A UMEM could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UmemError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] UmemConfigError),
    /// The limit given by the caller would be exceeded.
    #[error(
        "{request} bytes of UMEM exceed the memory limit of {limit} bytes ({in_use} in use): \
         raise the limit or ask for fewer frames"
    )]
    MemoryLimit {
        /// Bytes asked for.
        request: u64,
        /// Bytes that this process has pinned.
        in_use: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// `RLIMIT_MEMLOCK` would be exceeded.
    #[error(
        "{request} bytes of UMEM exceed the locked-memory limit of {limit} bytes (RLIMIT_MEMLOCK; this process \
         has {in_use} in use, the user's other processes count too): grant CAP_IPC_LOCK, raise `ulimit -l`, \
         or ask for fewer frames"
    )]
    LockedMemory {
        /// Bytes asked for.
        request: u64,
        /// Bytes that this process has pinned.
        in_use: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// `RLIMIT_AS` would be exceeded.
    #[error(
        "{request} bytes, UMEM included, exceed the limit of this process's address space, {limit} bytes (RLIMIT_AS; \
         {in_use} in use): raise it with `ulimit -v`, or ask for fewer frames (`--frames`)"
    )]
    AddressSpace {
        /// Bytes asked for.
        request: u64,
        /// Bytes of address space that are in use.
        in_use: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The machine has less memory left, and the kernel would kill.
    #[error(
        "{request} bytes of UMEM exceed the {available} bytes of memory that this machine has left: ask for \
         fewer frames (`--frames`), or end what uses it"
    )]
    Machine {
        /// Bytes asked for.
        request: u64,
        /// Bytes that are left.
        available: u64,
    },
    /// A control group would exceed its memory limit, and the kernel would kill.
    #[error(
        "{request} bytes of UMEM, and the {beside} that starting takes beside, exceed what the control group \
         {group} has left: it may have {limit} bytes of memory and uses {in_use}: {}raise its limit",
        fewer_frames(*frames)
    )]
    ControlGroup {
        /// Bytes asked for.
        request: u64,
        /// Bytes that programs, rings and threads take beside, or reading the kernel's
        /// types for a moment.
        beside: u64,
        /// The group's directory in the cgroup file system.
        group: String,
        /// Bytes that all its processes have, without what the kernel can take back.
        in_use: u64,
        /// Bytes that they may have.
        limit: u64,
        /// Frames for each UMEM that there is room for.
        frames: u64,
    },
    /// The size of a huge page is not known.
    #[error(
        "cannot read the size of a huge page from /proc/meminfo: mount /proc, or use the usual pages"
    )]
    Meminfo(#[source] io::Error),
    /// There are too few huge pages.
    #[error(
        "a UMEM of {bytes} bytes takes {needed} huge page(s) of {} KiB, and {free} are free: reserve more with \
         `sysctl vm.nr_hugepages={}`, or use the usual pages",
        page_bytes >> 10,
        (total + needed).saturating_sub(*free)
    )]
    HugePages {
        /// Bytes asked for.
        bytes: u64,
        /// Huge pages that they take.
        needed: u64,
        /// Huge pages that nobody uses or was promised.
        free: u64,
        /// Huge pages that are reserved for all together.
        total: u64,
        /// Bytes of a huge page.
        page_bytes: u64,
    },
    /// The kernel has no huge pages.
    #[error("this kernel has no huge pages (CONFIG_HUGETLBFS): use the usual pages")]
    NoHugePages,
    /// Memory of another owner cannot be a UMEM.
    #[error("memory of another owner cannot be a UMEM: {0}")]
    Foreign(#[from] ForeignMemoryError),
    /// The memory could not be mapped.
    #[error(
        "cannot map {bytes} bytes for a UMEM: {}",
        explain_refusal(source, KernelCall::Memory)
    )]
    Map {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel's error.
        source: io::Error,
    },
}

impl UmemError {
    /// Why memory could not be on huge pages, if that is all that is wrong.
    pub(super) fn why_not_huge(&self) -> Option<String> {
        match self {
            Self::HugePages {
                needed,
                free,
                total,
                page_bytes,
                ..
            } => Some(format!(
                "it takes {needed} of {} KiB, and {free} are free: `sysctl vm.nr_hugepages={}` reserves enough",
                page_bytes >> 10,
                (total + needed).saturating_sub(*free)
            )),
            Self::NoHugePages => Some("this kernel has none (CONFIG_HUGETLBFS)".to_owned()),
            Self::Meminfo(error) => Some(format!("/proc/meminfo: {error}")),
            Self::Map { source, .. } => Some(explain_refusal(source, KernelCall::Memory)),
            _ => None,
        }
    }
}

fn fewer_frames(fit: u64) -> String {
    if fit == 0 {
        return String::new();
    }
    format!("ask for fewer frames (`--frames {fit}`), or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_that_some_kernel_would_refuse_is_refused() {
        let with = |headroom| {
            let config = UmemConfig {
                headroom,
                ..UmemConfig::new(1)
            };
            config.validate()
        };

        // A patched 6.18 takes exactly so much with chunks of 4096 bytes.
        assert_eq!(with(3392), Ok(()));
        for bad in [3393, 4096, u32::MAX] {
            assert!(matches!(
                with(bad),
                Err(UmemConfigError::Headroom { most: 3392, .. })
            ));
        }
    }

    #[test]
    fn missing_huge_pages_are_named_with_the_number_to_reserve() {
        let error = UmemError::HugePages {
            bytes: 5 << 20,
            needed: 3,
            free: 1,
            total: 4,
            page_bytes: 2 << 20,
        };

        let text = error.to_string();
        assert!(text.contains("takes 3 huge page(s) of 2048 KiB, and 1 are free"));
        assert!(
            text.contains("vm.nr_hugepages=6"),
            "three are in use: {text}"
        );
    }

    #[test]
    fn counts_of_huge_pages_from_before_and_after_a_change_make_a_message() {
        // The kernel reads them one after the other, without a lock.
        let error = UmemError::HugePages {
            bytes: 8 << 20,
            needed: 4,
            free: 3,
            total: 0,
            page_bytes: 2 << 20,
        };

        assert!(error.to_string().contains("vm.nr_hugepages=1"));
    }
}
