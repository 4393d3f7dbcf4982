//! What is used of packet memory, beside its limits.

use serde::Serialize;
use wharf::{Snapshot, XskStats};

use super::limits::InForce;
use super::setup::Setup;

/// What an xsk and its queue use, in chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub interface: String,
    pub queue: u32,
    /// Where queues have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xsk: Option<u8>,
    /// Charged to the queue, all its xsks together.
    pub charged_chunks: u32,
    pub held_chunks: u32,
    pub transmit_chunks: u32,
    /// Whether the application holds too many now.
    pub limited: bool,
    pub limits: InForce,
}

/// What all xsks use.
pub fn usage(setup: &Setup, now: &Snapshot) -> Vec<Usage> {
    let several = now.xsks.iter().any(|stats| stats.xsk > 0);
    let of = |stats: &XskStats| Usage {
        interface: setup.interface_name(stats.interface),
        queue: stats.queue,
        xsk: several.then_some(stats.xsk),
        charged_chunks: stats.usage.charged,
        held_chunks: stats.usage.held,
        transmit_chunks: stats.usage.in_transmit,
        limited: stats.usage.is_limited,
        limits: InForce::of(&stats.limits),
    };
    now.xsks.iter().map(of).collect()
}
