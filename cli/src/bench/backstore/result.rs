//! What a run of `backstore` showed.

use std::time::Duration;

use serde::Serialize;

use super::super::output::{Column, Row};
use super::client::Asked;
use super::plan::{Handling, Plan};
use super::server::Served;
use crate::args::Size;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackstoreRow {
    handling: Handling,
    jobs: u32,
    depth: u32,
    size_bytes: u32,
    requests: u64,
    seconds: f64,
    /// Of blocks, written and read.
    bytes_per_second: f64,
    server_cpu_nanoseconds_per_kib: f64,
    cpu_nanoseconds_per_kib: f64,
    /// Of the throughput, to that of the first run, which copies out.
    ratio: f64,
    corrupt_answers: u64,
    unanswered_requests: u64,
    lost_messages: u64,
    lost_frames: u64,
}

impl BackstoreRow {
    pub(super) fn of(plan: &Plan, served: &[Served], asked: &Asked) -> Self {
        let seconds = asked.elapsed.as_secs_f64().max(1e-9);
        let bytes = asked.answers as f64 * f64::from(plan.size_bytes);
        let per_kib = |time: Duration| time.as_secs_f64() * 1e9 / (bytes / 1024.0).max(1.0);
        let server_time = served.iter().map(|job| job.cpu_time).sum();
        let messages: u64 = served.iter().map(|job| job.lost_messages).sum();
        let frames: u64 = served.iter().map(|job| job.lost_frames).sum();
        Self {
            handling: plan.handling,
            jobs: plan.jobs,
            depth: plan.depth,
            size_bytes: plan.size_bytes,
            requests: asked.requests,
            seconds,
            bytes_per_second: bytes / seconds,
            server_cpu_nanoseconds_per_kib: per_kib(server_time),
            cpu_nanoseconds_per_kib: per_kib(asked.cpu_time),
            ratio: 1.0,
            corrupt_answers: asked.corrupt,
            unanswered_requests: asked.requests.saturating_sub(asked.answers),
            lost_messages: messages + asked.lost_messages,
            lost_frames: frames + asked.lost_frames,
        }
    }

    /// The same with the ratio to another throughput.
    pub fn against(self, bytes_per_second: f64) -> Self {
        let ratio = self.bytes_per_second / bytes_per_second.max(1e-9);
        Self { ratio, ..self }
    }

    pub fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second
    }

    /// What went wrong, in a line.
    pub fn failure(&self) -> Option<String> {
        (self.bad() > 0).then(|| {
            format!(
                "of {} requests, handled {}: {} answers corrupt, {} never came, {} messages and {} frames lost",
                self.requests,
                self.handling.label(),
                self.corrupt_answers,
                self.unanswered_requests,
                self.lost_messages,
                self.lost_frames
            )
        })
    }

    fn bad(&self) -> u64 {
        self.corrupt_answers + self.unanswered_requests + self.lost_messages + self.lost_frames
    }
}

impl Row for BackstoreRow {
    const TYPE: &'static str = "backstore";
    const COLUMNS: &'static [Column] = &[
        ("handled", 12),
        ("jobs", 0),
        ("depth", 0),
        ("size", 5),
        ("requests", 0),
        ("MB/s", 5),
        ("ratio", 0),
        ("ns/KiB", 0),
        ("server", 0),
        ("bad", 0),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.handling.label().to_owned(),
            self.jobs.to_string(),
            self.depth.to_string(),
            Size(self.size_bytes).to_string(),
            self.requests.to_string(),
            format!("{:.0}", self.bytes_per_second / 1e6),
            format!("{:.2}", self.ratio),
            format!("{:.0}", self.cpu_nanoseconds_per_kib),
            format!("{:.0}", self.server_cpu_nanoseconds_per_kib),
            self.bad().to_string(),
        ]
    }
}
