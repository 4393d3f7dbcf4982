//! Expressions as alternatives: a rule holds when all literals of one of its
//! clauses do. This is what the XDP program can look up in tables.
//!
//! The laws used (De Morgan's, distribution, a double `not`) hold for three
//! answers as they do for two, so a clause is true exactly when the reference says
//! that its part of the expression is.

#[cfg(test)]
mod tests;

use super::contradiction::Contradiction;
use super::error::RulesError;
use super::exclusion::{exclude, is_impossible};
use super::expression::Expression;
use super::literal::Literal;
use super::primitive::Primitive;
use super::rule::RuleSet;

/// Literals that must all hold for a rule's action.
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    /// The index of the rule.
    pub(crate) rule: usize,
    /// None of them twice, and no two that exclude each other.
    pub(crate) literals: Vec<Literal>,
}

/// The clauses of all rules, in their order.
///
/// # Errors
///
/// When a rule can never match, and when there would be more than `limit`
/// clauses; that is noticed before they take memory.
pub(crate) fn clauses(rules: &RuleSet, limit: usize) -> Result<Vec<Clause>, RulesError> {
    let mut clauses = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        let before = clauses.len();
        let number = index + 1;
        let alternatives = match alternatives(&rule.expression, limit - before) {
            Ok(alternatives) => alternatives,
            Err(Unexpanded::NeverHolds(reason)) => {
                return Err(RulesError::NeverMatches {
                    rule: number,
                    reason: reason.map_or("it is empty".into(), |reason| reason.to_string()),
                });
            }
            Err(Unexpanded::TooMany) => {
                return Err(RulesError::TooManyClauses {
                    rule: number,
                    clauses: count(&rule.expression, true),
                    before,
                    limit,
                });
            }
        };
        clauses.extend(alternatives.into_iter().map(|literals| Clause {
            rule: index,
            literals,
        }));
    }
    Ok(clauses)
}

/// Why an expression has no clauses.
#[derive(Debug)]
pub(super) enum Unexpanded {
    /// All of them contradict themselves, the first as said here. None for an
    /// `Or` of nothing.
    NeverHolds(Option<Contradiction>),
    /// There are more than the limit, or they are too long.
    TooMany,
}

/// The clauses of one expression, at most `limit`.
pub(super) fn alternatives(
    expression: &Expression,
    limit: usize,
) -> Result<Vec<Vec<Literal>>, Unexpanded> {
    alternatives_of(expression, limit, &|_| true)
}

/// The same, without the alternatives that have a literal which `is_kept` refuses.
pub(super) fn alternatives_of(
    expression: &Expression,
    limit: usize,
    is_kept: &dyn Fn(&Literal) -> bool,
) -> Result<Vec<Vec<Literal>>, Unexpanded> {
    let mut expansion = Expansion {
        is_kept,
        limit,
        work: 0,
        leaves: 0,
        contradiction: None,
    };
    let alternatives = expansion.expand(expression, true)?;
    expansion.check(alternatives.len())?;
    if alternatives.is_empty() {
        return Err(Unexpanded::NeverHolds(expansion.contradiction));
    }
    Ok(alternatives)
}

struct Expansion<'a> {
    is_kept: &'a dyn Fn(&Literal) -> bool,
    limit: usize,
    /// Comparisons of literals so far.
    work: usize,
    /// Primitives seen so far.
    leaves: usize,
    /// The one that the text comes to first.
    contradiction: Option<Contradiction>,
}

impl Expansion<'_> {
    /// The clauses of `expression`, or of its negation.
    fn expand(
        &mut self,
        expression: &Expression,
        positive: bool,
    ) -> Result<Vec<Vec<Literal>>, Unexpanded> {
        match (expression, positive) {
            (Expression::Primitive(primitive), _) => Ok(self.literal(*primitive, positive)),
            (Expression::Not(inner), _) => self.expand(inner, !positive),
            (Expression::And(members), true) | (Expression::Or(members), false) => {
                // Of nothing, `and` holds: one clause that asks for nothing.
                let mut all = vec![Vec::new()];
                for member in members {
                    let alternatives = self.expand(member, positive)?;
                    all = self.product(&all, &alternatives)?;
                }
                Ok(all)
            }
            (Expression::Or(members), true) | (Expression::And(members), false) => {
                let mut any = Vec::new();
                for member in members {
                    any.extend(self.expand(member, positive)?);
                    self.check(any.len())?;
                }
                Ok(any)
            }
        }
    }

    fn literal(&mut self, primitive: Primitive, positive: bool) -> Vec<Vec<Literal>> {
        let literal = Literal {
            primitive,
            positive,
            leaf: self.leaves,
        };
        self.leaves += 1;
        if is_impossible(literal) {
            self.note(literal, literal);
            return Vec::new();
        }
        if !(self.is_kept)(&literal) {
            return Vec::new();
        }
        vec![vec![literal]]
    }

    fn product(
        &mut self,
        ones: &[Vec<Literal>],
        others: &[Vec<Literal>],
    ) -> Result<Vec<Vec<Literal>>, Unexpanded> {
        let mut product = Vec::new();
        for one in ones {
            for other in others {
                product.extend(self.both(one, other)?);
                self.check(product.len())?;
            }
        }
        Ok(product)
    }

    /// The clause of both, unless it contradicts itself.
    fn both(
        &mut self,
        one: &[Literal],
        other: &[Literal],
    ) -> Result<Option<Vec<Literal>>, Unexpanded> {
        self.work += (one.len() + 1) * other.len();
        self.check(0)?;
        let mut both = one.to_vec();
        for &second in other {
            if let Some(&first) = one.iter().find(|first| exclude(**first, second)) {
                self.note(first, second);
                return Ok(None);
            }
            if !one.iter().any(|first| first.asks_the_same(&second)) {
                both.push(second);
            }
        }
        Ok(Some(both))
    }

    fn check(&self, clauses: usize) -> Result<(), Unexpanded> {
        if clauses > self.limit || self.work > MOST_WORK {
            return Err(Unexpanded::TooMany);
        }
        Ok(())
    }

    fn note(&mut self, first: Literal, second: Literal) {
        if self
            .contradiction
            .is_none_or(|noted| second.leaf < noted.second.leaf)
        {
            self.contradiction = Some(Contradiction { first, second });
        }
    }
}

/// How many clauses there would be, if none contradicted itself.
fn count(expression: &Expression, positive: bool) -> u64 {
    match (expression, positive) {
        (Expression::Primitive(_), _) => 1,
        (Expression::Not(inner), _) => count(inner, !positive),
        (Expression::And(members), true) | (Expression::Or(members), false) => members
            .iter()
            .map(|member| count(member, positive))
            .fold(1, u64::saturating_mul),
        (Expression::Or(members), true) | (Expression::And(members), false) => members
            .iter()
            .map(|member| count(member, positive))
            .fold(0, u64::saturating_add),
    }
}

/// Comparisons after which an expression is too large, however few its clauses:
/// one `and` of some 4000 different primitives.
const MOST_WORK: usize = 10_000_000;
