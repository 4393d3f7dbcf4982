//! How the command ends: one line on standard error and an exit code.
//!
//! 0 good; 2 for whatever can be judged without looking at the machine; 1 for
//! the rest.

use std::io::Write;
use std::process::ExitCode;

use thiserror::Error;

/// Why the command did not do what it was asked to.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// No machine could do it: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// This machine could not do it, or it went wrong: exit code 1.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    /// Says what happened in one line on standard error.
    pub fn report(&self) -> ExitCode {
        // With standard error closed there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "wharf: {}", one_line(&self.to_string()));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) => 2,
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
        // Usage errors were found before the engine was started; what it says
        // then, even of the configuration, it says of this machine.
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
    fn message_over_several_lines_becomes_one() {
        assert_eq!(one_line("first\n  second\t third\n"), "first second third");
    }
}
