//! Limits on packet memory, and what is used of them.

use serde::Serialize;
use wharf::{Amount, EngineReport, Limits, Snapshot, XskLimits, XskStats};

use super::setup::Setup;

/// What was asked for, in the words of the command line. `None` is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub chunks: Option<String>,
    pub floor: Option<String>,
    pub held: Option<String>,
    pub transmit: Option<String>,
    pub policy: &'static str,
    /// Of this process, all workers together.
    pub memory_bytes: Option<u64>,
}

/// The limits in force, in chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InForce {
    pub chunks: u32,
    pub floor: u32,
    pub held: u32,
    pub transmit: u32,
    pub policy: &'static str,
}

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

impl Asked {
    pub fn of(report: &EngineReport) -> Self {
        let Limits {
            chunks,
            floor,
            held,
            in_transmit,
            policy,
        } = report.limits;
        let text = |amount: Option<Amount>| amount.map(|amount| amount.to_string());
        Self {
            chunks: text(chunks),
            floor: text(floor),
            held: text(held),
            transmit: text(in_transmit),
            policy: policy.label(),
            memory_bytes: report.memory_limit,
        }
    }

    /// Whether anything but the usual was asked for.
    pub fn is_any(&self) -> bool {
        let usual = Self {
            policy: Limits::default().policy.label(),
            ..Self::default()
        };
        *self != usual
    }
}

impl InForce {
    pub fn of(limits: &XskLimits) -> Self {
        Self {
            chunks: limits.chunks,
            floor: limits.floor,
            held: limits.held,
            transmit: limits.in_transmit,
            policy: limits.policy.label(),
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        let Self {
            chunks,
            floor,
            held,
            transmit,
            policy,
        } = self;
        format!(
            "at most {chunks} chunks, {floor} of them to receive into; {held} held, {transmit} in transmit; {policy}"
        )
    }
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
