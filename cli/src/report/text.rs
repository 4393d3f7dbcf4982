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

/// Why frames were lost, each reason with its count, as pieces for [`filled`]; none if
/// none was.
pub fn losses(direction: &Direction) -> Vec<String> {
    let no_xsk = ("no_socket", direction.counts.frames_dropped_no_xsk);
    let lost = direction.drops.iter();
    let lost = lost.map(|(reason, frames)| (reason.label(), frames));
    let mut pieces: Vec<String> = std::iter::once(no_xsk)
        .chain(lost)
        .filter(|(_, frames)| *frames != 0)
        .map(|(reason, frames)| format!("{reason} {},", grouped(frames)))
        .collect();
    if let Some(last) = pieces.last_mut() {
        last.pop();
    }
    pieces
}

/// The CPU use of the workers in percent, each of its CPU: `45`, or `12-98` from the
/// least to the most.
pub fn cpu_loads(workers: &[WorkerLoad]) -> String {
    // The clocks of thread and interval are read one behind the other.
    let percents = workers
        .iter()
        .map(|worker| format!("{:>3.0}", worker.cpu_percent.min(100.0)));
    match (percents.clone().min(), percents.max()) {
        (Some(least), Some(most)) if least == most => most.trim().to_owned(),
        (Some(least), Some(most)) => format!("{}-{}", least.trim(), most.trim()),
        _ => "-".to_owned(),
    }
}

/// Numbers, those that go up by one as ranges: `0-3,6`.
pub fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        })
        .collect();
    texts.join(",")
}

/// The name of an interface in a column.
pub fn name(interface: &str) -> String {
    if interface.chars().count() <= NAME_COLUMNS {
        return interface.to_owned();
    }
    let mut name: String = interface.chars().take(NAME_COLUMNS - 1).collect();
    name.push('~');
    name
}

/// `from -> to`.
pub fn direction_name(direction: &Direction) -> String {
    format!("{} -> {}", name(&direction.from), name(&direction.to))
}

/// `pieces` with blanks between them, on lines of up to [`COLUMNS`]. Lines after the
/// first begin with `indent`.
pub fn filled(pieces: &[impl AsRef<str>], indent: &str) -> String {
    let mut text = String::new();
    let mut used = 0;
    for (index, piece) in pieces.iter().map(AsRef::as_ref).enumerate() {
        let columns = piece.chars().count();
        if index > 0 && used + 1 + columns > COLUMNS {
            text.push('\n');
            text.push_str(indent);
            used = indent.chars().count();
        } else if index > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(piece);
        used += columns;
    }
    text
}

/// `1 rule`, `2 rules`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The width of a terminal, unless it was widened.
pub const COLUMNS: usize = 80;

/// `IFNAMSIZ` without the terminator: the longest name that the kernel takes.
pub const NAME_COLUMNS: usize = 15;

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
    fn only_reasons_that_lost_something_are_named() {
        let setup = setup();
        let none = Interval::between(&setup, &snapshot(0, 0), &snapshot(1, 0));
        let mut some = none.directions[0].clone();
        some.drops = DropCounts::from_fn(|reason| match reason {
            DropReason::RxRingFull => 4,
            DropReason::TxKernel => 1234,
            _ => 0,
        });

        some.counts.frames_dropped_no_xsk = 7;

        assert_eq!(
            losses(&some),
            ["no_socket 7,", "rx_ring_full 4,", "tx_kernel 1 234"]
        );
        assert!(losses(&none.directions[0]).is_empty());
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[1]), "1");
        assert_eq!(ranges(&[0, 1, 2, 3, 6]), "0-3,6");
        assert_eq!(ranges(&[7, 2, 3]), "7,2-3");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn several_workers_share_one_range() {
        let loads = |percents: &[f64]| {
            let workers: Vec<_> = percents
                .iter()
                .map(|percent| WorkerLoad {
                    worker: 0,
                    cpu: None,
                    cpu_percent: *percent,
                })
                .collect();
            cpu_loads(&workers)
        };

        assert_eq!(loads(&[98.7]), "99");
        assert_eq!(loads(&[1.2, 98.7]), "1-99");
        assert_eq!(loads(&[9.0, 10.0, 101.3]), "9-100");
        assert_eq!(loads(&[100.2, 101.0]), "100");
        assert_eq!(loads(&[]), "-");
    }

    #[test]
    fn long_name_is_cut_and_the_longest_of_the_kernel_is_not() {
        assert_eq!(name("enp123s0f0np012"), "enp123s0f0np012");
        assert_eq!(name("enp123s0f0np0123"), "enp123s0f0np01~");
    }

    #[test]
    fn line_is_broken_between_pieces_only_and_where_it_has_to_be() {
        let piece = "x".repeat(38);
        let pieces = [
            piece.as_str(),
            "12 345",
            "12 345",
            "= 1 234 567 890 123",
            "end",
        ];

        let text = filled(&pieces, "    ");

        assert_eq!(
            text,
            format!("{piece} 12 345 12 345 = 1 234 567 890 123 end")
        );
        let twice = filled(&[&piece, &piece, &piece], "    ");
        assert_eq!(twice, format!("{piece} {piece}\n    {piece}"));
        let exact = "y".repeat(41);
        assert_eq!(filled(&[&piece, &exact], ""), format!("{piece} {exact}"));
        let over = "y".repeat(42);
        assert_eq!(filled(&[&piece, &over], ""), format!("{piece}\n{over}"));
    }
}
