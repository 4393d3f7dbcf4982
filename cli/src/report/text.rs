//! Numbers and names as people read them.

use std::fmt::Display;

use super::interval::{Direction, WorkerLoad};

/// Thousands set off by blanks: `12 345 678`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Bytes in MiB, with a decimal only where it says something.
pub fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// Why frames were dropped, each reason with its count: `rule` for frames dropped by
/// rules, then the reasons for which frames got lost; `-` for none.
pub fn drops(direction: &Direction) -> String {
    let by_rule = ("rule", direction.counts.frames_dropped_by_rule);
    let lost = direction.drops.iter();
    let reasons: Vec<String> = std::iter::once(by_rule)
        .chain(lost.map(|(reason, frames)| (reason.label(), frames)))
        .filter(|(_, frames)| *frames != 0)
        .map(|(reason, frames)| format!("{reason} {}", grouped(frames)))
        .collect();
    if reasons.is_empty() {
        "-".to_owned()
    } else {
        reasons.join(", ")
    }
}

/// The CPU use of each worker in percent, or their range if they are many.
pub fn cpu_loads(workers: &[WorkerLoad]) -> String {
    let percents = workers.iter().map(|worker| worker.cpu_percent);
    if workers.len() <= MOST_LOADS {
        let loads: Vec<String> = percents.map(|percent| format!("{percent:.0}")).collect();
        loads.join(" ")
    } else {
        let least = percents.clone().fold(f64::INFINITY, f64::min);
        let most = percents.fold(0.0, f64::max);
        format!("{least:.0}..{most:.0}")
    }
}

/// `from -> to`.
pub fn direction_name(direction: &Direction) -> String {
    format!("{} -> {}", direction.from, direction.to)
}

/// The width of a column of these directions.
pub fn direction_width(directions: &[Direction]) -> usize {
    directions
        .iter()
        .map(|direction| direction_name(direction).len())
        .max()
        .unwrap_or(0)
        .max("direction".len())
}

/// `1 rule`, `2 rules`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// More would not fit the column.
const MOST_LOADS: usize = 4;

#[cfg(test)]
mod tests {
    use wharf::DropReason;

    use super::*;
    use crate::report::drops::DropCounts;
    use crate::report::interval::Interval;
    use crate::report::interval::tests::snapshot;
    use crate::report::setup::tests::setup;

    #[test]
    fn thousands_are_set_off() {
        let texts = [0, 999, 1000, 12_345, 123_456, 1_234_567].map(grouped);

        assert_eq!(
            texts,
            ["0", "999", "1 000", "12 345", "123 456", "1 234 567"]
        );
    }

    #[test]
    fn mebibytes_have_a_decimal_where_it_says_something() {
        assert_eq!(mebibytes(16 << 20), "16");
        assert_eq!(mebibytes(3 << 19), "1.5");
        assert_eq!(mebibytes(0), "0");
    }

    #[test]
    fn only_reasons_that_dropped_something_are_named() {
        let setup = setup();
        let none = Interval::between(&setup, &snapshot(0, 0), &snapshot(1, 0));
        let mut some = none.directions[0].clone();
        some.drops = DropCounts::from_fn(|reason| match reason {
            DropReason::RxRingFull => 4,
            DropReason::TxKernel => 1234,
            _ => 0,
        });
        some.counts.frames_dropped_by_rule = 56;

        assert_eq!(drops(&some), "rule 56, rx_ring_full 4, tx_kernel 1 234");
        assert_eq!(drops(&none.directions[0]), "-");
    }

    #[test]
    fn many_workers_share_one_range() {
        let load = |cpu_percent| WorkerLoad {
            worker: 0,
            cpu: None,
            cpu_percent,
        };
        let few = [load(1.2), load(98.7)];
        let many = [1.0, 2.0, 3.0, 4.0, 5.0].map(load);

        assert_eq!(cpu_loads(&few), "1 99");
        assert_eq!(cpu_loads(&many), "1..5");
    }
}
