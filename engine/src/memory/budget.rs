//! How much memory this process has pinned, and how much it may.
//!
//! The kernel charges a UMEM's pages to the user's locked memory unless the
//! process has CAP_IPC_LOCK in the initial user namespace
//! (`xdp_umem_account_pages` in `net/xdp/xdp_umem.c`). It only says `ENOBUFS`;
//! asking first lets the error name the limit, the request and what is in use.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{UmemConfig, UmemError};
use crate::kernel::privileges;
use crate::kernel::sys::memory::locked_memory_limit;

/// Bytes pinned by all UMEMs of this process.
static IN_USE: AtomicU64 = AtomicU64::new(0);

/// Bytes that they may pin.
static LIMIT: AtomicU64 = AtomicU64::new(NO_LIMIT);

const NO_LIMIT: u64 = u64::MAX;

/// A part of the budget, returned on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: u64,
}

impl Reservation {
    /// Reserves `bytes` if `limit`, the process's limit and the kernel's allow that.
    pub(crate) fn new(bytes: u64, limit: Option<u64>) -> Result<Self, UmemError> {
        let allowance = Allowance::new(limit);
        // Relaxed: the counter guards no other memory.
        let reserved = IN_USE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_use| {
            let sum = in_use.checked_add(bytes)?;
            allowance.check(bytes, in_use).ok().map(|()| sum)
        });
        match reserved {
            Ok(_) => Ok(Self { bytes }),
            Err(in_use) => Err(allowance.refusal(bytes, in_use)),
        }
    }
}

/// What may be pinned in all.
struct Allowance {
    /// By our own limits.
    own: Option<u64>,
    kernel: Option<u64>,
}

impl Allowance {
    fn new(limit: Option<u64>) -> Self {
        let limits = [limit, memory_limit()];
        Self {
            own: limits.into_iter().flatten().min(),
            kernel: pinnable_bytes(),
        }
    }

    fn check(&self, request: u64, in_use: u64) -> Result<(), UmemError> {
        let sum = in_use.saturating_add(request);
        let exceeds = |limit: Option<u64>| limit.is_some_and(|limit| sum > limit);
        if exceeds(self.own) || exceeds(self.kernel) {
            Err(self.refusal(request, in_use))
        } else {
            Ok(())
        }
    }

    fn refusal(&self, request: u64, in_use: u64) -> UmemError {
        match self.own {
            Some(limit) if in_use.saturating_add(request) > limit => UmemError::MemoryLimit {
                request,
                in_use,
                limit,
            },
            _ => UmemError::LockedMemory {
                request,
                in_use,
                limit: self.kernel.unwrap_or(u64::MAX),
            },
        }
    }
}

/// An error where `umems` UMEMs of `config` exceed what may be pinned: said before
/// anything is set up. What is in use may have changed when they are made.
pub(crate) fn check_budget(umems: usize, config: &UmemConfig) -> Result<(), UmemError> {
    let request = config.len_bytes().saturating_mul(umems as u64);
    Allowance::new(config.memory_limit).check(request, pinned_bytes())
}

/// Limits what all UMEMs of this process together may pin, from now on: those of all
/// engines, and those of the program itself. `None` leaves it to the kernel, as it is at
/// first. A UMEM that there is keeps what it has; one with a lower
/// [limit of its own](crate::UmemConfig::memory_limit) is held to that.
pub fn set_memory_limit(bytes: Option<u64>) {
    LIMIT.store(bytes.unwrap_or(NO_LIMIT), Ordering::Relaxed);
}

/// The limit that was [set](set_memory_limit) for this process.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    Some(LIMIT.load(Ordering::Relaxed)).filter(|limit| *limit != NO_LIMIT)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(own: Option<u64>, kernel: Option<u64>) -> Allowance {
        Allowance { own, kernel }
    }

    #[test]
    fn lowest_limit_counts_and_the_one_that_is_exceeded_is_named() {
        assert!(allowance(None, None).check(u64::MAX, 1).is_ok());
        assert!(allowance(Some(10), Some(10)).check(7, 3).is_ok());
        let own = allowance(Some(10), Some(20)).check(8, 3);
        assert!(matches!(own, Err(UmemError::MemoryLimit { limit: 10, .. })));
        let kernel = allowance(Some(20), Some(10)).check(8, 3);
        assert!(matches!(
            kernel,
            Err(UmemError::LockedMemory { limit: 10, .. })
        ));
        let huge = allowance(Some(20), None).check(u64::MAX, 3);
        assert!(matches!(huge, Err(UmemError::MemoryLimit { .. })));
    }

    #[test]
    fn limit_of_the_process_holds_for_every_umem() {
        // Far above what the tests beside this one use.
        let limit = 1 << 40;
        set_memory_limit(Some(limit));
        let mut config = UmemConfig::new(1 << 23);

        assert_eq!(memory_limit(), Some(limit));
        assert!(check_budget(1, &config).is_ok() || pinnable_bytes().is_some());
        let refused = check_budget(1 << 10, &config).expect_err("32 TiB");
        if pinnable_bytes().is_none() {
            assert!(matches!(refused, UmemError::MemoryLimit { limit: it, .. } if it == limit));
        }
        config.memory_limit = Some(1 << 20);
        let refused = check_budget(1, &config).expect_err("its own limit is lower");
        assert!(matches!(
            refused,
            UmemError::MemoryLimit {
                limit: 0x10_0000,
                ..
            }
        ));
        set_memory_limit(None);
        assert_eq!(memory_limit(), None);
    }
}
