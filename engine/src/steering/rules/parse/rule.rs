//! Actions, rules, and the text of a rule set.

use super::cursor::{Cursor, Token};
use super::error::{ParseError, shown};
use super::expression::Parser;
use super::suggest::suggestion;
use super::value;
use super::words::WORDS;
use crate::steering::rules::{Action, Rule, RuleSet};

/// `[ACTION] EXPRESSION`.
pub(super) fn rule(mut cursor: Cursor<'_>) -> Result<Rule, ParseError> {
    let named = match cursor.peek(0) {
        Some(token) => action(&cursor, token)?,
        None => None,
    };
    if named.is_some() {
        cursor.next();
    } else if let (Some(first), Some(second)) = (cursor.peek(0), cursor.peek(1)) {
        // `drp udp`: a misspelt action, as an expression can start behind it.
        let near = suggestion(first.word, ACTIONS);
        if near.is_some() && !WORDS.contains(&first.word) && WORDS.contains(&second.word) {
            return Err(unknown_action(&cursor, first, near));
        }
    }
    Ok(Rule {
        action: named.unwrap_or(Action::REDIRECT),
        expression: Parser::new(cursor).whole()?,
    })
}

/// An action and nothing behind it.
pub(super) fn only_action(mut cursor: Cursor<'_>) -> Result<Action, ParseError> {
    let token = cursor.expect(ACTION)?;
    let Some(action) = action(&cursor, token)? else {
        return Err(unknown_action(
            &cursor,
            token,
            suggestion(token.word, ACTIONS),
        ));
    };
    cursor.finish("the end")?;
    Ok(action)
}

/// A rule a line, `#` and what follows it left out, and one `default ACTION` and one
/// `undecided ACTION`. Without these, they are as in the rules `in_force`, if there are
/// any.
pub(super) fn rule_set(text: &str, in_force: Option<&RuleSet>) -> Result<RuleSet, ParseError> {
    let mut rules = Vec::new();
    let mut default = Line(None);
    let mut undecided = Line(None);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let rule_text = line.split('#').next().unwrap_or_default();
        let mut cursor = Cursor::new(rule_text);
        if cursor.peek(0).is_none() {
            continue;
        }
        let read = match cursor.next_if(&["default", "undecided"]) {
            Some(word) if word.word == "default" => default.read(word, cursor, number, only_action),
            Some(word) => undecided.read(word, cursor, number, undecided_action),
            None => rule(cursor).map(|rule| rules.push(rule)),
        };
        read.map_err(|error| error.in_line(number))?;
    }
    let default = match (default.0, in_force) {
        (Some((action, _)), _) => action,
        (None, Some(in_force)) => in_force.default,
        (None, None) if rules.is_empty() => Action::REDIRECT,
        (None, None) => Action::Pass,
    };
    let undecided = match undecided.0 {
        Some((action, _)) => action,
        None => in_force.and_then(|in_force| in_force.undecided),
    };
    Ok(RuleSet {
        rules,
        default,
        undecided,
    })
}

/// What a line that there is once says, and its number.
struct Line<T>(Option<(T, usize)>);

impl<T> Line<T> {
    fn read<'a>(
        &mut self,
        word: Token<'_>,
        cursor: Cursor<'a>,
        number: usize,
        value: impl FnOnce(Cursor<'a>) -> Result<T, ParseError>,
    ) -> Result<(), ParseError> {
        if let Some((_, first)) = self.0 {
            let word_shown = word.word;
            let message = format!("`{word_shown}` is given twice: line {first} has it already");
            return Err(cursor.error(word, message));
        }
        self.0 = Some((value(cursor)?, number));
        Ok(())
    }
}

/// An action, or `next`, and nothing behind it.
fn undecided_action(mut cursor: Cursor<'_>) -> Result<Option<Action>, ParseError> {
    if cursor.next_if(&["next"]).is_none() {
        return only_action(cursor).map(Some);
    }
    cursor.finish("the end")?;
    Ok(None)
}

/// The action that the word is, if it is one.
fn action(cursor: &Cursor<'_>, token: Token<'_>) -> Result<Option<Action>, ParseError> {
    Ok(match token.word {
        "redirect" => Some(Action::REDIRECT),
        "pass" => Some(Action::Pass),
        "drop" => Some(Action::Drop),
        word => match word.strip_prefix("redirect:") {
            Some(index) => {
                let index =
                    value::xsk_index(index).map_err(|message| cursor.error(token, message))?;
                Some(Action::Redirect(index))
            }
            None => None,
        },
    })
}

fn unknown_action(cursor: &Cursor<'_>, token: Token<'_>, near: Option<&str>) -> ParseError {
    let word = shown(token.word);
    let message = match near {
        Some(near) => format!("unknown action `{word}`: did you mean `{near}`?"),
        None => format!("unknown action `{word}`: expected {ACTION}"),
    };
    cursor.error(token, message)
}

const ACTIONS: [&str; 3] = ["redirect", "pass", "drop"];

const ACTION: &str = "`redirect`, `redirect:N`, `pass` or `drop`";
