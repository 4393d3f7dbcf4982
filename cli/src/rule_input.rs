//! Rules and flows from options, arguments and files: read and checked as a whole
//! before anything is done with them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use wharf::{Action, ActionPlace, Flow, ParseError, Rule, RuleSet, RulesError, Steering};

use crate::control::RULES_BYTES_MAX;
use crate::exit::{Failure, one_line};
use crate::flow_line::split_action;

/// The rules to start with: those of `--match`, then those of `--rules`. Without
/// either, every frame is redirected.
pub fn initial(
    matches: &[String],
    file: Option<&Path>,
    default: Option<&str>,
    xsks_per_queue: u8,
) -> Result<RuleSet, Failure> {
    let named = default.map(|text| action("--default", text)).transpose()?;
    let mut all = LocatedRules::default();
    for text in matches {
        all.push(parsed(MATCH, text)?, Location::of_word(MATCH, text));
    }
    let default = match file {
        None if matches.is_empty() => Action::REDIRECT,
        None => Action::Pass,
        Some(file) => all.add(file, &rules_text(file)?)?,
    };
    all.checked(named.unwrap_or(default), xsks_per_queue)
}

/// Reads a rule from the argument or option `source`.
pub fn rule(source: &str, text: &str) -> Result<Rule, Failure> {
    let rule = parsed(source, text)?;
    let mut alone = LocatedRules::default();
    alone.push(rule.clone(), Location::of_word(source, text));
    alone.checked(Action::Pass, XSKS_UNKNOWN)?;
    Ok(rule)
}

fn parsed(source: &str, text: &str) -> Result<Rule, Failure> {
    if text.split_whitespace().next() == Some("default") {
        return Err(Failure::Usage(format!(
            "{source}: `default ACTION` is not a rule: put it into a rules file, or use `wharf steer default ACTION`"
        )));
    }
    if text.split_whitespace().next() == Some("undecided") {
        return Err(Failure::Usage(format!(
            "{source}: `undecided ACTION` is not a rule: put it into a rules file, or use `wharf forward --undecided ACTION` or `wharf steer undecided ACTION`"
        )));
    }
    text.parse()
        .map_err(|error: ParseError| at_column(source, &error))
}

/// Reads the rules of a file.
pub fn rules_of_file(path: &Path) -> Result<RuleSet, Failure> {
    checked_rules(path, &rules_text(path)?)
}

/// Reads a file of rules that are to take the place of those in force: its text, which
/// need not name the default, and is good otherwise.
pub fn replacement_of_file(path: &Path) -> Result<String, Failure> {
    let text = rules_text(path)?;
    checked_rules(path, &text)?;
    Ok(text)
}

fn rules_text(path: &Path) -> Result<String, Failure> {
    read(path, RULES_BYTES_MAX as u64)
}

fn checked_rules(path: &Path, text: &str) -> Result<RuleSet, Failure> {
    let mut all = LocatedRules::default();
    let default = all.add(path, text)?;
    all.checked(default, XSKS_UNKNOWN)
}

/// Rules, and where each of them was read.
#[derive(Default)]
struct LocatedRules {
    rules: Vec<Rule>,
    locations: Vec<Location>,
    undecided: Option<Action>,
}

/// Where a rule was read, for the error message.
struct Location {
    /// With the column at which it begins.
    name: String,
    text: String,
}

impl LocatedRules {
    fn push(&mut self, rule: Rule, location: Location) {
        self.rules.push(rule);
        self.locations.push(location);
    }

    /// Adds the rules of a file; returns its default action.
    fn add(&mut self, path: &Path, text: &str) -> Result<Action, Failure> {
        let set: RuleSet = text.parse().map_err(|error: ParseError| Failure::Text {
            message: format!(
                "{}:{}:{}: {}",
                Name(path),
                error.line().unwrap_or(1),
                error.column(),
                error.message()
            ),
            marked: error.marked(),
        })?;
        let says_something = |(_, line): &(usize, &str)| !without_comment(line).is_empty();
        let mut lines = text.lines().enumerate().filter(says_something).peekable();
        if lines.peek().is_none() {
            return Err(Failure::Usage(format!(
                "{} has no rules: write `default redirect` to take everything, or `default pass` to take nothing",
                Name(path)
            )));
        }
        // Each other line is a rule.
        let is_rule = |line: &str| {
            !matches!(
                line.split_whitespace().next(),
                Some("default" | "undecided")
            )
        };
        let lines = lines.filter(|(_, line)| is_rule(line));
        for (rule, (index, line)) in set.rules.into_iter().zip(lines) {
            self.push(rule, Location::of_line(path, index + 1, line));
        }
        self.undecided = set.undecided;
        Ok(set.default)
    }

    /// The rules with `default`, if a program can be made of them.
    fn checked(self, default: Action, xsks_per_queue: u8) -> Result<RuleSet, Failure> {
        let Self {
            rules,
            locations,
            undecided,
        } = self;
        let mut set = RuleSet::new(rules, default);
        set.undecided = undecided;
        match Steering::check(&set, xsks_per_queue) {
            Ok(()) => Ok(set),
            Err(error) => Err(refusal(&error, &locations)),
        }
    }
}

