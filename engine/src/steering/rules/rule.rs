//! Rules, and the list they make.

use super::expression::Expression;
use crate::kernel::XskIndex;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It goes to an xsk of the queue it arrived on; where there is none, to the
    /// kernel.
    Redirect(XskIndex),
    /// It goes to the kernel's stack.
    Pass,
    /// It goes nowhere, and is counted.
    Drop,
}

impl Action {
    /// To the queue's xsk, the first where several share the queue.
    pub const REDIRECT: Self = Self::Redirect(XskIndex(0));
}

/// An action for the frames that an expression holds for.
///
/// Made from text (`"drop udp port 53".parse()`), or in code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What becomes of them.
    pub action: Action,
    /// Which they are.
    pub expression: Expression,
}

/// An ordered list of rules, of which the first that matches decides, with a
/// default for frames that none matches.
///
/// Made from text with a rule a line, or in code; the text is described at
/// [`Expression`](Expression#the-language).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleSet {
    /// The rules, in the order they are asked.
    pub rules: Vec<Rule>,
    /// What becomes of frames that no rule matches.
    pub default: Action,
}

impl RuleSet {
    /// Every frame goes to the xsk of its queue.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            rules: Vec::new(),
            default: Action::REDIRECT,
        }
    }

    /// The frames that these rules say; all others go to the kernel.
    #[must_use]
    pub fn only(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            rules: rules.into_iter().collect(),
            default: Action::Pass,
        }
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
