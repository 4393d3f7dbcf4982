//! What a run of `stress` showed.

use serde::Serialize;

use super::super::output::{Column, Row};
use super::client::Asked;
use super::plan::{Handling, Plan};
use super::server::Served;
use crate::args::Size;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StressRow {
    handling: Handling,
    sockets: u32,
    depth: u32,
    size_bytes: u32,
    messages: u64,
    verified_bytes: u64,
    seconds: f64,
    bytes_per_second: f64,
    latency_microseconds: Latency,
    corrupt_messages: u64,
    lost_completions: u64,
    duplicate_completions: u64,
    unsent_messages: u64,
    unanswered_messages: u64,
    duplicate_answers: u64,
    lost_messages: u64,
    lost_frames: u64,
}

/// From a message's submission to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

impl StressRow {
    pub(super) fn of(plan: &Plan, served: &Served, asked: &Asked) -> Self {
        let seconds = asked.elapsed.as_secs_f64();
        let at = |quantile| asked.latency.value_at_quantile(quantile);
        Self {
            handling: plan.handling,
            sockets: plan.sockets,
            depth: plan.depth,
            size_bytes: plan.size_bytes,
            messages: asked.messages,
            verified_bytes: served.bytes,
            seconds,
            bytes_per_second: served.bytes as f64 / seconds.max(1e-9),
            latency_microseconds: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                max: asked.latency.max(),
            },
            corrupt_messages: served.corrupt_messages.max(asked.corrupt),
            lost_completions: asked.completed.never(asked.messages),
            duplicate_completions: asked.completed.again(),
            unsent_messages: asked.unsent,
            unanswered_messages: asked.answered.never(asked.messages),
            duplicate_answers: asked.answered.again(),
            lost_messages: served.lost_messages + asked.lost_messages,
            lost_frames: served.lost_frames + asked.lost_frames,
        }
    }

    /// What went wrong, in a line.
    pub fn failure(&self) -> Option<String> {
        let wrong = [
            ("corrupt messages", self.corrupt_messages),
            ("lost completions", self.lost_completions),
            ("duplicate completions", self.duplicate_completions),
            ("messages that were not sent", self.unsent_messages),
            ("messages without an answer", self.unanswered_messages),
            ("duplicate answers", self.duplicate_answers),
            ("messages with lost fragments", self.lost_messages),
            ("lost frames", self.lost_frames),
        ];
        let found: Vec<_> = wrong
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        (!found.is_empty()).then(|| {
            format!(
                "of {} messages, handled {}: {}",
                self.messages,
                self.handling.label(),
                found.join(", ")
            )
        })
    }
}

impl Row for StressRow {
    const TYPE: &'static str = "stress";
    const COLUMNS: &'static [Column] = &[
        ("handled", 10),
        ("sockets", 0),
        ("depth", 0),
        ("size", 5),
        ("messages", 0),
        ("MB/s", 6),
        ("p50 us", 8),
        ("p99 us", 8),
        ("bad", 0),
    ];

    fn cells(&self) -> Vec<String> {
        let bad = self.corrupt_messages
            + self.lost_completions
            + self.duplicate_completions
            + self.unsent_messages
            + self.unanswered_messages
            + self.duplicate_answers
            + self.lost_messages
            + self.lost_frames;
        vec![
            self.handling.label().to_owned(),
            self.sockets.to_string(),
            self.depth.to_string(),
            Size(self.size_bytes).to_string(),
            self.messages.to_string(),
            format!("{:.0}", self.bytes_per_second / 1e6),
            self.latency_microseconds.p50.to_string(),
            self.latency_microseconds.p99.to_string(),
            bad.to_string(),
        ]
    }
}
