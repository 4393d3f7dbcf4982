//! What a UMEM is made of, and why it could not be had.

use std::io;

use thiserror::Error;

use crate::config::{ChunkSize, ConfigError};

/// What a UMEM is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UmemConfig {
    /// The number of chunks.
    pub frames: u32,
    /// The size of each chunk.
    pub chunk_size: ChunkSize,
    /// Bytes that all UMEMs of this process together may pin; `None` leaves it
    /// to the kernel.
    pub memory_limit: Option<u64>,
}

impl UmemConfig {
    /// `frames` chunks of 4096 bytes (or of the page size if that is smaller),
    /// with no limit of our own.
    ///
    /// 4096 fits every mode: with 2048, some drivers split a full-size frame in
    /// zero-copy mode (igb, Linux 7.2).
    #[must_use]
    pub fn new(frames: u32) -> Self {
        let chunk_size = ChunkSize::new(4096.min(ChunkSize::max()));
        Self {
            frames,
            chunk_size: chunk_size.expect("at most the page size, and every page has 2048 bytes"),
            memory_limit: None,
        }
    }

    /// # Errors
    ///
    /// When the UMEM would be empty or larger than 64 GiB.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.frames == 0 {
            return Err(ConfigError::Zero { what: "frames" });
        }
        let chunk = self.chunk_size.get();
        let gib = (u64::from(self.frames) * u64::from(chunk)) >> 30;
        if gib >= 64 {
            return Err(ConfigError::TooManyFrames {
                frames: self.frames,
                chunk,
                gib,
            });
        }
        Ok(())
    }
}

/// A UMEM could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UmemError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// The kernel did not tell the limits.
    #[error("cannot read the locked-memory limit")]
    Limits(#[source] io::Error),
    /// The memory could not be mapped.
    #[error("cannot map {bytes} bytes for a UMEM: ask for fewer frames")]
    Map {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel's error.
        source: io::Error,
    },
}
