//! Why rules that can be written down cannot be used.

use std::fmt;

use thiserror::Error;

/// Rules that cannot be used. Its message is one line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RulesError {
    /// A rule that no frame can match.
    #[error("rule {rule} never matches: {reason}")]
    NeverMatches {
        /// Which, counted from 1.
        rule: usize,
        /// What no frame can be.
        reason: String,
    },
    /// More combinations than there is room for.
    #[error(
        "rule {rule} makes up to {clauses} combinations of its alternatives, after {before} of the rules before it, \
         but there is room for {limit} in all: make prefixes or port ranges of its lists, or use flows"
    )]
    TooManyClauses {
        /// The rule at which there is no more room, counted from 1.
        rule: usize,
        /// How many it makes, if none of them contradicts itself.
        clauses: u64,
        /// How many the rules before it made.
        before: usize,
        /// How many there can be.
        limit: usize,
    },
    /// An action names an xsk that no queue has.
    #[error(
        "{place} redirects to xsk {xsk}, but a queue has {xsks}, counted from 0: name one of those"
    )]
    NoSuchXsk {
        /// Whose action it is.
        place: ActionPlace,
        /// The xsk that it names.
        xsk: u8,
        /// How many there are.
        xsks: u8,
    },
    /// The rules distinguish more groups of values of a field than there is room
    /// for.
    #[error(
        "the rules tell apart more than {limit} groups of values of {field}: \
         merge ranges, or use flows"
    )]
    TooManyValues {
        /// The field.
        field: &'static str,
        /// How many groups there can be.
        limit: usize,
    },
}

/// Whose action is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionPlace {
    /// A rule's, counted from 1.
    Rule(usize),
    /// The default's.
    Default,
    /// That of [`RuleSet::undecided`](crate::RuleSet::undecided).
    Undecided,
}

impl fmt::Display for ActionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(number) => write!(f, "rule {number}"),
            Self::Default => f.write_str("the default"),
            Self::Undecided => f.write_str("`undecided`"),
        }
    }
}
