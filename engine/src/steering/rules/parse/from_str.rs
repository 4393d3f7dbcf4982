//! What can be made from text.

use std::str::FromStr;

use super::cursor::Cursor;
use super::error::ParseError;
use super::{expression, header, rule, value};
use crate::steering::rules::{Action, Expression, Flow, MacAddress, Prefix, Rule, RuleSet};

impl FromStr for Expression {
    type Err = ParseError;

    /// Reads what a [frame must be](Self#the-language).
    fn from_str(text: &str) -> Result<Self, ParseError> {
        expression::Parser::new(Cursor::new(text)).whole()
    }
}

impl FromStr for Rule {
    type Err = ParseError;

    /// Reads `[redirect|redirect:N|pass|drop] EXPRESSION`; without an action, it
    /// redirects.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        rule::rule(Cursor::new(text))
    }
}

impl FromStr for RuleSet {
    type Err = ParseError;

    /// Reads a rule a line. `#` starts a comment; `default ACTION` says what
    /// becomes of all other frames. Without that they go to the kernel, but are
    /// redirected if there is no rule either. `undecided ACTION` sets
    /// [`undecided`](RuleSet::undecided); `undecided next` is its default.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        rule::rule_set(text, None)
    }
}

impl RuleSet {
    /// The rules of `text`, to take the place of these. A default that the text does
    /// not name stays as it is.
    ///
    /// Use it for rules in force: parsed alone, a text without `default` lets the
    /// frames pass that no rule matches.
    ///
    /// ```
    /// let in_force = wharf::RuleSet::everything();
    ///
    /// let next = in_force.replaced_by("drop udp port 53")?;
    ///
    /// assert_eq!(next.default, in_force.default);
    /// # Ok::<(), wharf::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where.
    pub fn replaced_by(&self, text: &str) -> Result<Self, ParseError> {
        rule::rule_set(text, Some(self))
    }
}

impl FromStr for Action {
    type Err = ParseError;

    /// Reads `redirect`, `redirect:N`, `pass` or `drop`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        rule::only_action(Cursor::new(text))
    }
}

impl FromStr for Flow {
    type Err = ParseError;

    /// Reads `tcp 10.0.0.1:1234 > 10.0.0.2:80`, with `[fd00::1]:80` for IPv6.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        let words = header::FlowWords::take(&mut cursor)?;
        cursor.finish("the end")?;
        Ok(words.flow)
    }
}

impl FromStr for Prefix {
    type Err = ParseError;

    /// Reads `10.0.0.0/8`, or an address, which stands for itself alone.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        single(text, "a prefix such as 10.0.0.0/8", value::prefix)
    }
}

impl FromStr for MacAddress {
    type Err = ParseError;

    /// Reads `02:00:00:00:00:01`, or with `-` between the bytes.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        single(text, "a MAC address such as 02:00:00:00:00:01", value::mac)
    }
}

/// A value that is one word.
fn single<T>(
    text: &str,
    expected: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ParseError> {
    let mut cursor = Cursor::new(text);
    let token = cursor.expect(expected)?;
    let value = read(token.word).map_err(|message| cursor.error(token, message))?;
    cursor.finish("the end")?;
    Ok(value)
}
