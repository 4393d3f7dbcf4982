//! A row of results.

use serde::Serialize;
use wharf::Summary;

use super::load::Load;
use super::measure::Measure;
use super::probe::Findings;
use crate::args::BenchTimersArgs;
use crate::bench::output::{Column, Row};
use crate::exit::Failure;

/// How late something was.
#[derive(Serialize)]
pub struct Timing {
    measure: &'static str,
    load: String,
    wait: String,
    /// Wakes, ticks or frames.
    count: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p99_9_us: f64,
    max_us: f64,
    /// Frames that the worker received a second.
    frames_per_second: f64,
    /// Frames that were to be held and did not leave when they were due.
    lost_frames: u64,
    /// The most that were held at a time.
    most_held: usize,
    /// What became of frames that got lost.
    #[serde(skip)]
    drops: String,
}

impl Timing {
    pub fn of(
        measure: Measure,
        load: Load,
        arguments: &BenchTimersArgs,
        sent: u64,
        findings: &Findings,
        summary: &Summary,
    ) -> Self {
        let late = &findings.late;
        let quantile = |quantile| microseconds(late.value_at_quantile(quantile));
        let received = summary.stats.totals().rx_frames;
        Self {
            measure: measure.name(),
            load: load.name(),
            wait: format!("{:?}", arguments.wait).to_lowercase(),
            count: late.len(),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p99_9_us: quantile(0.999),
            max_us: microseconds(late.max()),
            frames_per_second: as_f64(received) / as_f64(arguments.seconds),
            lost_frames: match measure {
                Measure::Hold(_) => sent.saturating_sub(findings.held_frames),
                Measure::Wake | Measure::Tick(_) => 0,
            },
            most_held: findings.most_held,
            drops: summary.stats.totals().drops.to_string(),
        }
    }

    /// Whether the run is worth its figures.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.lost_frames > 0 {
            return Err(Failure::Run(format!(
                "{} frames that were to be held were lost: {}; measure on an idle machine, or hold fewer",
                self.lost_frames, self.drops
            )));
        }
        if self.count == 0 {
            return Err(Failure::Run(format!("no {} was measured", self.measure)));
        }
        Ok(())
    }
}

impl Row for Timing {
    const TYPE: &'static str = "timing";
    const COLUMNS: &'static [Column] = &[
        ("measure", 0),
        ("load", 8),
        ("count", 8),
        ("p50 us", 7),
        ("p90 us", 7),
        ("p99 us", 7),
        ("p99.9 us", 8),
        ("max us", 8),
    ];

    fn cells(&self) -> Vec<String> {
        let times = [
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p99_9_us,
            self.max_us,
        ];
        let mut cells = vec![
            self.measure.to_owned(),
            self.load.clone(),
            self.count.to_string(),
        ];
        cells.extend(times.map(|time| format!("{time:.1}")));
        cells
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    as_f64(nanoseconds) / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what is printed has fewer digits than an f64"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}
