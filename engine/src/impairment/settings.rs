//! What an impairment does to frames, as values, and the words for it.

use std::fmt;
use std::time::Duration;

use super::distribution::Distribution;
use super::percent::Percent;
use super::units::{Bits, Time};

/// What is done to frames on their way, in the words of `tc netem`:
///
/// ```
/// use wharf::impairment::Impairment;
///
/// let wan: Impairment = "delay 20ms jitter 2ms loss 0.5% rate 100mbit".parse()?;
/// assert_eq!(wan.to_string(), "delay 20ms 2ms loss 0.5% rate 100mbit");
///
/// let error = "dealy 20ms".parse::<Impairment>().unwrap_err();
/// assert_eq!(error.to_string(), "column 1: there is no `dealy`: did you mean `delay`?");
/// # Ok::<(), wharf::ParseError>(())
/// ```
///
/// | words | what they do |
/// |---|---|
/// | `delay TIME [JITTER [CORRELATION]]` | holds each frame for so long, give or take the jitter; `jitter JITTER [CORRELATION]` is a word of its own, too |
/// | `distribution uniform`, `normal`, `pareto`, `paretonormal` | how the delays scatter |
/// | `loss [random] PERCENT [CORRELATION]` | loses so many |
/// | `loss state P13 [P31 [P32 [P23 [P14]]]]` | loses them as a Markov chain with four states does |
/// | `loss gemodel P [R [1-H [1-K]]]` | loses them as the Gilbert-Elliott model does |
/// | `duplicate PERCENT [CORRELATION]` | sends so many twice |
/// | `corrupt PERCENT [CORRELATION]` | flips one bit of so many |
/// | `reorder PERCENT [CORRELATION] [gap N]` | sends so many at once instead of after the delay; with a gap, of the N-th at the earliest |
/// | `rate RATE [OVERHEAD [CELL [CELL_OVERHEAD]]]` | lets them pass one after the other, as a line of so many bits per second |
/// | `limit FRAMES` | holds so many at the most, and drops the others |
/// | `seed N` | makes the same random decisions again |
///
/// They may be in any order, each of them once. What they do to a frame, in which order,
/// is what the kernel's `sch_netem` does: see [the module](super).
///
/// A time is in `s`, `ms`, `us` or `ns`, and in microseconds without a unit. A rate is in
/// `bit`, `kbit`, `mbit`, `gbit` or `tbit` per second, with `i` (`kibit`) in powers of
/// 1024, and in bytes per second as `bps`, `kbps` and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    pub(super) delay: Option<Delay>,
    pub(super) loss: Option<Loss>,
    pub(super) duplicate: Option<Chance>,
    pub(super) corrupt: Option<Chance>,
    pub(super) reorder: Option<Reorder>,
    pub(super) rate: Option<Rate>,
    pub(super) limit: Option<u32>,
    pub(super) seed: Option<u64>,
}

/// How likely something is, and how much that depends on whether it happened before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chance {
    pub(super) probability: Percent,
    pub(super) correlation: Percent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delay {
    pub(super) time: Duration,
    pub(super) jitter: Duration,
    pub(super) correlation: Percent,
    pub(super) distribution: Distribution,
}

/// Which frames are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Loss {
    Random(Chance),
    /// Four states: 1 good, 3 bad, and 2 good in the bad, 4 bad in the good. The
    /// probabilities are those to go from one to the other.
    State {
        p13: Percent,
        p31: Percent,
        p32: Percent,
        p23: Percent,
        p14: Percent,
    },
    /// Two states; the probabilities to go to the bad one, to go back, to be lost in
    /// the bad (`1-h`), and to be lost in the good (`1-k`).
    GilbertElliott {
        to_bad: Percent,
        to_good: Percent,
        lost_in_bad: Percent,
        lost_in_good: Percent,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reorder {
    pub(super) chance: Chance,
    /// Only each so many-th frame may be sent early.
    pub(super) gap: u32,
}

/// A line. Bytes are those of the frame without the frame check sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) bits_per_second: u64,
    /// Bytes that each frame takes more (or less) than it has.
    pub(super) overhead: i32,
    /// Frames take whole cells of so many bytes; 0 for none.
    pub(super) cell: u32,
    /// Bytes that each cell takes more.
    pub(super) cell_overhead: i32,
}

