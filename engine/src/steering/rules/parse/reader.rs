//! What has been read of an expression, and what is left to read.
//!
//! Primitives add to it in files of their own. None of them reads an expression in
//! turn, so recursion is in `expression` alone.

use super::cursor::{Cursor, Token};
use super::error::ParseError;
use super::qualifiers::Qualifiers;
use crate::steering::rules::{Expression, Primitive};

/// Goes through the words once, from left to right.
pub(super) struct Reader<'a> {
    pub(super) cursor: Cursor<'a>,
    /// The word that each primitive of the tree came from, in the tree's order.
    pub(super) leaves: Vec<Token<'a>>,
    /// What a bare value after `and` or `or` takes over from the primitive before.
    pub(super) qualifiers: Option<Qualifiers>,
    /// Whether the primitive before is of a VLAN id, which no bare value takes over.
    pub(super) after_vlan: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self {
            cursor,
            leaves: Vec::new(),
            qualifiers: None,
            after_vlan: false,
        }
    }

    /// A primitive that came from `token`.
    pub(super) fn leaf(&mut self, token: Token<'a>, primitive: Primitive) -> Expression {
        self.leaves.push(token);
        primitive.into()
    }

    /// The value of a word, or its message at the word.
    pub(super) fn valid<T>(
        &self,
        token: Token<'_>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ParseError> {
        read(token.word).map_err(|message| self.cursor.error(token, message))
    }
}
