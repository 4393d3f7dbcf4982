//! Rules: which frames go to an xsk, which to the kernel, which nowhere.
//!
//! A [`RuleSet`] is an ordered list; the first [`Rule`] whose [`Expression`]
//! holds decides, else the default does. Expressions combine [`Primitive`]s,
//! each of which asks one field of the frame.
//!
//! # Three answers
//!
//! A primitive is true, false, or undecided. It is **false** when the frame has
//! no such field: an ARP frame has no port, so `port 22` is false for it and
//! `not port 22` true, as in tcpdump. It is **undecided** when the frame has the
//! field but it cannot be read here: ports of an IP fragment after the first,
//! anything behind a truncated or malformed header, the protocol behind more
//! IPv6 extension headers than are walked. `not` leaves undecided as it is, `and`
//! and `or` give it up only where the other side decides alone. A rule whose
//! expression is undecided does not match, whatever its action, and the next
//! rule is asked.

mod clause;
mod compile;
mod display;
mod error;
mod exclusion;
mod expression;
mod flow;
mod names;
mod packet;
mod primitive;
mod reference;
mod rule;
#[cfg(test)]
pub(crate) mod samples;

pub(crate) use compile::{Compiled, action_code, compile};
pub use error::RulesError;
pub use expression::Expression;
pub use flow::Flow;
pub use primitive::{
    IcmpVersion, MacAddress, Ports, Prefix, Primitive, Side, TcpFlags, ValueError, VlanId, VlanTag,
};
pub use reference::{Decision, Truth};
pub use rule::{Action, Rule, RuleSet, XskIndex};