impl Location {
    fn of_word(source: &str, text: &str) -> Self {
        Self {
            name: format!("{source}: column 1"),
            text: text.to_owned(),
        }
    }

    fn of_line(path: &Path, number: usize, line: &str) -> Self {
        let text = without_comment(line);
        let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
        Self {
            name: format!("{}:{number}:{column}", Name(path)),
            text: text.to_owned(),
        }
    }
}

/// Names the rule that cannot be used, if the error is about a single one.
fn refusal(error: &RulesError, locations: &[Location]) -> Failure {
    let number = match error {
        RulesError::NeverMatches { rule, .. } | RulesError::TooManyClauses { rule, .. } => {
            Some(*rule)
        }
        RulesError::NoSuchXsk {
            place: ActionPlace::Rule(rule),
            ..
        } => Some(*rule),
        _ => None,
    };
    let text = error.to_string();
    let location = number.and_then(|number| Some((number, locations.get(number - 1)?)));
    let Some((number, location)) = location else {
        return Failure::Usage(text);
    };
    let what = text
        .strip_prefix(&format!("rule {number} "))
        .unwrap_or(&text);
    Failure::Text {
        message: format!("{}: this rule {what}", location.name),
        marked: format!(
            "{}\n{}",
            one_line(&location.text),
            "^".repeat(one_line(&location.text).chars().count())
        ),
    }
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Reads a flow from the argument `source`.
pub fn flow(source: &str, text: &str) -> Result<Flow, Failure> {
    text.parse()
        .map_err(|error: ParseError| at_column(source, &error))
}

/// Reads an action from the argument or option `source`.
pub fn action(source: &str, text: &str) -> Result<Action, Failure> {
    text.parse()
        .map_err(|error: ParseError| at_column(source, &error))
}

/// Reads an action for undecided frames, or `next`, from the argument or option
/// `source`.
pub fn undecided(source: &str, text: &str) -> Result<Option<Action>, Failure> {
    if text.trim() == "next" {
        return Ok(None);
    }
    action(source, text).map(Some)
}

/// Reads the flows of a file, `[ACTION] FLOW` a line, with `#` comments.
pub fn flows_of_file(path: &Path, default: Action) -> Result<Vec<(Flow, Action)>, Failure> {
    let text = read(path, FLOWS_BYTES_MAX)?;
    let mut flows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default();
        if content.trim().is_empty() {
            continue;
        }
        let (action, rest, before) = split_action(content, default);
        let flow = rest.trim_end().parse().map_err(|error: ParseError| {
            let before = content[..before].chars().count();
            Failure::Text {
                message: format!(
                    "{}:{}:{}: {}",
                    Name(path),
                    index + 1,
                    before + error.column(),
                    error.message()
                ),
                marked: error.marked(),
            }
        })?;
        flows.push((flow, action));
    }
    if flows.is_empty() {
        return Err(Failure::Usage(format!("{} has no flows", Name(path))));
    }
    Ok(flows)
}

/// The text of a file, or of standard input for `-`, up to `most` bytes.
fn read(path: &Path, most: u64) -> Result<String, Failure> {
    let refuse = |reason: &dyn fmt::Display| {
        Err(Failure::Usage(format!(
            "cannot read {}: {reason}",
            Name(path)
        )))
    };
    let mut bytes = Vec::new();
    let result = if is_standard_input(path) {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    if let Err(error) = result {
        return refuse(&error);
    }
    if bytes.len() as u64 > most {
        return refuse(&format_args!("it is larger than {most} bytes"));
    }
    // Some editors begin UTF-8 files with a mark, which is no part of the text.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    if bytes.is_empty() {
        return refuse(&"it is empty");
    }
    match String::from_utf8(bytes) {
        Ok(text) => match stray_mark(path, &text) {
            Some(failure) => Err(failure),
            None => Ok(text),
        },
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            refuse(&format_args!("line {} is not UTF-8 text", line + 1))
        }
    }
}

/// Refuses a byte-order mark in the text, as between two files that were joined: it
/// is invisible, and would be taken for the beginning of a word.
fn stray_mark(path: &Path, text: &str) -> Option<Failure> {
    text.lines().enumerate().find_map(|(index, line)| {
        let content = line.split('#').next().unwrap_or_default();
        let column = content.chars().position(|c| c == '\u{feff}')? + 1;
        Some(Failure::Usage(format!(
            "{}:{}:{column}: there is a byte-order mark (U+FEFF) here: remove it",
            Name(path),
            index + 1
        )))
    })
}

fn at_column(source: &str, error: &ParseError) -> Failure {
    Failure::Text {
        message: format!("{source}: {error}"),
        marked: error.marked(),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What a file is called in messages.
struct Name<'a>(&'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_standard_input(self.0) {
            f.write_str("standard input")
        } else {
            self.0.display().fmt(f)
        }
    }
}

const MATCH: &str = "--match";

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Only the forwarder knows how many xsks a queue has; it checks again.
const XSKS_UNKNOWN: u8 = u8::MAX;

/// A million flows and more.
const FLOWS_BYTES_MAX: u64 = 128 << 20;

#[cfg(test)]
mod tests;
