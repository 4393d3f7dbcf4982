//! A primitive as a clause asks it: true, or false.

use std::fmt;

use super::primitive::Primitive;

/// A primitive that must be true, or false; undecided is neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Literal {
    pub(crate) primitive: Primitive,
    /// False for `not`.
    pub(crate) positive: bool,
    /// Which of the expression's primitives it is, counted from 0 in the order of
    /// the text.
    pub(crate) leaf: usize,
}

impl Literal {
    /// Whether it is the same question with the same answer wanted.
    pub(super) fn asks_the_same(&self, other: &Self) -> bool {
        (self.primitive, self.positive) == (other.primitive, other.positive)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.positive { "" } else { "not " };
        write!(f, "{not}{}", self.primitive)
    }
}
