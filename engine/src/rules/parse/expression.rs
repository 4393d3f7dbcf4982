//! Expressions: `and`, `or`, `not`, parentheses.

use super::cursor::{Cursor, Token};
use super::error::{ParseError, shown};
use super::primitive::WORDS;
use super::qualified::Qualifiers;
use super::suggest::suggestion;
use crate::rules::Expression;
use crate::rules::clause::{Unexpanded, alternatives};

/// Makes a tree, going through the words once from left to right.
pub(super) struct Parser<'a> {
    pub(super) cursor: Cursor<'a>,
    /// The word that each primitive of the tree came from, in the tree's order.
    pub(super) leaves: Vec<Token<'a>>,
    /// What a bare value after `and` or `or` takes over from the primitive before.
    pub(super) qualifiers: Option<Qualifiers>,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self {
            cursor,
            leaves: Vec::new(),
            qualifiers: None,
            depth: 0,
        }
    }

    /// All that is left is one expression, which some frame can match.
    pub(super) fn whole(mut self) -> Result<Expression, ParseError> {
        if self.cursor.peek(0).is_none() {
            return Err(self.cursor.at_end(PRIMITIVE));
        }
        let expression = self.expression()?;
        if let Some(stray) = self.cursor.next_if(&[")"]) {
            return Err(self
                .cursor
                .error(stray, "`)` closes nothing: remove it, or open with `(`"));
        }
        if self.cursor.next_is(&["|", "&"]) {
            let sign = self.cursor.expect("a sign")?;
            let twice = sign.word.repeat(2);
            return Err(self.cursor.error(
                sign,
                format!(
                    "expected `{twice}`, or parentheses around flags as in `(tcp-syn|tcp-ack)`"
                ),
            ));
        }
        if let Some(token) = self.cursor.peek(0) {
            let expected = "`and`, `or` or the end";
            let is_known = WORDS.contains(&token.word);
            let near = suggestion(token.word, WORDS.iter().copied()).filter(|_| !is_known);
            let mut message = format!("expected {expected}, not `{}`", shown(token.word));
            if let Some(near) = near {
                message += &format!(": did you mean `{near}`?");
            }
            return Err(self.cursor.error(token, message));
        }
        match alternatives(&expression, MOST_CLAUSES) {
            Err(Unexpanded::NeverHolds(Some(contradiction))) => Err(self.cursor.error(
                self.leaves[contradiction.second.leaf],
                contradiction.to_string(),
            )),
            // Too large an expression to look at here is refused where it is used.
            _ => Ok(expression),
        }
    }

    /// `and` and `or` bind alike, the left one first.
    fn expression(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.member()?;
        loop {
            if self.cursor.next_if(&["and", "&&"]).is_some() {
                left = left.and(self.member()?);
            } else if self.cursor.next_if(&["or", "||"]).is_some() {
                left = left.or(self.member()?);
            } else {
                return Ok(left);
            }
        }
    }

    /// What `not` binds to.
    pub(super) fn member(&mut self) -> Result<Expression, ParseError> {
        let token = self.cursor.expect(PRIMITIVE)?;
        match token.word {
            "not" | "!" => {
                self.enter(token)?;
                let inner = self.member()?;
                self.depth -= 1;
                Ok(!inner)
            }
            "(" => {
                self.enter(token)?;
                let inner = self.expression()?;
                self.depth -= 1;
                match self.cursor.next() {
                    Some(close) if close.word == ")" => Ok(inner),
                    Some(other) => Err(self.cursor.not_expected(other, "`and`, `or` or `)`")),
                    None => Err(self.cursor.error(token, "`(` is not closed: add `)`")),
                }
            }
            _ => self.primitive(token),
        }
    }

    /// Recursion is bounded, here and for all who walk the tree.
    fn enter(&mut self, token: Token<'_>) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.cursor.error(
                token,
                format!(
                    "more than {MOST_DEPTH} levels of `(` and `not`: give a flatter expression"
                ),
            ));
        }
        Ok(())
    }
}

pub(super) const PRIMITIVE: &str = "what to match, such as `udp dst port 53` or `host 10.0.0.1`";

const MOST_DEPTH: usize = 100;

/// Clauses up to which contradictions are looked for while parsing.
const MOST_CLAUSES: usize = 4096;
