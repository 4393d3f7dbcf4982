//! Numbers on the command line: whole ones, seconds, and lists of CPUs. A message says
//! what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::one_line;

/// Reads a whole number.
pub fn whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    digits(text).and_then(|number| T::try_from(number).map_err(|_| TOO_LARGE.to_owned()))
}

/// Reads a whole number within `range`.
pub fn within<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = digits(text)?;
        match T::try_from(number) {
            Ok(value) if range.contains(&number) => Ok(value),
            _ => Err(between(range.start(), range.end())),
        }
    }
}

fn digits(text: &str) -> Result<u64, String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("use a whole number, in digits only".to_owned());
    }
    if unsigned.len() < text.len() {
        return Err("it must not be negative".to_owned());
    }
    text.parse().map_err(|_| TOO_LARGE.to_owned())
}

fn between(least: impl Display, most: impl Display) -> String {
    format!("it must be from {least} to {most}")
}

const TOO_LARGE: &str = "it is too large";

/// Reads a time in seconds above zero.
pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "use a number of seconds above 0, e.g. 10 or 0.5".to_owned())
}

/// Reads a time in seconds within `range`, in seconds.
pub fn seconds_within(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let duration = seconds(text)?;
        if range.contains(&duration.as_secs_f64()) {
            Ok(duration)
        } else {
            Err(format!("{} seconds", between(range.start(), range.end())))
        }
    }
}

/// A time to wait for something, if there is an end to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog(pub Option<Duration>);

/// Reads the seconds of a watchdog, or `off`.
pub fn watchdog(text: &str) -> Result<Watchdog, String> {
    if text == "off" {
        return Ok(Watchdog(None));
    }
    let time = seconds_within(0.1..=86_400.0)(text);
    time.map(|time| Watchdog(Some(time)))
        .map_err(|error| format!("{error}, or `off`"))
}

/// CPUs as `taskset` and the kernel write them: numbers and ranges, e.g. `0-3,6`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cpus = Vec::new();
        for part in text.split(',').map(str::trim) {
            let number = |text: &str| {
                let number: Result<usize, _> = within(0..=CPU_MAX)(text.trim());
                number.map_err(|reason| {
                    let part = one_line(text);
                    format!("`{part}` is not a CPU's number: {reason} (as in 0-3,6)")
                })
            };
            match part.split_once('-') {
                // A sign, of which the number says that it is wrong.
                None | Some(("", _)) => cpus.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(format!(
                            "`{part}` goes down: write the smaller number first, `{last}-{first}`"
                        ));
                    }
                    cpus.extend(first..=last);
                }
            }
        }
        Ok(Self(cpus))
    }
}

/// `NR_CPUS` of the largest kernels is 8192 (arch/x86/Kconfig, 6.18).
const CPU_MAX: u64 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_number_is_digits_that_fit() {
        assert_eq!(whole::<u32>("4096"), Ok(4096));
        assert_eq!(whole::<u64>("18446744073709551615"), Ok(u64::MAX));
        for (text, reason) in [
            ("", "digits only"),
            ("-", "digits only"),
            ("many", "digits only"),
            ("1.5", "digits only"),
            ("4k", "digits only"),
            ("1_000", "digits only"),
            ("+1", "digits only"),
            (" 1", "digits only"),
            ("٣", "digits only"),
            ("-1", "not be negative"),
            ("4294967296", "too large"),
            ("99999999999999999999999", "too large"),
        ] {
            let error = whole::<u32>(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn number_out_of_range_is_told_the_range() {
        let parser = within::<u8>(1..=255);

        assert_eq!(parser("255"), Ok(255));
        for text in ["0", "256", "70000"] {
            assert_eq!(parser(text), Err("it must be from 1 to 255".into()));
        }
    }

    #[test]
    fn interval_out_of_range_is_told_the_range() {
        let parser = seconds_within(0.1..=3600.0);

        assert_eq!(parser("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(parser("3600"), Ok(Duration::from_secs(3600)));
        for text in ["0.09", "3601", "1e6"] {
            let error = parser(text).expect_err(text);
            assert_eq!(error, "it must be from 0.1 to 3600 seconds", "{text}");
        }
        for text in ["0", "-1", "soon", "nan", "inf", "1s", ""] {
            let error = parser(text).expect_err(text);
            assert!(error.contains("seconds above 0"), "{text}: {error}");
        }
    }

    #[test]
    fn cpus_are_numbers_and_ranges() {
        let list = |text: &str| text.parse::<CpuList>().map(|CpuList(cpus)| cpus);

        assert_eq!(list("1"), Ok(vec![1]));
        assert_eq!(list("0-3,6"), Ok(vec![0, 1, 2, 3, 6]));
        assert_eq!(list("2-2, 0"), Ok(vec![2, 0]));
        // The engine refuses a CPU that is named twice.
        assert_eq!(list("0-1,1"), Ok(vec![0, 1, 1]));
    }

    #[test]
    fn wrong_cpu_list_names_the_part_and_the_reason() {
        for (text, reason) in [
            ("one", "`one` is not a CPU's number: use a whole number"),
            ("0,,1", "`` is not a CPU's number"),
            ("0,", "`` is not a CPU's number"),
            ("", "`` is not a CPU's number"),
            ("0-", "`` is not a CPU's number"),
            ("-1", "`-1` is not a CPU's number: it must not be negative"),
            ("1-x", "`x` is not a CPU's number"),
            ("0-1-2", "`1-2` is not a CPU's number"),
            ("0-7:2", "`7:2` is not a CPU's number"),
            ("3-1", "write the smaller number first, `1-3`"),
            ("70000", "it must be from 0 to 65535"),
            ("0-99999999999", "it must be from 0 to 65535"),
        ] {
            let error = text.parse::<CpuList>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
