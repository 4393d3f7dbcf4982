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
    /// Bytes of a chunk where nothing else is asked for. It fits every mode: with
    /// 2048, some drivers split a full-size frame in zero-copy mode (igb, Linux 7.2).
    pub const DEFAULT_CHUNK_SIZE: u32 = 4096;

    /// `frames` chunks of [`DEFAULT_CHUNK_SIZE`](Self::DEFAULT_CHUNK_SIZE) (or of the
    /// page size if that is smaller), with no limit of our own.
    #[must_use]
    pub fn new(frames: u32) -> Self {
        let chunk_size = ChunkSize::new(Self::DEFAULT_CHUNK_SIZE.min(ChunkSize::max()));
        Self {
            frames,
            chunk_size: chunk_size.expect("at most the page size, and every page has 2048 bytes"),
            memory_limit: None,
        }
    }

    /// Bytes that the UMEM pins.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.chunk_size.get())
    }

    /// # Errors
    ///
    /// When the UMEM would be empty or larger than 64 GiB.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.frames == 0 {
            return Err(ConfigError::Zero { what: "frames" });
        }
        let chunk = self.chunk_size.get();
        let gib = self.len_bytes() >> 30;
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
