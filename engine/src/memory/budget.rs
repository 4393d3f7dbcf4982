//! How much memory this process has pinned, and how much it may.
//!
//! The kernel charges a UMEM's pages to the user's locked memory unless the
//! process has CAP_IPC_LOCK in the initial user namespace
//! (`xdp_umem_account_pages` in `net/xdp/xdp_umem.c`). It only says `ENOBUFS`;
//! asking first lets the error name the limit, the request and what is in use.

use std::sync::atomic::{AtomicU64, Ordering};

use super::UmemError;
use crate::kernel::privileges;
use crate::kernel::sys::memory::locked_memory_limit;

/// Bytes pinned by all UMEMs of this process.
static IN_USE: AtomicU64 = AtomicU64::new(0);

/// A part of the budget, returned on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: u64,
}

impl Reservation {
    /// Reserves `bytes` if `limit` and the kernel's limit allow that.
    pub(crate) fn new(bytes: u64, limit: Option<u64>) -> Result<Self, UmemError> {
        let kernel_limit = pinnable_bytes();
        // Relaxed: the counter guards no other memory.
        let reserved = IN_USE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_use| {
            let sum = in_use.checked_add(bytes)?;
            let allowed = |limit: Option<u64>| limit.is_none_or(|limit| sum <= limit);
            (allowed(limit) && allowed(kernel_limit)).then_some(sum)
        });
        match reserved {
            Ok(_) => Ok(Self { bytes }),
            Err(in_use) => Err(match limit {
                Some(limit) if in_use.saturating_add(bytes) > limit => UmemError::MemoryLimit {
                    request: bytes,
                    in_use,
                    limit,
                },
                _ => UmemError::LockedMemory {
                    request: bytes,
                    in_use,
                    limit: kernel_limit.unwrap_or(u64::MAX),
                },
            }),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that the kernel lets the calling thread's user pin, all UMEMs and processes
/// together: `RLIMIT_MEMLOCK`. `None` is no limit, be it by CAP_IPC_LOCK.
#[must_use]
pub fn pinnable_bytes() -> Option<u64> {
    if privileges::can_lock_memory() {
        None
    } else {
        locked_memory_limit()
    }
}

/// Bytes that all UMEMs of this process have pinned now.
#[must_use]
pub fn pinned_bytes() -> u64 {
    IN_USE.load(Ordering::Relaxed)
}
