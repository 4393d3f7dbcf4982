//! Text to rules. The words are gone through once, from left to right; what is
//! wrong is said at its word.

mod cursor;
mod elsewhere;
mod error;
mod expression;
mod from_str;
mod header;
mod length;
mod primitive;
mod qualified;
mod qualifiers;
mod reader;
mod rule;
mod suggest;
#[cfg(test)]
mod tests;
mod value;
mod words;

pub use self::error::ParseError;
pub(crate) use self::error::shown;
pub(crate) use self::suggest::suggestion;
