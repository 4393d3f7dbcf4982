//! How delays scatter around their mean: the distributions of `tc netem`.
//!
//! A table has the scaled inverse of the cumulative distribution function: the value at
//! a random place of it is distributed so. The formulas are those that netem's tables
//! are made with (iproute2, netem/normal.c, pareto.c and paretonormal.c), in the same
//! scale, so that a jitter means the same.

use std::fmt;
use std::sync::{Arc, LazyLock};

/// How delays scatter around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// All alike, from the mean less the jitter to the mean and the jitter.
    #[default]
    Uniform,
    /// A bell, cut off at four times the jitter.
    Normal,
    /// Mostly short, with a long tail.
    Pareto,
    /// A quarter of the normal and three quarters of the Pareto distribution: much like
    /// the Internet.
    ParetoNormal,
}

impl Distribution {
    pub(super) const ALL: [Self; 4] = [
        Self::Uniform,
        Self::Normal,
        Self::Pareto,
        Self::ParetoNormal,
    ];

    /// Its name in `tc netem`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::Pareto => "pareto",
            Self::ParetoNormal => "paretonormal",
        }
    }

    /// The table; the uniform distribution has none.
    pub(super) fn table(self) -> Option<Table> {
        match self {
            Self::Uniform => None,
            Self::Normal => Some(Arc::clone(&NORMAL)),
            Self::Pareto => Some(Arc::clone(&PARETO)),
            Self::ParetoNormal => Some(Arc::clone(&PARETO_NORMAL)),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Values in [`SCALE`]ths of the jitter.
pub(super) type Table = Arc<[i16]>;

/// What a table's value is divided by.
pub(super) const SCALE: i64 = 8192;

const ENTRIES: usize = 4096;

static NORMAL: LazyLock<Table> = LazyLock::new(|| table(&normal_quantiles()));

static PARETO: LazyLock<Table> = LazyLock::new(|| table(&pareto_quantiles()));

static PARETO_NORMAL: LazyLock<Table> = LazyLock::new(|| {
    let both = normal_quantiles().into_iter().zip(pareto_quantiles());
    let mixed: Vec<_> = both
        .map(|(normal, pareto)| 0.25 * normal + 0.75 * pareto)
        .collect();
    table(&mixed)
});

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded, and cut off at the ends of its range"
)]
fn table(values: &[f64]) -> Table {
    let scaled = |value: &f64| (value * 8192.0).round() as i16;
    values.iter().map(scaled).collect()
}

/// Where so many of all values of the normal distribution are smaller, for each entry:
/// its density is summed up from left to right.
fn normal_quantiles() -> Vec<f64> {
    const STEP: f64 = 1.0 / 8192.0;
    let (mut place, mut sum) = (-10.0, 0.0);
    let density = |place: f64| (-place * place / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let quantile = |entry: usize| {
        let share = entry as f64 / ENTRIES as f64;
        while sum < share && place < 10.0 {
            sum += density(place + STEP / 2.0) * STEP;
            place += STEP;
        }
        place
    };
    (0..ENTRIES).map(quantile).collect()
}

fn pareto_quantiles() -> Vec<f64> {
    let quantile = |entry: usize| {
        let share = 1.0 - entry as f64 / ENTRIES as f64;
        let value = share.powf(-1.0 / 3.0) - 1.5;
        // As netem has it, with what does not fit its 16 bits cut off.
        (value * 4.0 / 3.0).min(f64::from(i16::MAX) / 8192.0)
    };
    (0..ENTRIES).map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(table: &[i16]) -> (f64, f64) {
        let values: Vec<_> = table
            .iter()
            .map(|value| f64::from(*value) / SCALE as f64)
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (mean, (squares.sum::<f64>() / values.len() as f64).sqrt())
    }

    #[test]
    fn tables_are_of_the_jitter_around_the_mean() {
        for distribution in &Distribution::ALL[1..] {
            let table = distribution.table().expect("a table");
            let (mean, deviation) = mean_and_deviation(&table);

            assert_eq!(table.len(), ENTRIES);
            assert!(table.is_sorted());
            // netem's Pareto tail is cut off, and so is not quite balanced.
            assert!(mean.abs() < 0.05, "{distribution}: {mean}");
            assert!(
                (0.8..1.1).contains(&deviation),
                "{distribution}: {deviation}"
            );
        }
    }

    #[test]
    fn normal_table_has_its_known_quantiles() {
        let table = Distribution::Normal.table().expect("a table");
        let at = |share: usize| f64::from(table[ENTRIES * share / 1000]) / SCALE as f64;

        for (share, expected) in [(500, 0.0), (841, 1.0), (977, 2.0), (159, -1.0)] {
            assert!(
                (at(share) - expected).abs() < 0.02,
                "{share}: {}",
                at(share)
            );
        }
    }
}
