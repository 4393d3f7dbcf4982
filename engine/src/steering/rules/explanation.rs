//! Why a frame is decided as it is: what [`RuleSet::explain`] returns.

use super::expression::Expression;
use super::fields::Fields;
use super::primitive::Primitive;
use super::reference::{DecidedBy, Decision, Truth};
use super::rule::RuleSet;
use super::unread::Unread;

/// What becomes of a frame, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// What becomes of it, and what decides.
    pub decision: Decision,
    /// The rules that could not be decided before something decided the frame.
    pub undecided: Vec<UndecidedRule>,
    /// What kept fields from being read, if some are undecided. Rules need not have
    /// asked for those.
    pub unread: Option<Unread>,
}

/// A rule that may or may not match: the frame does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndecidedRule {
    /// Its index.
    pub rule: usize,
    /// Its questions that have no answer.
    pub questions: Vec<Primitive>,
}

impl RuleSet {
    /// What these rules do with `frame`, which starts with its Ethernet header, and
    /// why.
    ///
    /// Makes no system call. Of a frame in several buffers, pass the first.
    #[must_use]
    pub fn explain(&self, frame: &[u8]) -> Explanation {
        let fields = Fields::of(frame);
        let decision = self.decide_fields(&fields);
        let before = match decision.by {
            DecidedBy::Rule(index) => index,
            DecidedBy::Undecided(index) => index + 1,
            DecidedBy::Default => self.rules.len(),
        };
        let undecided = self.rules[..before]
            .iter()
            .enumerate()
            .filter(|(_, asked)| asked.expression.may_hold(&fields))
            .map(|(rule, asked)| UndecidedRule {
                rule,
                questions: asked.expression.unanswered(&fields),
            });
        Explanation {
            decision,
            undecided: undecided.collect(),
            unread: fields.unread,
        }
    }
}

impl Expression {
    /// The questions that have no answer, each once.
    fn unanswered(&self, fields: &Fields) -> Vec<Primitive> {
        let mut unanswered = Vec::new();
        self.add_unanswered(fields, &mut unanswered);
        unanswered
    }

    fn add_unanswered(&self, fields: &Fields, unanswered: &mut Vec<Primitive>) {
        match self {
            Self::Primitive(primitive) => {
                if primitive.holds(fields) == Truth::Undecided && !unanswered.contains(primitive) {
                    unanswered.push(*primitive);
                }
            }
            Self::Not(inner) => inner.add_unanswered(fields, unanswered),
            Self::And(members) | Self::Or(members) => {
                for member in members {
                    member.add_unanswered(fields, unanswered);
                }
            }
        }
    }
}
