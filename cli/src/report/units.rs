//! Rates with the unit that fits them: `1 pps`, `42.5 kpps`, `14.9 Mpps`; `784 bit`,
//! `9.87 Gbit`.
//!
//! A rate has three digits, so it takes at most nine columns, and a ping shows.

/// Frames per second.
pub fn frame_rate(per_second: f64) -> String {
    with_unit(per_second, ["pps", "kpps", "Mpps", "Gpps", "Tpps"])
}

/// Bits per second, for a column that says so.
pub fn bit_rate(per_second: f64) -> String {
    with_unit(per_second, ["bit", "kbit", "Mbit", "Gbit", "Tbit"])
}

/// `value` in the smallest of these units in which it has at most three digits before
/// the point.
fn with_unit(value: f64, units: [&str; 5]) -> String {
    let mut scaled = value;
    let mut unit = units[0];
    for larger in &units[1..] {
        // From here on, rounding makes it four digits.
        if scaled < 999.5 {
            break;
        }
        (scaled, unit) = (scaled / 1000.0, larger);
    }
    let is_base = unit == units[0];
    if is_base && scaled > 0.0 && scaled < 0.05 {
        // It is not nothing.
        return format!("<0.1 {unit}");
    }
    let decimals = match scaled {
        _ if scaled >= 99.95 => 0,
        _ if is_base => usize::from(has_tenths(scaled)),
        _ if scaled >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$} {unit}")
}

/// Whether `value`, rounded to tenths, is not a whole number. Two frames in a second and
/// a millisecond are `2 pps`.
fn has_tenths(value: f64) -> bool {
    (value * 10.0).round() % 10.0 != 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_has_the_unit_in_which_it_is_short() {
        let cases = [
            (0.0, "0 pps"),
            (0.01, "<0.1 pps"),
            (0.1, "0.1 pps"),
            (0.999, "1 pps"),
            (1.001, "1 pps"),
            (2.5, "2.5 pps"),
            (99.94, "99.9 pps"),
            (99.96, "100 pps"),
            (999.4, "999 pps"),
            (999.6, "1.00 kpps"),
            (9_994.0, "9.99 kpps"),
            (9_996.0, "10.0 kpps"),
            (42_500.0, "42.5 kpps"),
            (999_400.0, "999 kpps"),
            (999_600.0, "1.00 Mpps"),
            (14_880_952.0, "14.9 Mpps"),
            (148_809_524.0, "149 Mpps"),
            (1e12, "1.00 Tpps"),
        ];

        for (rate, text) in cases {
            assert_eq!(frame_rate(rate), text, "{rate}");
        }
    }

    #[test]
    fn bits_have_units_of_their_own() {
        let texts = [0.0, 784.0, 78_400.0, 509e6, 9.87e9, 400e9].map(bit_rate);

        assert_eq!(
            texts,
            [
                "0 bit",
                "784 bit",
                "78.4 kbit",
                "509 Mbit",
                "9.87 Gbit",
                "400 Gbit"
            ]
        );
    }

    #[test]
    fn rate_takes_nine_columns_at_most() {
        let mut rate = 0.001;
        while rate < 9e14 {
            assert!(frame_rate(rate).len() <= 9, "{}", frame_rate(rate));
            assert!(bit_rate(rate).len() <= 9, "{}", bit_rate(rate));
            rate *= 1.01;
        }
    }
}
