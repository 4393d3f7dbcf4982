//! Rules, and the list they make.

use super::expression::Expression;
use crate::kernel::XskIndex;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It goes to this xsk of the queue it arrived on, or to the kernel's stack where
    /// the queue has no such xsk.
    Redirect(XskIndex),
    /// It goes to the kernel's stack.
    Pass,
    /// It is dropped, and counted.
    Drop,
}

impl Action {
    /// To the first xsk of the queue.
    pub const REDIRECT: Self = Self::Redirect(XskIndex(0));
}

/// An action for the frames that an expression holds for.
///
/// Made from text (`"drop udp port 53".parse()`), or in code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rule {
    /// What becomes of the frames.
    pub action: Action,
    /// Which frames.
    pub expression: Expression,
}

impl Rule {
    /// `action` for the frames that `expression` holds for.
    #[must_use]
    pub fn new(action: Action, expression: impl Into<Expression>) -> Self {
        Self {
            action,
            expression: expression.into(),
        }
    }
}

/// An ordered list of rules. The first rule that matches a frame decides; the
/// default decides where none matches.
///
/// Made from text with a rule a line, or in code; the text is described at
/// [`Expression`](Expression#the-language).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RuleSet {
    /// The rules, first the one that is asked first.
    pub rules: Vec<Rule>,
    /// What becomes of frames that no rule matches.
    pub default: Action,
    /// What becomes of a frame of which a rule is [undecided](Expression#three-answers)
    /// that would do something else with it than the rule (or the default) that
    /// decides, and comes before that. None, the default, asks the next rule.
    pub undecided: Option<Action>,
}

impl RuleSet {
    /// These rules, and `default` for frames that none of them matches.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>, default: Action) -> Self {
        Self {
            rules: rules.into_iter().collect(),
            default,
            undecided: None,
        }
    }

    /// The same with [`undecided`](Self::undecided).
    #[must_use]
    pub fn with_undecided(self, action: Action) -> Self {
        Self {
            undecided: Some(action),
            ..self
        }
    }

    /// Every frame goes to the first xsk of its queue.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            rules: Vec::new(),
            default: Action::REDIRECT,
            undecided: None,
        }
    }

    /// These rules; all other frames go to the kernel's stack.
    #[must_use]
    pub fn only(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::new(rules, Action::Pass)
    }
}

impl From<Expression> for Rule {
    /// Redirects what the expression holds for.
    fn from(expression: Expression) -> Self {
        Self {
            action: Action::REDIRECT,
            expression,
        }
    }
}
