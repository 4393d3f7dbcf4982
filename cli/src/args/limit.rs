//! Limits on packet memory on the command line: `--limit held=1024,transmit=8MiB`.

use std::str::FromStr;

use wharf::{Amount, EngineBuilder, LimitPolicy, Limits};

use super::number::whole;
use super::one_line;

/// One limit: `held=1024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitArg {
    Chunks(Amount),
    Floor(Amount),
    Held(Amount),
    Transmit(Amount),
    Policy(LimitPolicy),
    /// Bytes that the process may pin.
    Memory(u64),
}

impl LimitArg {
    fn key(self) -> &'static str {
        match self {
            Self::Chunks(_) => "chunks",
            Self::Floor(_) => "floor",
            Self::Held(_) => "held",
            Self::Transmit(_) => "transmit",
            Self::Policy(_) => "policy",
            Self::Memory(_) => "memory",
        }
    }
}

impl FromStr for LimitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("use LIMIT=AMOUNT, e.g. held=1024 ({LIMITS})"));
        };
        let value = value.trim();
        let amount = || amount(value);
        match key.trim() {
            "chunks" => amount().map(Self::Chunks),
            "floor" => amount().map(Self::Floor),
            "held" => amount().map(Self::Held),
            "transmit" => amount().map(Self::Transmit),
            "policy" => policy(value).map(Self::Policy),
            "memory" => match amount()? {
                Amount::Bytes(bytes) => Ok(Self::Memory(bytes)),
                Amount::Frames(_) => Err("memory is in bytes: add a unit, e.g. 256MiB".to_owned()),
            },
            key => Err(format!("there is no limit `{}`: {LIMITS}", one_line(key))),
        }
    }
}

/// The limits that there are, for messages.
const LIMITS: &str = "use chunks, floor, held, transmit, memory or policy";

fn policy(text: &str) -> Result<LimitPolicy, String> {
    let mut all = LimitPolicy::ALL.into_iter();
    all.find(|policy| policy.label() == text).ok_or_else(|| {
        let [first, second, third] = LimitPolicy::ALL.map(LimitPolicy::label);
        let text = one_line(text);
        format!("there is no policy `{text}`: use {first}, {second} or {third}")
    })
}

/// Reads `1024` (frames), `8MiB` or `4096B`.
fn amount(text: &str) -> Result<Amount, String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    if digits.is_empty() {
        let reason = whole::<u64>(text).err().unwrap_or_default();
        return Err(explained(text, &reason));
    }
    let number: Result<u64, _> = whole(digits);
    let shift = match unit.trim() {
        "" => {
            let frames = whole(digits).map_err(|reason| explained(text, &reason));
            return frames.map(Amount::Frames);
        }
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(explained(text, "the unit is B, KiB, MiB or GiB")),
    };
    let bytes = number.map_err(|reason| explained(text, &reason))?;
    let bytes = bytes.checked_mul(1 << shift);
    bytes
        .map(Amount::Bytes)
        .ok_or_else(|| explained(text, "it is too large"))
}

fn explained(text: &str, reason: &str) -> String {
    format!(
        "`{}` is no amount: {reason} (as in 1024 for frames, or 8MiB)",
        one_line(text)
    )
}

/// The limits of all options together.
///
/// # Errors
///
/// One that is there twice.
pub fn check(limits: &[LimitArg]) -> Result<(), String> {
    for (place, limit) in limits.iter().enumerate() {
        let key = limit.key();
        if limits[..place].iter().any(|other| other.key() == key) {
            return Err(format!("--limit has {key} twice: give it once"));
        }
    }
    Ok(())
}

/// Asks `builder` for the limits.
pub fn apply(limits: &[LimitArg], mut builder: EngineBuilder) -> EngineBuilder {
    let mut all = Limits::default();
    for limit in limits {
        match *limit {
            LimitArg::Chunks(amount) => all.chunks = Some(amount),
            LimitArg::Floor(amount) => all.floor = Some(amount),
            LimitArg::Held(amount) => all.held = Some(amount),
            LimitArg::Transmit(amount) => all.in_transmit = Some(amount),
            LimitArg::Policy(policy) => all.policy = policy,
            LimitArg::Memory(bytes) => builder = builder.memory_limit(bytes),
        }
    }
    builder.limits(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LimitArg, String> {
        text.parse()
    }

    #[test]
    fn limits_are_in_frames_or_in_bytes_with_a_unit() {
        for (text, limit) in [
            ("held=1024", LimitArg::Held(Amount::Frames(1024))),
            ("transmit=8MiB", LimitArg::Transmit(Amount::Bytes(8 << 20))),
            ("chunks = 4096B", LimitArg::Chunks(Amount::Bytes(4096))),
            ("floor=64KiB", LimitArg::Floor(Amount::Bytes(64 << 10))),
            ("memory=2GiB", LimitArg::Memory(2 << 30)),
            (
                "policy=backpressure",
                LimitArg::Policy(LimitPolicy::Backpressure),
            ),
        ] {
            assert_eq!(parse(text), Ok(limit));
        }
    }

    #[test]
    fn wrong_limit_names_what_to_write_instead() {
        for (text, reason) in [
            ("held", "use LIMIT=AMOUNT"),
            ("", "use LIMIT=AMOUNT"),
            ("hold=1", "there is no limit `hold`: use chunks"),
            ("held=", "`` is no amount"),
            ("held=many", "`many` is no amount"),
            ("held=-1", "`-1` is no amount: it must not be negative"),
            ("held=ä", "digits only"),
            ("held=1.5MiB", "the unit is B, KiB"),
            ("held=8MB", "the unit is B, KiB, MiB or GiB"),
            ("held=MiB", "digits only"),
            ("held=4294967296", "it is too large"),
            ("held=99999999999999999999B", "it is too large"),
            ("held=18446744073709551615GiB", "it is too large"),
            ("memory=1024", "add a unit, e.g. 256MiB"),
            ("policy=drop", "use drop-newest, backpressure or copy-out"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn limit_given_twice_is_refused() {
        let held = |frames| LimitArg::Held(Amount::Frames(frames));

        assert_eq!(check(&[held(1), LimitArg::Memory(1)]), Ok(()));
        let error = check(&[held(1), held(1)]).expect_err("twice");
        assert!(error.contains("held twice"), "{error}");
    }
}
