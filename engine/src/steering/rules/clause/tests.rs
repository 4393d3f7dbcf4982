//! Clauses say what the reference says, and never take more room than allowed.

use proptest::prelude::*;

use super::*;
use crate::steering::rules::fields::Fields;
use crate::steering::rules::{DecidedBy, Decision, Rule, Truth, samples};

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
            let by = rule.map_or(DecidedBy::Default, DecidedBy::Rule);
            let expected = Decision { action, by };
            prop_assert_eq!(expected, RuleSet { undecided: None, ..rules.clone() }.decide(&frame));
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
            & (Expression::src_port(port) | Expression::dst_port(port + 200) | Expression::ip());
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
