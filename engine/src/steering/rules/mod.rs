//! Rules: which frames go to an xsk, which to the kernel, which nowhere.
//!
//! A [`RuleSet`] is an ordered list; the first [`Rule`] whose [`Expression`]
//! holds decides, else the default does. Expressions combine [`Primitive`]s,
//! each of which asks one field of the frame.
//!
//! The language, its three answers and what a frame says are in `language.md`,
//! which is the documentation of [`Expression`]; here is what keeps them:
//!
//! - `parse` and `display`: text to values and back.
//! - `fields` and `reference`: the plain evaluation, which is the definition;
//!   `explanation` and `unread` say why it comes to its answer.
//! - `clause`: the same as alternatives of `literal`s, for the XDP program's tables;
//!   `exclusion` and `contradiction` say which of them no frame satisfies.
//! - `compile` and `table`: clauses to tables.

mod clause;
mod compile;
mod contradiction;
mod display;
mod error;
mod exclusion;
mod explanation;
mod expression;
mod fields;
mod flow;
mod literal;
mod names;
mod parse;
mod primitive;
mod reference;
mod rule;
#[cfg(test)]
pub(crate) mod samples;
mod table;
mod unread;

pub(crate) use compile::{Compiled, action_code, compile};
pub use error::{ActionPlace, RulesError};
pub use explanation::{Explanation, UndecidedRule};
pub use expression::Expression;
pub use flow::Flow;
pub use parse::ParseError;
pub(crate) use parse::{shown, suggestion};
pub use primitive::{
    IcmpVersion, MacAddress, Ports, Prefix, Primitive, Side, TcpFlags, ValueError, VlanId, VlanIds,
    VlanTag,
};
pub use reference::{DecidedBy, Decision, Truth};
pub use rule::{Action, Rule, RuleSet};
pub use unread::Unread;
