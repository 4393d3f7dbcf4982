//! One check: its topic, the finding, how good that is, and the remedy.

use serde::Serialize;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, in a word or two.
    pub topic: &'static str,
    pub state: State,
    /// What was found.
    pub finding: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
}

/// How good it is, for forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// It could not be found out.
    Unknown,
    /// It works, but not as well as it could.
    Poor,
    /// It does not work.
    Bad,
}

impl State {
    /// The word in the first column.
    pub fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "?",
            Self::Poor => "poor",
            Self::Bad => "BAD",
        }
    }
}

impl Check {
    pub fn good(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(topic, State::Good, finding, None)
    }

    pub fn unknown(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(topic, State::Unknown, finding, None)
    }

    pub fn poor(
        topic: &'static str,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(topic, State::Poor, finding, Some(remedy.into()))
    }

    pub fn bad(topic: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(topic, State::Bad, finding, Some(remedy.into()))
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let Self { topic, finding, .. } = self;
        match &self.remedy {
            Some(remedy) => format!("{topic}: {finding}: {remedy}"),
            None => format!("{topic}: {finding}"),
        }
    }

    fn new(
        topic: &'static str,
        state: State,
        finding: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self {
            topic,
            state,
            finding: finding.into(),
            remedy,
        }
    }
}

/// The worst of them.
pub fn worst<'a>(checks: impl IntoIterator<Item = &'a Check>) -> State {
    let states = checks.into_iter().map(|check| check.state);
    states.max().unwrap_or(State::Good)
}
