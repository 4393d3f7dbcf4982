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
    /// Makes no system call. Of a frame in several buffers, or one of which a capture
    /// kept the beginning, see [`explain_first`](Self::explain_first).
    #[must_use]
    pub fn explain(&self, frame: &[u8]) -> Explanation {
        self.explain_first(frame, frame.len())
    }

    /// The same of a frame of `frame_bytes` bytes, of which `first` are the first: what
    /// is behind them counts as cut off.
    #[must_use]
    pub fn explain_first(&self, first: &[u8], frame_bytes: usize) -> Explanation {
        let fields = Fields::of_first(first, frame_bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_frames_and_what_is_missing_of_it_is_undecided() {
        let rules: RuleSet = "drop tcp port 80\npass greater 1000\ndefault drop"
            .parse()
            .expect("good rules");
        let mut first = vec![0; 34];
        first[12..].copy_from_slice(&[
            8, 0, 0x45, 0, 5, 0xdc, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);

        let explanation = rules.explain_first(&first, 1514);
        let short = rules.explain(&first);

        assert_eq!(explanation.decision.by, DecidedBy::Rule(1));
        assert_eq!(explanation.undecided[0].rule, 0);
        assert_eq!(explanation.undecided[0].questions.len(), 2);
        assert_eq!(explanation.unread, Some(Unread::UpperHeader));
        assert_eq!(short.decision.by, DecidedBy::Default);
    }
}
