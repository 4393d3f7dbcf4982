//! Sizes on the command line: bytes, or with K, M or G, which are powers of 1024.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, shift) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text[..at], 10),
            Some((at, 'm' | 'M')) => (&text[..at], 20),
            Some((at, 'g' | 'G')) => (&text[..at], 30),
            _ => (text, 0),
        };
        let wrong = || "use a number of bytes, e.g. 4096, 256K or 1M".to_owned();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(1 << shift);
        match bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
            Some(bytes) if bytes <= MOST => Ok(Self(bytes)),
            _ => Err(format!("it must be at most {}", Self(MOST))),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(f, "{}M", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => write!(f, "{}K", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// What a message may have in the benchmarks.
const MOST: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_in_powers_of_1024() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("1", 1, "1"),
            ("1500", 1500, "1500"),
            ("4096", 4096, "4K"),
            ("256K", 262_144, "256K"),
            ("1m", 1 << 20, "1M"),
            ("16M", 16 << 20, "16M"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.0, size.to_string().as_str()), (bytes, written));
        }
        for (text, reason) in [
            ("", "use a number"),
            ("K", "use a number"),
            ("-1", "use a number"),
            ("1.5M", "use a number"),
            ("ä", "use a number"),
            ("17M", "at most 16M"),
            ("99999999999G", "at most 16M"),
        ] {
            let error = text.parse::<Size>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
