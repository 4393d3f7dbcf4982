//! Words to an impairment. What is wrong is said at its word, with what to write
//! instead.

use std::str::FromStr;

use super::distribution::Distribution;
use super::percent::Percent;
use super::settings::{Chance, Delay, Impairment, Loss, Rate, Reorder};
use super::units::{self, Fault};
use crate::ParseError;
use crate::steering::rules::{shown, suggestion};

impl FromStr for Impairment {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Reader::new(text).read()
    }
}

/// Words that begin a phrase, to suggest from.
const WORDS: &[&str] = &[
    "delay",
    "jitter",
    "distribution",
    "loss",
    "duplicate",
    "corrupt",
    "reorder",
    "gap",
    "rate",
    "limit",
    "seed",
];

/// What is expected where a phrase begins.
const PHRASES: &str = "what to do to frames, such as `delay 20ms` or `loss 1%`";

#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    word: &'a str,
    start: usize,
}

/// Goes through the words once.
struct Reader<'a> {
    text: &'a str,
    words: Vec<Word<'a>>,
    at: usize,
    read: Impairment,
    /// Words of phrases so far.
    seen: Vec<&'static str>,
    /// Phrases that belong to another one, which may come behind them.
    jitter: Option<(Word<'a>, std::time::Duration, Percent)>,
    distribution: Option<(Word<'a>, Distribution)>,
    gap: Option<(Word<'a>, u32)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
        let words = text.split_whitespace().map(|word| Word {
            word,
            start: start(word),
        });
        Self {
            text,
            words: words.collect(),
            at: 0,
            read: Impairment::default(),
            seen: Vec::new(),
            jitter: None,
            distribution: None,
            gap: None,
        }
    }

    fn read(mut self) -> Result<Impairment, ParseError> {
        if self.words.is_empty() {
            return Err(self.at_end(PHRASES));
        }
        while let Some(word) = self.next() {
            self.phrase(word)?;
        }
        self.join()?;
        Ok(self.read)
    }

    /// Reads what follows the first word of a phrase.
    fn phrase(&mut self, first: Word<'a>) -> Result<(), ParseError> {
        let name = match first.word {
            "latency" => "delay",
            "drop" => "loss",
            other => match WORDS.iter().find(|name| **name == other) {
                Some(name) => name,
                None => return Err(self.unknown(first)),
            },
        };
        if self.seen.contains(&name) {
            return Err(self.error(first, format!("`{name}` is there twice: leave one out")));
        }
        self.seen.push(name);
        match name {
            "delay" => {
                let time = self.time("a time, such as `20ms`")?;
                let (jitter, correlation) = if self.number_follows() {
                    (self.time("a jitter")?, self.correlation()?)
                } else {
                    (std::time::Duration::ZERO, Percent::NONE)
                };
                self.read.delay = Some(Delay {
                    time,
                    jitter,
                    correlation,
                    distribution: Distribution::default(),
                });
            }
            "jitter" => {
                let jitter = self.time("a time, such as `2ms`")?;
                self.jitter = Some((first, jitter, self.correlation()?));
            }
            "distribution" => self.distribution = Some((first, self.distribution()?)),
            "loss" => self.read.loss = Some(self.loss()?),
            "duplicate" => self.read.duplicate = Some(self.chance()?),
            "corrupt" => self.read.corrupt = Some(self.chance()?),
            "reorder" => {
                let chance = self.chance()?;
                self.read.reorder = Some(Reorder { chance, gap: 1 });
            }
            "gap" => {
                let gap = self.positive("a number of frames", "use 1 for any of them")?;
                self.gap = Some((first, gap));
            }
            "rate" => self.read.rate = Some(self.rate()?),
            "limit" => {
                let remedy = "that would drop every frame: use `loss 100%` for that";
                self.read.limit = Some(self.positive("a number of frames", remedy)?);
            }
            _ => {
                let word = self.expect("a number")?;
                let seed = word.word.parse();
                self.read.seed =
                    Some(seed.map_err(|_| {
                        self.not_expected(word, "a whole number, such as `seed 42`")
                    })?);
            }
        }
        Ok(())
    }

    /// Joins the phrases that belong to others, and looks for contradictions.
    fn join(&mut self) -> Result<(), ParseError> {
        if let Some((word, jitter, correlation)) = self.jitter {
            let Some(delay) = self.read.delay.as_mut() else {
                let message = "`jitter` scatters a delay, and there is none: add `delay TIME`";
                return Err(self.error(word, message));
            };
            if !delay.jitter.is_zero() {
                let message =
                    "the jitter is there twice: once behind the delay, and here; leave one out";
                return Err(self.error(word, message));
            }
            (delay.jitter, delay.correlation) = (jitter, correlation);
        }
        if let Some((word, distribution)) = self.distribution {
            match self.read.delay.as_mut() {
                Some(delay) if !delay.jitter.is_zero() => delay.distribution = distribution,
                _ => {
                    let message = "`distribution` says how a jitter scatters, and there is none: add one, as in `delay 20ms 2ms`";
                    return Err(self.error(word, message));
                }
            }
        }
        if let Some((word, gap)) = self.gap {
            match self.read.reorder.as_mut() {
                Some(reorder) => reorder.gap = gap,
                None => {
                    let message = "`gap` says which frames may be reordered, and none are: add `reorder PERCENT`";
                    return Err(self.error(word, message));
                }
            }
        }
        let delays = self.read.delay.is_some_and(|delay| !delay.time.is_zero());
        if self.read.reorder.is_some() && !delays {
            let word = self.words.iter().find(|word| word.word == "reorder");
            let word = *word.expect("it was read");
            let message = "`reorder` sends frames before those that are delayed, and none are: add `delay TIME`";
            return Err(self.error(word, message));
        }
        Ok(())
    }

    fn loss(&mut self) -> Result<Loss, ParseError> {
        let Some(model) = self.peek() else {
            return Err(self.at_end("a percentage, such as `loss 1%`"));
        };
        match model.word {
            "random" => {
                self.at += 1;
                Ok(Loss::Random(self.chance()?))
            }
            "state" => {
                self.at += 1;
                let p13 = self.percent("a probability, such as `1%`")?;
                let p31 = self.next_percent()?.unwrap_or(p13.rest());
                let p32 = self.next_percent()?.unwrap_or(Percent::NONE);
                let p23 = self.next_percent()?.unwrap_or(Percent::ALL);
                let p14 = self.next_percent()?.unwrap_or(Percent::NONE);
                for (one, other, sum) in [(p13, p14, "P13 and P14"), (p31, p32, "P31 and P32")] {
                    if one.get() + other.get() > 100.0 {
                        let message = format!(
                            "{sum} lead out of the same state and are more than 100% together: make one smaller"
                        );
                        return Err(self.error(model, message));
                    }
                }
                Ok(Loss::State {
                    p13,
                    p31,
                    p32,
                    p23,
                    p14,
                })
            }
            "gemodel" => {
                self.at += 1;
                let to_bad = self.percent("a probability, such as `1%`")?;
                Ok(Loss::GilbertElliott {
                    to_bad,
                    to_good: self.next_percent()?.unwrap_or(to_bad.rest()),
                    lost_in_bad: self.next_percent()?.unwrap_or(Percent::ALL),
                    lost_in_good: self.next_percent()?.unwrap_or(Percent::NONE),
                })
            }
            word if starts_number(word) => Ok(Loss::Random(self.chance()?)),
            _ => Err(self.not_expected(
                model,
                "a percentage, or `random`, `state` or `gemodel` and percentages",
            )),
        }
    }

    fn rate(&mut self) -> Result<Rate, ParseError> {
        let word = self.expect("a rate, such as `100mbit`")?;
        if word.word.ends_with('%') {
            let message =
                "a rate is no share of the interface's speed here: name it, as in `rate 500mbit`";
            return Err(self.error(word, message));
        }
        let bits_per_second = units::rate(word.word).map_err(|fault| {
            self.no_quantity(
                word,
                fault,
                "a rate, such as `100mbit`",
                "use at most 10tbit",
            )
        })?;
        if bits_per_second == 0 {
            let message = "nothing would ever pass at this rate: use `loss 100%` for that";
            return Err(self.error(word, message));
        }
        let mut rate = Rate {
            bits_per_second,
            overhead: 0,
            cell: 0,
            cell_overhead: 0,
        };
        if self.number_follows() {
            rate.overhead = self.integer("the bytes that each frame takes more")?;
        }
        if self.number_follows() {
            rate.cell = self.integer("the bytes of a cell")?;
        }
        if self.number_follows() {
            rate.cell_overhead = self.integer("the bytes that each cell takes more")?;
        }
        Ok(rate)
    }

    fn distribution(&mut self) -> Result<Distribution, ParseError> {
        let names = Distribution::ALL.map(Distribution::name);
        let word = self.expect("the name of a distribution")?;
        let found = Distribution::ALL
            .into_iter()
            .find(|one| one.name() == word.word);
        found.ok_or_else(|| {
            let name = shown(word.word);
            let near = suggestion(word.word, names).map_or_else(
                || format!("use {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.error(word, format!("there is no distribution `{name}`: {near}"))
        })
    }

    fn chance(&mut self) -> Result<Chance, ParseError> {
        Ok(Chance {
            probability: self.percent("a percentage, such as `1%`")?,
            correlation: self.correlation()?,
        })
    }

    fn correlation(&mut self) -> Result<Percent, ParseError> {
        Ok(self.next_percent()?.unwrap_or(Percent::NONE))
    }

    /// Takes a percentage, if a number follows.
    fn next_percent(&mut self) -> Result<Option<Percent>, ParseError> {
        if !self.number_follows() {
            return Ok(None);
        }
        self.percent("a percentage").map(Some)
    }

    fn percent(&mut self, expected: &str) -> Result<Percent, ParseError> {
        const RANGE: &str = "use 0% to 100%";
        let word = self.expect(expected)?;
        let percentage = units::percentage(word.word)
            .map_err(|fault| self.no_quantity(word, fault, expected, RANGE))?;
        let percent = Percent::new(percentage);
        percent.ok_or_else(|| self.no_quantity(word, Fault::TooLarge, expected, RANGE))
    }

    fn time(&mut self, expected: &str) -> Result<std::time::Duration, ParseError> {
        let word = self.expect(expected)?;
        units::time(word.word)
            .map_err(|fault| self.no_quantity(word, fault, expected, "use at most an hour"))
    }

    /// Takes a whole number, which is not zero.
    fn positive(&mut self, expected: &str, remedy: &str) -> Result<u32, ParseError> {
        let word = self.expect(expected)?;
        match word.word.parse() {
            Ok(0) => Err(self.error(word, format!("0 is too few: {remedy}"))),
            Ok(number) => Ok(number),
            Err(_) => {
                let expected = format!("{expected} from 1 to {}", u32::MAX);
                Err(self.not_expected(word, &expected))
            }
        }
    }

    fn integer<T: FromStr>(&mut self, what: &str) -> Result<T, ParseError> {
        let word = self.expect(what)?;
        let number = word.word.parse();
        number.map_err(|_| self.not_expected(word, &format!("{what}, as a whole number")))
    }

    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.at).copied()
    }

    fn number_follows(&self) -> bool {
        self.peek().is_some_and(|word| starts_number(word.word))
    }

    fn expect(&mut self, expected: &str) -> Result<Word<'a>, ParseError> {
        self.next().ok_or_else(|| self.at_end(expected))
    }

    fn unknown(&self, word: Word<'_>) -> ParseError {
        let name = shown(word.word);
        let instead = match word.word {
            "ecn" => "frames are not marked here: leave it out, and those that are to be lost are"
                .to_owned(),
            "slot" => "frames are not held for slots here: leave it out".to_owned(),
            other if starts_number(other) => format!("expected {PHRASES}"),
            other => suggestion(other, WORDS.iter().copied()).map_or_else(
                || format!("use {}", WORDS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            ),
        };
        self.error(word, format!("there is no `{name}`: {instead}"))
    }

    fn no_quantity(&self, word: Word<'_>, fault: Fault, expected: &str, range: &str) -> ParseError {
        let text = shown(word.word);
        match fault {
            Fault::NoNumber => self.not_expected(word, expected),
            Fault::Negative => self.error(word, format!("{text} is negative: {range}")),
            Fault::TooLarge => self.error(word, format!("{text} is too large: {range}")),
            Fault::Unit => self.error(
                word,
                format!("`{text}` has a unit that is none here: expected {expected}"),
            ),
        }
    }

    fn not_expected(&self, word: Word<'_>, expected: &str) -> ParseError {
        let text = shown(word.word);
        self.error(word, format!("expected {expected}, not `{text}`"))
    }

    fn error(&self, word: Word<'_>, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, word.start, word.word.len(), message.into())
    }

    fn at_end(&self, expected: &str) -> ParseError {
        let end = self.text.trim_end().len();
        let message = match self.words.last() {
            Some(last) => {
                let last = shown(last.word);
                format!("expected {expected} after `{last}`, but the text ends")
            }
            None => format!("expected {expected}, but there is no text"),
        };
        ParseError::new(self.text, end, 0, message)
    }
}

fn starts_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Impairment {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn words_of_tc_are_read_and_shown() {
        let cases = [
            ("delay 20ms", "delay 20ms"),
            ("latency 20000", "delay 20ms"),
            ("delay 20ms 2ms", "delay 20ms 2ms"),
            ("delay 20ms jitter 2ms", "delay 20ms 2ms"),
            ("jitter 2ms 10% delay 20ms", "delay 20ms 2ms 10%"),
            (
                "delay 100ms 20ms 25% distribution normal",
                "delay 100ms 20ms 25% distribution normal",
            ),
            (
                "distribution pareto delay 1s 1ms",
                "delay 1s 1ms distribution pareto",
            ),
            ("loss 0.3% 25%", "loss 0.3% 25%"),
            ("loss random 1", "loss 1%"),
            ("drop 1%", "loss 1%"),
            ("loss state 1%", "loss state 1% 99% 0% 100% 0%"),
            ("loss gemodel 1% 10%", "loss gemodel 1% 10% 100% 0%"),
            (
                "duplicate 0.1% corrupt 0.01% 5%",
                "duplicate 0.1% corrupt 0.01% 5%",
            ),
            (
                "gap 5 delay 10ms reorder 25% 50%",
                "delay 10ms reorder 25% 50% gap 5",
            ),
            ("rate 100mbit -4 48 5", "rate 100mbit -4 48 5"),
            ("rate 250kbit 20", "rate 250kbit 20"),
            ("limit 10000 seed 42", "limit 10000 seed 42"),
            (
                "delay 20ms jitter 2ms loss 0.5% duplicate 0.1% reorder 1% rate 100mbit limit 10000",
                "delay 20ms 2ms loss 0.5% duplicate 0.1% reorder 1% rate 100mbit limit 10000",
            ),
        ];

        for (text, shown) in cases {
            let impairment = parsed(text);

            assert_eq!(impairment.to_string(), shown);
            assert_eq!(parsed(shown), impairment, "{shown}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_word_with_a_remedy() {
        let cases = [
            ("", 1, "there is no text"),
            ("  ", 1, "there is no text"),
            ("dealy 20ms", 1, "did you mean `delay`?"),
            ("20ms", 1, "there is no `20ms`: expected what to do"),
            ("delay", 6, "a time, such as `20ms` after `delay`"),
            ("delay -5ms", 7, "-5ms is negative: use at most an hour"),
            ("delay 20m", 7, "a unit that is none here"),
            ("delay fast", 7, "expected a time"),
            ("delay 2h", 7, "a unit that is none"),
            ("delay 4000s", 7, "too large: use at most an hour"),
            ("delay 1ms delay 2ms", 11, "twice"),
            ("delay 1ms latency 2ms", 11, "twice"),
            ("delay 1ms 2ms jitter 3ms", 15, "twice"),
            ("jitter 2ms", 1, "add `delay TIME`"),
            ("delay 1ms distribution normal", 11, "add one"),
            (
                "delay 1ms 1ms distribution norml",
                28,
                "did you mean `normal`?",
            ),
            ("loss 101%", 6, "101% is too large: use 0% to 100%"),
            ("loss -1%", 6, "negative"),
            ("loss", 5, "a percentage"),
            ("loss many", 6, "`random`, `state` or `gemodel`"),
            ("loss state 60% 10% 0% 0% 60%", 6, "more than 100% together"),
            ("reorder 1%", 1, "add `delay TIME`"),
            ("delay 0ms reorder 1%", 11, "add `delay TIME`"),
            ("delay 1ms gap 5", 11, "add `reorder PERCENT`"),
            ("delay 1ms reorder 1% gap 0", 26, "use 1"),
            ("rate 0mbit", 6, "use `loss 100%`"),
            ("rate 50%", 6, "name it"),
            ("rate 100mbit five", 14, "there is no `five`"),
            ("rate 100mbit 1 -1", 16, "the bytes of a cell"),
            ("limit 0", 7, "use `loss 100%`"),
            ("limit -1", 7, "from 1 to"),
            ("limit 10k", 7, "from 1 to"),
            ("seed x", 6, "a whole number"),
            ("loss 1% ecn", 9, "leave it out"),
            ("slot 1ms", 1, "leave it out"),
            ("loss 1%, delay 1ms", 6, "a unit that is none here"),
            ("délai 1ms", 1, "there is no `délai`"),
        ];

        for (text, column, needle) in cases {
            let error = text.parse::<Impairment>().expect_err(text);

            assert!(error.message().contains(needle), "{text}: {error}");
            assert_eq!(error.column(), column, "{text}: {error}");
        }
    }

    #[test]
    fn frames_needed_are_the_limit_or_the_rate_times_the_delay() {
        let needed = |text| parsed(text).frames_needed();

        // 1514 bytes take 121 us.
        assert_eq!(needed("rate 100mbit delay 20ms"), 165);
        assert_eq!(needed("rate 100mbit delay 15ms 5ms"), 165);
        assert_eq!(needed("rate 100mbit delay 20ms limit 10"), 10);
        assert_eq!(needed("rate 10tbit delay 3600s"), u32::MAX);
        assert_eq!(needed("rate 100mbit"), 0);
        assert_eq!(needed("delay 20ms"), 0);
        assert_eq!(needed("delay 0ms loss 1% limit 1000"), 0);
    }

    #[test]
    fn line_takes_whole_cells() {
        let time = |text, bytes| parsed(text).rate.expect("a rate").time_of(bytes).as_nanos();

        assert_eq!(time("rate 8gbit", 1000), 1000);
        assert_eq!(time("rate 8gbit 24", 1000), 1024);
        assert_eq!(time("rate 8gbit -2000", 1000), 0);
        assert_eq!(time("rate 8gbit 0 48 5", 48), 53);
        assert_eq!(time("rate 8gbit 0 48 5", 49), 106);
        assert_eq!(time("rate 1bit", 1), 8_000_000_000);
        let most = "rate 1bit 2147483647 1 2147483647";
        assert_eq!(time(most, u32::MAX), u128::from(u64::MAX));
    }

    proptest! {
        #[test]
        fn words_that_are_shown_are_read_back(
            delay in 0_u64..3_600_000_000_000,
            jitter in 1_u64..3_600_000_000_000,
            percents in prop::array::uniform8(0.0_f64..=100.0),
            (gap, limit, rate, overhead, cell) in
                (1_u32.., 1_u32.., 1_u64..10_000_000_000_000, any::<i32>(), any::<u32>()),
            seed in any::<u64>(),
        ) {
            let [a, b, c, d, e, f, g, h] = percents;
            let text = format!(
                "delay {}ns {jitter}ns {a}% distribution paretonormal loss {b}% {c}% \
                 duplicate {d}% corrupt {e}% {f}% reorder {g}% {h}% gap {gap} \
                 rate {rate}bit {overhead} {cell} limit {limit} seed {seed}",
                delay.max(1)
            );
            let impairment = parsed(&text);
            prop_assert_eq!(parsed(&impairment.to_string()), impairment);
        }

        #[test]
        fn nonsense_is_no_panic(text in "\\PC*") {
            let _ = text.parse::<Impairment>();
        }

        #[test]
        fn words_in_any_order_are_no_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "delay", "jitter", "loss", "state", "gemodel", "reorder", "gap", "rate",
                    "limit", "5", "-5", "5ms", "50%", "101%", "1gbit", "distribution", "normal",
                ]),
                0..12,
            ),
        ) {
            let text = words.join(" ");
            match text.parse::<Impairment>() {
                Ok(impairment) => {
                    prop_assert_eq!(parsed(&impairment.to_string()), impairment);
                }
                Err(error) => prop_assert!(error.column() <= text.len() + 1),
            }
        }
    }
}
