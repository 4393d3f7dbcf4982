//! What is wrong with a text, and at which word.

use std::error::Error;
use std::fmt;

/// A text that is no rule, expression, flow, address or impairment. Its message is one line
/// with the column, and what was expected there; [`marked`](Self::marked) shows the
/// word in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    message: String,
    /// The text, or its line where it has several.
    text: String,
    line: Option<usize>,
    /// The word in `text`, in bytes; empty at its end where a word is missing.
    start: usize,
    length: usize,
}

impl ParseError {
    pub(crate) fn new(text: &str, start: usize, length: usize, message: String) -> Self {
        Self {
            message,
            text: text.to_owned(),
            line: None,
            start,
            length,
        }
    }

    pub(super) fn in_line(self, line: usize) -> Self {
        Self {
            line: Some(line),
            ..self
        }
    }

    /// The line of a [`RuleSet`](crate::RuleSet)'s text, counted from 1. None when
    /// the text was a single thing.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The character of the line at which the word starts, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.text[..self.start].chars().count() + 1
    }

    /// What is wrong, without line and column.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The word that is wrong. Empty when one is missing at the end.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.text[self.start..self.start + self.length]
    }

    /// Two lines: the text and a mark under the word. Of a long text, the part
    /// around the word.
    #[must_use]
    pub fn marked(&self) -> String {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let before: Vec<char> = self.text[..self.start].chars().map(printable).collect();
        let skipped = before.len().saturating_sub(MARKED_BEFORE);
        let dots = if skipped > 0 { "..." } else { "" };
        let mut shown: String = dots.to_owned();
        shown.extend(&before[skipped..]);
        let indent = " ".repeat(shown.chars().count());
        let after = self.text[self.start..].chars().map(printable);
        shown.extend(after.clone().take(MARKED_AFTER));
        if after.count() > MARKED_AFTER {
            shown.push_str("...");
        }
        let word = self.word().chars().count().clamp(1, MARKED_AFTER);
        format!("{}\n{indent}{}", shown.trim_end(), "^".repeat(word))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {}: {}", self.column(), self.message)
    }
}

impl Error for ParseError {}

/// `word` as it goes into a message: short, and in one line.
pub(crate) fn shown(word: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let mut shown: String = word.chars().take(LONGEST_WORD).map(printable).collect();
    if word.chars().nth(LONGEST_WORD).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Characters of the text that [`ParseError::marked`] shows before the word, and
/// from it on: together they fit a terminal.
const MARKED_BEFORE: usize = 40;
const MARKED_AFTER: usize = 36;

const LONGEST_WORD: usize = 40;
