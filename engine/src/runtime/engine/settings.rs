//! What an engine is asked for, made of what its UMEMs, xsks and steering are.

use std::time::Duration;

use super::management::KeepManagement;
use crate::kernel::RingCapacity;
use crate::memory::ledger::XskId;
use crate::memory::limits::{ChunkLimits, Extent};
use crate::memory::{LimitsError, UmemConfig};
use crate::runtime::config::{
    ConfigError, DEFAULT_BATCH_SIZE, DEFAULT_TRANSMIT_WATCHDOG, OnLinkDown, Wait,
};
use crate::steering::{Attach, Steering, SteeringConfig};
use crate::xsk::XskConfig;

/// What an engine is asked for. What of `xsk` depends on the queue is filled in as it
/// is bound.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) interfaces: Vec<String>,
    pub(super) attach: Attach,
    pub(super) queues: Option<u32>,
    pub(super) cpus: Option<Vec<usize>>,
    pub(super) batch_size: u32,
    pub(super) wait: Wait,
    pub(super) on_link_down: OnLinkDown,
    pub(super) transmit_watchdog: Option<Duration>,
    pub(super) promiscuous: bool,
    pub(super) passing: bool,
    pub(super) keep_management: KeepManagement,
    pub(super) umem: UmemConfig,
    pub(super) xsk: XskConfig,
    pub(super) steering: SteeringConfig,
}

/// Chunks that a queue needs at the least: some to receive into while others are
/// being sent.
const MIN_FRAMES_PER_QUEUE: u32 = 64;

impl Settings {
    /// See [`EngineBuilder::DEFAULT_FRAMES`](crate::EngineBuilder::DEFAULT_FRAMES).
    pub(super) const FRAMES: u32 = 16_384;
    /// See [`EngineBuilder::DEFAULT_RING_SIZE`](crate::EngineBuilder::DEFAULT_RING_SIZE).
    pub(super) const RING_SIZE: u32 = 4096;

    pub(super) fn new() -> Self {
        let ring_size = RingCapacity::new(Self::RING_SIZE).expect("a power of two");
        Self {
            interfaces: Vec::new(),
            attach: Attach::Auto,
            queues: None,
            cpus: None,
            batch_size: DEFAULT_BATCH_SIZE,
            wait: Wait::Adaptive,
            on_link_down: OnLinkDown::Wait,
            transmit_watchdog: Some(DEFAULT_TRANSMIT_WATCHDOG),
            promiscuous: false,
            passing: false,
            keep_management: KeepManagement::Auto,
            umem: UmemConfig::new(Self::FRAMES),
            xsk: XskConfig::new(ring_size),
            steering: SteeringConfig::default(),
        }
    }

    /// # Errors
    ///
    /// The first [`ConfigError`] found without a look at the machine.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.interfaces.is_empty() {
            return Err(ConfigError::NoInterface);
        }
        if let Some(name) = first_repeated(&self.interfaces) {
            return Err(ConfigError::SameInterface(name.clone()));
        }
        match self.queues {
            Some(0) => return Err(ConfigError::Zero { what: "queues" }),
            Some(count) if count > 1 << 16 => return Err(ConfigError::TooManyQueues(count)),
            _ => {}
        }
        if self.steering.xsks_per_queue == 0 {
            return Err(ConfigError::Zero {
                what: "xsks per queue",
            });
        }
        if self.transmit_watchdog == Some(Duration::ZERO) {
            return Err(ConfigError::Zero {
                what: "the transmit watchdog's time",
            });
        }
        if self.batch_size == 0 {
            return Err(ConfigError::Zero { what: "batch" });
        }
        if let Some(cpus) = &self.cpus {
            if cpus.is_empty() {
                return Err(ConfigError::Zero { what: "CPUs" });
            }
            if let Some(cpu) = first_repeated(cpus) {
                return Err(ConfigError::SameCpu(*cpu));
            }
        }
        Steering::check(&self.steering.rules, self.steering.xsks_per_queue)?;
        self.umem.validate()?;
        let queues = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.check_queues(queues)
    }

    /// The limits in chunks.
    pub(super) fn limits(&self) -> Result<ChunkLimits, LimitsError> {
        let xsks = XskConfig {
            xsks: self.steering.xsks_per_queue,
            ..self.xsk
        };
        self.xsk.limits.in_chunks(&Extent {
            chunk_size: self.umem.chunk_size.get(),
            chunks: self.umem.frames,
            fill_entries: xsks.shared_entries(),
        })
    }

    /// Whether the UMEM and the chunks of a worker suffice for `queues` queues.
    pub(super) fn check_queues(&self, queues: u32) -> Result<(), ConfigError> {
        let xsks = self.steering.xsks_per_queue;
        if queues.saturating_mul(u32::from(xsks)) > u32::from(XskId::MAX) {
            return Err(ConfigError::TooManyXsks {
                queues,
                xsks,
                most: XskId::MAX,
            });
        }
        let needed = queues.saturating_mul(MIN_FRAMES_PER_QUEUE);
        if self.umem.frames < needed {
            return Err(ConfigError::TooFewFrames {
                frames: self.umem.frames,
                queues,
                needed,
            });
        }
        let limits = self.limits()?;
        let shared = self.umem.frames - self.umem.frames / 8;
        limits.check_share(shared / queues.max(1))?;
        Ok(())
    }
}

fn first_repeated<T: PartialEq>(items: &[T]) -> Option<&T> {
    let repeated = |&(place, item): &(usize, &T)| items[..place].contains(item);
    items
        .iter()
        .enumerate()
        .find(repeated)
        .map(|(_, item)| item)
}
