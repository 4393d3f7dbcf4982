//! What the sweep showed, a row for each size.

use serde::Serialize;

use super::super::output::{Column, Row};
use crate::args::Size;

/// Messages of one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepRow {
    size_bytes: u32,
    held_frames: u32,
    copied_nanoseconds: f64,
    in_place_nanoseconds: f64,
    auto_nanoseconds: f64,
    copied_bytes_per_second: f64,
    in_place_bytes_per_second: f64,
    auto_bytes_per_second: f64,
    /// Of the time copied to that in place: above 1, copying is slower.
    copied_to_in_place: f64,
    /// Of the time that `auto` takes to that of the better column.
    auto_to_better: f64,
}

impl SweepRow {
    /// With the nanoseconds that a message takes in each column.
    pub fn of(size_bytes: u32, held_frames: u32, copied: f64, in_place: f64, auto: f64) -> Self {
        let rate = |nanoseconds: f64| f64::from(size_bytes) * 1e9 / nanoseconds;
        Self {
            size_bytes,
            held_frames,
            copied_nanoseconds: copied,
            in_place_nanoseconds: in_place,
            auto_nanoseconds: auto,
            copied_bytes_per_second: rate(copied),
            in_place_bytes_per_second: rate(in_place),
            auto_bytes_per_second: rate(auto),
            copied_to_in_place: copied / in_place,
            auto_to_better: auto / copied.min(in_place),
        }
    }

    /// By what part of it `auto` is slower than the better column.
    pub fn behind_better(&self) -> f64 {
        (self.auto_to_better - 1.0).max(0.0)
    }
}

impl Row for SweepRow {
    const TYPE: &'static str = "sweep";
    const COLUMNS: &'static [Column] = &[
        ("size", 5),
        ("copied", 10),
        ("in place", 10),
        ("ratio", 6),
        ("auto", 10),
        ("of better", 0),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            Size(self.size_bytes).to_string(),
            rate(self.copied_bytes_per_second),
            rate(self.in_place_bytes_per_second),
            format!("{:.2}", self.copied_to_in_place),
            rate(self.auto_bytes_per_second),
            format!("{:.1} %", 100.0 / self.auto_to_better),
        ]
    }
}

/// What comes of all sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepResult {
    copybreak_bytes: u32,
    /// By how much `auto` was slower than the better column at worst, in percent.
    worst_percent: f64,
}

impl SweepResult {
    pub fn new(copybreak_bytes: u32, worst: f64) -> Self {
        Self {
            copybreak_bytes,
            worst_percent: worst * 100.0,
        }
    }
}

impl Row for SweepResult {
    const TYPE: &'static str = "result";
    const COLUMNS: &'static [Column] = &[("copybreak", 0), ("auto behind the better by", 0)];

    fn cells(&self) -> Vec<String> {
        let copybreak = match self.copybreak_bytes {
            0 => "off".to_owned(),
            bytes => bytes.to_string(),
        };
        vec![copybreak, format!("{:.1} % at most", self.worst_percent)]
    }
}

/// Bytes per second, in three digits or so.
fn rate(bytes_per_second: f64) -> String {
    let (value, unit) = match bytes_per_second {
        rate if rate >= 1e9 => (rate / 1e9, "GB/s"),
        rate if rate >= 1e6 => (rate / 1e6, "MB/s"),
        rate => (rate / 1e3, "kB/s"),
    };
    let decimals = if value < 100.0 { 1 } else { 0 };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_unit_that_keeps_them_short() {
        let texts = [5_000.0, 99.9e3, 44.5e6, 437.0e6, 12.34e9].map(rate);

        assert_eq!(
            texts,
            [
                "5.0 kB/s",
                "99.9 kB/s",
                "44.5 MB/s",
                "437 MB/s",
                "12.3 GB/s"
            ]
        );
    }

    #[test]
    fn auto_is_compared_with_the_better_column() {
        let row = SweepRow::of(64, 1, 30.0, 20.0, 21.0);
        assert!((row.behind_better() - 0.05).abs() < 1e-9);
        assert_eq!(row.cells()[5], "95.2 %");
        let best = SweepRow::of(64, 1, 20.0, 30.0, 19.0);
        assert!(best.behind_better().abs() < 1e-9);
    }
}
