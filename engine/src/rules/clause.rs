//! Expressions as alternatives: a rule holds when all literals of one of its
//! clauses do. This is what the XDP program can look up in tables.
//!
//! The laws used (De Morgan's, distribution, a double `not`) hold for three
//! answers as they do for two, so a clause is true exactly when the reference says
//! that its part of the expression is.

use super::error::RulesError;
use super::exclusion::{exclude, is_impossible};
use super::expression::Expression;
use super::primitive::Primitive;
use super::rule::RuleSet;

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
    fn asks_the_same(&self, other: &Self) -> bool {
        (self.primitive, self.positive) == (other.primitive, other.positive)
    }
}

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
    /// All of them contradict themselves, the first as given here. None for an
    /// `Or` of nothing.
    NeverHolds(Option<Contradiction>),
    /// There are more than the limit, or they are too long.
    TooMany,
}

/// Two literals of one clause that exclude each other; or the same literal twice,
/// which is impossible by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contradiction {
    pub(super) first: Literal,
    pub(super) second: Literal,
}

/// The clauses of one expression, at most `limit`.
pub(super) fn alternatives(
    expression: &Expression,
    limit: usize,
) -> Result<Vec<Vec<Literal>>, Unexpanded> {
    let mut expansion = Expansion {
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

struct Expansion {
    limit: usize,
    /// Comparisons of literals so far.
    work: usize,
    /// Primitives seen so far.
    leaves: usize,
    /// The one that the text comes to first.
    contradiction: Option<Contradiction>,
}

impl Expansion {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::packet::Fields;
    use crate::rules::{Decision, Rule, Truth, samples};

    impl Literal {
        pub(crate) fn holds(&self, fields: &Fields) -> bool {
            let truth = self.primitive.holds(fields);
            truth
                == if self.positive {
                    Truth::True
                } else {
                    Truth::False
                }
        }
    }

    impl Clause {
        pub(crate) fn holds(&self, fields: &Fields) -> bool {
            self.literals.iter().all(|literal| literal.holds(fields))
        }
    }

    /// Enough for all samples.
    const LIMIT: usize = 1 << 16;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn clause_holds_exactly_when_the_expression_is_true(
            expression in samples::expression(),
            frames in proptest::collection::vec(samples::frame(), 24),
        ) {
            let alternatives = match alternatives(&expression, LIMIT) {
                Ok(alternatives) => alternatives,
                Err(Unexpanded::NeverHolds(_)) => Vec::new(),
                Err(Unexpanded::TooMany) => return Err(TestCaseError::reject("too large")),
            };

            for frame in frames {
                let fields = Fields::of(&frame);
                let holds = alternatives
                    .iter()
                    .any(|literals| literals.iter().all(|literal| literal.holds(&fields)));
                prop_assert_eq!(holds, expression.matches(&frame) == Truth::True);
            }
        }

        #[test]
        fn first_clause_that_holds_decides_as_the_rules_do(
            rules in samples::rule_set(),
            frames in proptest::collection::vec(samples::frame(), 24),
        ) {
            let Ok(clauses) = clauses(&rules, LIMIT) else {
                return Err(TestCaseError::reject("a rule never matches"));
            };

            for frame in frames {
                let fields = Fields::of(&frame);
                let rule = clauses.iter().find(|clause| clause.holds(&fields)).map(|clause| clause.rule);
                let action = rule.map_or(rules.default, |index| rules.rules[index].action);
                prop_assert_eq!(Decision { action, rule }, rules.decide(&frame));
            }
        }
    }

    fn or_of_ports(ports: std::ops::Range<u16>) -> Expression {
        Expression::Or(ports.map(Expression::src_port).collect())
    }

    #[test]
    fn rule_that_contradicts_itself_is_named_with_the_reason() {
        let good = Expression::tcp() | Expression::tcp() & Expression::udp();
        let bad = Expression::tcp()
            & (Expression::udp() | Expression::vlan() & !Expression::ip() & Expression::ip());
        let rules = RuleSet::only([good.clone().into(), Rule::from(bad)]);

        let fine = clauses(&RuleSet::only([good.into()]), 8).expect("one clause is left");
        let error = clauses(&rules, 8).expect_err("rule 2 never matches");

        assert_eq!(fine.len(), 1);
        assert_eq!(
            error.to_string(),
            "rule 2 never matches: `tcp` and `udp` exclude each other"
        );
    }

    #[test]
    fn too_many_clauses_are_refused_before_they_take_memory() {
        let ports = |side: fn(u16) -> Expression| Expression::Or((1..=60).map(side).collect());
        let both = ports(Expression::src_port) & ports(Expression::dst_port);
        let mut huge = Expression::Or(vec![Expression::tcp(), Expression::vlan()]);
        for port in 0..200 {
            huge = huge
                & (Expression::src_port(port)
                    | Expression::dst_port(port + 200)
                    | Expression::ip());
        }

        let fits = clauses(&RuleSet::only([both.clone().into()]), 3600).expect("within the limit");
        let error = clauses(
            &RuleSet::only([Expression::udp().into(), both.into()]),
            3600,
        )
        .expect_err("one too many");
        let never = clauses(&RuleSet::only([huge.into()]), 100_000).expect_err("3^200");

        assert_eq!(fits.len(), 3600);
        assert!(matches!(
            error,
            RulesError::TooManyClauses {
                rule: 2,
                clauses: 3600,
                before: 1,
                limit: 3600
            }
        ));
        assert!(matches!(
            never,
            RulesError::TooManyClauses {
                clauses: u64::MAX,
                ..
            }
        ));
    }

    #[test]
    fn negated_alternatives_become_one_clause() {
        let expression = !or_of_ports(0..100) & Expression::udp();

        let alternatives = alternatives(&expression, 1).expect("one clause");

        assert_eq!(alternatives.len(), 1);
        assert_eq!(alternatives[0].len(), 101);
    }

    #[test]
    fn and_of_too_many_primitives_is_refused_in_bounded_time() {
        let all = (0..30_000)
            .map(|port| !Expression::src_port(port))
            .collect();

        let result = alternatives(&Expression::And(all), 16);

        assert!(matches!(result, Err(Unexpanded::TooMany)));
    }
}
