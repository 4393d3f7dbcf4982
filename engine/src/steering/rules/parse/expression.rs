//! Expressions: `and`, `or`, `not`, parentheses.

use super::cursor::{Cursor, Token};
use super::elsewhere::instead_of;
use super::error::{ParseError, shown};
use super::reader::Reader;
use super::suggest::suggestion;
use super::words::{PRIMITIVE, WORDS};
use crate::steering::rules::Expression;
use crate::steering::rules::clause::{Unexpanded, alternatives};

/// Makes a tree of what a [`Reader`] reads.
pub(super) struct Parser<'a> {
    reader: Reader<'a>,
    /// Parentheses and `not`s that are open.
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self {
            reader: Reader::new(cursor),
            depth: 0,
        }
    }

    /// All that is left is one expression, which some frame can match.
    pub(super) fn whole(mut self) -> Result<Expression, ParseError> {
        if self.reader.cursor.peek(0).is_none() {
            return Err(self.reader.cursor.at_end(PRIMITIVE));
        }
        let expression = self.expression()?;
        if let Some(stray) = self.reader.cursor.next_if(&[")"]) {
            return Err(self
                .reader
                .cursor
                .error(stray, "`)` closes nothing: remove it, or open with `(`"));
        }
        if self.reader.cursor.next_is(&["|", "&"]) {
            let sign = self.reader.cursor.expect("a sign")?;
            let twice = sign.word.repeat(2);
            return Err(self.reader.cursor.error(
                sign,
                format!(
                    "expected `{twice}`, or parentheses around flags as in `(tcp-syn|tcp-ack)`"
                ),
            ));
        }
        if let Some(token) = self.reader.cursor.peek(0) {
            let expected = "`and`, `or` or the end";
            let is_known = WORDS.contains(&token.word);
            let near = suggestion(token.word, WORDS.iter().copied()).filter(|_| !is_known);
            let mut message = format!("expected {expected}, not `{}`", shown(token.word));
            if let Some(remedy) = instead_of(token.word) {
                message = format!(
                    "`{}` is no word of this language: {remedy}",
                    shown(token.word)
                );
            } else if let Some(near) = near {
                message += &format!(": did you mean `{near}`?");
            }
            return Err(self.reader.cursor.error(token, message));
        }
        match alternatives(&expression, MOST_CLAUSES) {
            Err(Unexpanded::NeverHolds(Some(contradiction))) => Err(self.reader.cursor.error(
                self.reader.leaves[contradiction.second.leaf],
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
            if let Some(and) = self.reader.cursor.next_if(&["and", "&&"]) {
                if matches!(left, Expression::Or(_)) {
                    self.check_levels(and, &left)?;
                }
                left = left.and(self.operand(and)?);
            } else if let Some(or) = self.reader.cursor.next_if(&["or", "||"]) {
                if matches!(left, Expression::And(_)) {
                    self.check_levels(or, &left)?;
                }
                left = left.or(self.operand(or)?);
            } else {
                return Ok(left);
            }
        }
    }

    /// What is behind `word`.
    fn operand(&mut self, word: Token<'_>) -> Result<Expression, ParseError> {
        let operand = self.member()?;
        self.check_levels(word, &operand)?;
        Ok(operand)
    }

    /// What `not` binds to.
    fn member(&mut self) -> Result<Expression, ParseError> {
        let token = self.reader.cursor.expect(PRIMITIVE)?;
        match token.word {
            "not" | "!" => {
                self.enter(token)?;
                let inner = self.operand(token)?;
                self.depth -= 1;
                Ok(!inner)
            }
            "(" => {
                self.enter(token)?;
                let inner = self.expression()?;
                self.depth -= 1;
                match self.reader.cursor.next() {
                    Some(close) if close.word == ")" => Ok(inner),
                    Some(other) => {
                        Err(self.reader.cursor.not_expected(other, "`and`, `or` or `)`"))
                    }
                    None => Err(self
                        .reader
                        .cursor
                        .error(token, "`(` is not closed: add `)`")),
                }
            }
            _ => match self.reader.primitive(token)? {
                Some(primitive) => Ok(primitive),
                // `port (22 or 80)`: the parenthesis follows.
                None => self.member(),
            },
        }
    }

    /// Recursion is bounded here.
    fn enter(&mut self, token: Token<'_>) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.too_deep(token, "`(` and `not`"));
        }
        Ok(())
    }

    /// Recursion is bounded for all who walk the tree, of which `part` becomes a
    /// member: `and` and `or` by turns make it deep without a parenthesis.
    fn check_levels(&self, token: Token<'_>, part: &Expression) -> Result<(), ParseError> {
        if levels(part) > MOST_DEPTH {
            return Err(self.too_deep(token, "`and`, `or` and `not`"));
        }
        Ok(())
    }

    fn too_deep(&self, token: Token<'_>, levels_of: &str) -> ParseError {
        let text =
            format!("more than {MOST_DEPTH} levels of {levels_of}: use a flatter expression");
        self.reader.cursor.error(token, text)
    }
}

/// How deep primitives lie in a tree.
fn levels(expression: &Expression) -> usize {
    match expression {
        Expression::Primitive(_) => 0,
        Expression::Not(inner) => 1 + levels(inner),
        Expression::And(members) | Expression::Or(members) => {
            1 + members.iter().map(levels).max().unwrap_or(0)
        }
    }
}

const MOST_DEPTH: usize = 100;

/// Clauses up to which contradictions are looked for while parsing.
const MOST_CLAUSES: usize = 4096;
