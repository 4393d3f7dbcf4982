//! Limits on packet memory.

use serde::Serialize;
use wharf::{Amount, EngineReport, Limits, XskLimits};

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
