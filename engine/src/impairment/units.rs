//! Times and rates with their units, as `tc` has them.

use std::fmt;
use std::time::Duration;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoNumber,
    Negative,
    Unit,
    TooLarge,
}

/// Units of time, and their nanoseconds. A number without one has microseconds.
const TIMES: &[(&str, f64)] = &[
    ("", 1e3),
    ("s", 1e9),
    ("sec", 1e9),
    ("secs", 1e9),
    ("ms", 1e6),
    ("msec", 1e6),
    ("msecs", 1e6),
    ("us", 1e3),
    ("usec", 1e3),
    ("usecs", 1e3),
    ("ns", 1.0),
    ("nsec", 1.0),
    ("nsecs", 1.0),
];

/// Units of rates, and their bits per second: powers of 1000, those with `i` of 1024,
/// and bytes per second where they end with `bps`.
const RATES: &[(&str, f64)] = &[
    ("", 1.0),
    ("bit", 1.0),
    ("kbit", 1e3),
    ("mbit", 1e6),
    ("gbit", 1e9),
    ("tbit", 1e12),
    ("kibit", 1024.0),
    ("mibit", 1_048_576.0),
    ("gibit", 1_073_741_824.0),
    ("tibit", 1_099_511_627_776.0),
    ("bps", 8.0),
    ("kbps", 8e3),
    ("mbps", 8e6),
    ("gbps", 8e9),
    ("tbps", 8e12),
    ("kibps", 8.0 * 1024.0),
    ("mibps", 8.0 * 1_048_576.0),
    ("gibps", 8.0 * 1_073_741_824.0),
    ("tibps", 8.0 * 1_099_511_627_776.0),
];

/// The longest time: an hour.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// The highest rate: ten terabits a second.
const MOST_BITS: f64 = 1e13;

/// Reads a time.
pub(super) fn time(text: &str) -> Result<Duration, Fault> {
    let nanoseconds = quantity(text, TIMES)?;
    if nanoseconds > LONGEST.as_secs_f64() * 1e9 {
        return Err(Fault::TooLarge);
    }
    Ok(Duration::from_nanos(whole(nanoseconds)))
}

/// Reads a rate, in bits per second.
pub(super) fn rate(text: &str) -> Result<u64, Fault> {
    let bits = quantity(text, RATES)?;
    if bits > MOST_BITS {
        return Err(Fault::TooLarge);
    }
    Ok(whole(bits))
}

/// Reads a percentage, with or without its sign, that may be too large.
pub(super) fn percentage(text: &str) -> Result<f64, Fault> {
    quantity(text, &[("", 1.0), ("%", 1.0)])
}

fn quantity(text: &str, units: &[(&str, f64)]) -> Result<f64, Fault> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    let digits = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| Fault::NoNumber)?;
    if number.is_sign_negative() {
        return Err(Fault::Negative);
    }
    let known = units
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name));
    let (_, factor) = known.ok_or(Fault::Unit)?;
    Ok(number * factor)
}

/// The nearest whole number of one that is neither negative nor large.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and checked by the callers"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// A time in the largest unit in which it is whole.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000)];
        write_in_largest(f, self.0.as_nanos(), &units, "ns")
    }
}

/// A rate in the largest unit in which it is whole.
pub(super) struct Bits(pub(super) u64);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1000)];
        write_in_largest(f, self.0.into(), &units, "bit")
    }
}

fn write_in_largest(
    f: &mut fmt::Formatter<'_>,
    quantity: u128,
    units: &[(&str, u128)],
    smallest: &str,
) -> fmt::Result {
    let whole = units
        .iter()
        .find(|(_, size)| quantity >= *size && quantity.is_multiple_of(*size));
    match whole {
        Some((unit, size)) => write!(f, "{}{unit}", quantity / size),
        None => write!(f, "{quantity}{smallest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_units_of_tc() {
        let cases = [
            ("20ms", 20_000_000),
            ("20", 20_000),
            ("1.5s", 1_500_000_000),
            ("2MSECS", 2_000_000),
            ("7ns", 7),
            ("0", 0),
            (".5us", 500),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(time(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn rates_have_the_units_of_tc() {
        let cases = [
            ("100mbit", 100_000_000),
            ("1Gbit", 1_000_000_000),
            ("1.5kbit", 1500),
            ("1kibit", 1024),
            ("2mbps", 16_000_000),
            ("1KiBps", 8192),
            ("9600", 9600),
        ];
        for (text, bits) in cases {
            assert_eq!(rate(text), Ok(bits), "{text}");
        }
    }

    #[test]
    fn senseless_quantities_are_told_apart() {
        for text in ["", "ms", "1.2.3ms", "--1ms", "ms20", "1e3", "½ms", "nan"] {
            let fault = time(text).expect_err(text);
            assert!(matches!(fault, Fault::NoNumber | Fault::Unit), "{text}");
        }
        assert_eq!(time("-5ms"), Err(Fault::Negative));
        assert_eq!(time("-0ms"), Err(Fault::Negative));
        assert_eq!(time("5mss"), Err(Fault::Unit));
        assert_eq!(time("3601s"), Err(Fault::TooLarge));
        assert_eq!(time(&"9".repeat(400)), Err(Fault::TooLarge));
        assert_eq!(rate("11tbit"), Err(Fault::TooLarge));
        assert_eq!(percentage("50%"), Ok(50.0));
        assert_eq!(percentage("50%%"), Err(Fault::Unit));
    }

    #[test]
    fn quantities_are_shown_in_the_largest_unit_that_is_whole() {
        let time = |nanoseconds| Time(Duration::from_nanos(nanoseconds)).to_string();

        assert_eq!(time(20_000_000), "20ms");
        assert_eq!(time(1_500_000_000), "1500ms");
        assert_eq!(time(1), "1ns");
        assert_eq!(time(0), "0ns");
        assert_eq!(Bits(100_000_000).to_string(), "100mbit");
        assert_eq!(Bits(1500).to_string(), "1500bit");
    }
}
