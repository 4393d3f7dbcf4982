//! How the command ends: one line on standard error and an exit code.
//!
//! 0 for success; 2 for what is wrong on any machine; 1 for the rest.

use std::io::{self, Write};
use std::process::ExitCode;

use thiserror::Error;

use crate::printable::{printable, printable_mark};

/// Why the command failed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// The command line is wrong on any machine: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A rule, flow or action of the user is wrong: exit code 2.
    #[error("{message}")]
    Text {
        message: String,
        /// The text, and under it a mark where it is wrong.
        marked: String,
    },
    /// It failed on this machine: exit code 1.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    /// Writes one line to standard error; below it, indented, the text that is wrong,
    /// if there is one.
    pub fn report(&self) -> ExitCode {
        // Standard error may be closed.
        let _ = io::stderr().write_all(self.words().as_bytes());
        ExitCode::from(self.code())
    }

    fn words(&self) -> String {
        let mut words = format!("wharf: {}\n", printable(&one_line(&self.to_string())));
        let marked = match self {
            Self::Text { marked, .. } => marked.as_str(),
            Self::Usage(_) | Self::Run(_) => "",
        };
        // An empty text has nothing to show.
        let is_text = marked
            .lines()
            .next()
            .is_some_and(|text| !text.trim().is_empty());
        let (text, mark) = marked.split_once('\n').unwrap_or((marked, ""));
        let mark = printable_mark(text, mark);
        for line in [&*printable(text), &mark] {
            if is_text && !line.is_empty() {
                words.push_str("  ");
                words.push_str(line);
                words.push('\n');
            }
        }
        words
    }

    fn code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) | Self::Text { .. } => 2,
        }
    }
}

impl From<wharf::ConfigError> for Failure {
    fn from(error: wharf::ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<wharf::Error> for Failure {
    fn from(error: wharf::Error) -> Self {
        // Usage errors were found before the engine was started. An error after that,
        // even one of the configuration, is about this machine.
        Self::Run(error.to_string())
    }
}

/// `text` without line breaks and runs of blanks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_can_do_exits_with_2_and_the_rest_with_1() {
        let usage = Failure::from(wharf::ConfigError::NoInterface);
        let started = Failure::from(wharf::Error::Config(wharf::ConfigError::NoInterface));
        let run = Failure::Run("no such interface".into());

        assert_eq!(usage.code(), 2);
        assert_eq!(started.code(), 1);
        assert_eq!(run.code(), 1);
    }

    #[test]
    fn text_that_is_wrong_comes_below_the_message_with_its_mark() {
        let failure = Failure::Text {
            message: "--match: column 5: unknown\nword".into(),
            marked: "tcp prot\n    ^^^^".into(),
        };

        assert_eq!(failure.code(), 2);
        assert_eq!(
            failure.words(),
            "wharf: --match: column 5: unknown word\n  tcp prot\n      ^^^^\n"
        );
        let nothing = Failure::Text {
            message: "there is no text".into(),
            marked: "\n^".into(),
        };
        assert_eq!(nothing.words(), "wharf: there is no text\n");
    }

    #[test]
    fn message_over_several_lines_becomes_one() {
        assert_eq!(one_line("first\n  second\t third\n"), "first second third");
    }
}