impl Impairment {
    /// Frames that may be held at a time, if that was said.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Whether frames are held at all, longer than it takes to send them.
    #[must_use]
    pub fn holds_frames(&self) -> bool {
        let delays = |delay: &Delay| !delay.time.is_zero() || !delay.jitter.is_zero();
        self.rate.is_some() || self.delay.as_ref().is_some_and(delays)
    }

    /// Frames that there has to be room for: as many as the limit says, or else full ones
    /// of 1514 bytes that the rate lets through in the time of the delay. Zero where none
    /// are held, and where neither says how many.
    ///
    /// A line that gets more than its rate has a queue beside that.
    #[must_use]
    pub fn frames_needed(&self) -> u32 {
        match self.limit {
            _ if !self.holds_frames() => 0,
            Some(limit) => limit,
            None => self.frames_in_flight(FULL_FRAME).unwrap_or(0),
        }
    }

    /// Frames of `bytes` that are under way at a time where the rate is used to the full.
    fn frames_in_flight(&self, bytes: u32) -> Option<u32> {
        let (rate, delay) = (self.rate?, self.delay?);
        let per_frame = rate.time_of(bytes).as_nanos().max(1);
        let longest = (delay.time + delay.jitter).as_nanos();
        Some(u32::try_from(longest / per_frame).unwrap_or(u32::MAX))
    }
}

/// Bytes of a frame with an MTU of 1500.
const FULL_FRAME: u32 = 1514;

impl Rate {
    /// How long the line takes to send a frame of `bytes`.
    pub(super) fn time_of(&self, bytes: u32) -> Duration {
        let mut bytes = i64::from(bytes) + i64::from(self.overhead);
        if self.cell > 0 {
            let cell = i64::from(self.cell);
            let cells = bytes.max(0).div_euclid(cell) + i64::from(bytes.max(0) % cell > 0);
            bytes = cells.saturating_mul(cell + i64::from(self.cell_overhead));
        }
        let bits = u128::try_from(bytes.max(0)).unwrap_or(0) * 8;
        let nanoseconds = bits * 1_000_000_000 / u128::from(self.bits_per_second.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// The words again, in one order: they parse to an equal impairment.
impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(delay) = &self.delay {
            words.push(delay.to_string());
        }
        if let Some(loss) = &self.loss {
            words.push(format!("loss {loss}"));
        }
        if let Some(chance) = &self.duplicate {
            words.push(format!("duplicate {chance}"));
        }
        if let Some(chance) = &self.corrupt {
            words.push(format!("corrupt {chance}"));
        }
        if let Some(Reorder { chance, gap }) = &self.reorder {
            words.push(format!("reorder {chance}"));
            if *gap > 1 {
                words.push(format!("gap {gap}"));
            }
        }
        if let Some(rate) = &self.rate {
            words.push(rate.to_string());
        }
        if let Some(limit) = self.limit {
            words.push(format!("limit {limit}"));
        }
        if let Some(seed) = self.seed {
            words.push(format!("seed {seed}"));
        }
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.probability)?;
        if !self.correlation.is_none() {
            write!(f, " {}", self.correlation)?;
        }
        Ok(())
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delay {}", Time(self.time))?;
        if !self.jitter.is_zero() || !self.correlation.is_none() {
            write!(f, " {}", Time(self.jitter))?;
        }
        if !self.correlation.is_none() {
            write!(f, " {}", self.correlation)?;
        }
        if self.distribution != Distribution::Uniform {
            write!(f, " distribution {}", self.distribution)?;
        }
        Ok(())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(chance) => chance.fmt(f),
            Self::State {
                p13,
                p31,
                p32,
                p23,
                p14,
            } => write!(f, "state {p13} {p31} {p32} {p23} {p14}"),
            Self::GilbertElliott {
                to_bad,
                to_good,
                lost_in_bad,
                lost_in_good,
            } => write!(f, "gemodel {to_bad} {to_good} {lost_in_bad} {lost_in_good}"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate {}", Bits(self.bits_per_second))?;
        if self.overhead != 0 || self.cell != 0 {
            write!(f, " {}", self.overhead)?;
        }
        if self.cell != 0 {
            write!(f, " {}", self.cell)?;
        }
        if self.cell_overhead != 0 {
            write!(f, " {}", self.cell_overhead)?;
        }
        Ok(())
    }
}
