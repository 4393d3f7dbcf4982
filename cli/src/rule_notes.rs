//! What is odd about rules that are good: a rule that never decides because an earlier
//! one is the same, and rules that forward nothing.

use wharf::{Action, Rule, RuleSet};

/// A note for each rule that repeats an earlier one, one line each.
pub fn repeated(rules: &RuleSet) -> Vec<String> {
    repeated_since(&RuleSet::everything(), rules)
}

/// As [`repeated`], without the rules that were there as often `before`.
pub fn repeated_since(before: &RuleSet, rules: &RuleSet) -> Vec<String> {
    let times = |rules: &RuleSet, rule: &Rule| {
        let all = rules.rules.iter();
        all.filter(|other| other.expression == rule.expression)
            .count()
    };
    let numbered = || rules.rules.iter().zip(1..);
    let more = numbered().filter(|(rule, _)| times(rules, rule) > times(before, rule));
    let repeats = more.filter_map(|(rule, number)| {
        let mut earlier = numbered().take(number - 1);
        let (first, first_number) =
            earlier.find(|(earlier, _)| earlier.expression == rule.expression)?;
        Some(repetition((first, first_number), (rule, number)))
    });
    repeats.collect()
}

fn repetition((first, first_number): (&Rule, usize), (rule, number): (&Rule, usize)) -> String {
    let how = if first.action == rule.action {
        format!("repeats rule {first_number}")
    } else {
        format!("matches the same frames as rule {first_number}, which comes first")
    };
    format!("rule {number}, `{rule}`, {how}: it never decides a frame")
}

/// Whether any frame can be redirected, flows left aside.
pub fn redirects(rules: &RuleSet) -> bool {
    let actions = rules.rules.iter().map(|rule| rule.action);
    let mut actions = actions.chain([rules.default]);
    actions.any(|action| matches!(action, Action::Redirect(_)))
}

/// What to say if not; what to do about it comes behind.
pub const NOTHING_REDIRECTED: &str =
    "no rule redirects frames, and the default action does not either, so nothing is forwarded";

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> RuleSet {
        text.parse().expect("good rules")
    }

    #[test]
    fn rule_that_never_decides_is_named_with_the_earlier_one() {
        let same = repeated(&rules("tcp port 80\npass arp\nredirect tcp port 80\n"));
        let other_action = repeated(&rules("udp\ndrop udp\npass udp\n"));

        assert_eq!(
            same,
            ["rule 3, `redirect tcp port 80`, repeats rule 1: it never decides a frame"]
        );
        assert_eq!(other_action.len(), 2, "{other_action:?}");
        assert!(
            other_action[0].contains("rule 2, `drop udp`, matches the same frames as rule 1"),
            "{other_action:?}"
        );
        assert!(other_action[1].contains("as rule 1"), "{other_action:?}");
        assert!(repeated(&rules("tcp port 80\nudp port 80\n")).is_empty());
    }

    #[test]
    fn rule_that_was_repeated_before_is_not_named_again() {
        let before = rules("udp\ndrop udp\n");

        let other = repeated_since(&before, &rules("tcp\nudp\ndrop udp\n"));
        let again = repeated_since(&before, &rules("udp\ndrop udp\nudp\n"));

        assert!(other.is_empty(), "{other:?}");
        assert!(
            again.iter().any(|note| note.starts_with("rule 3")),
            "{again:?}"
        );
    }

    #[test]
    fn rules_forward_if_one_of_them_or_the_default_redirects() {
        for (text, forwards) in [
            ("", true),
            ("tcp port 80", true),
            ("drop udp\nredirect:1 tcp", true),
            ("drop udp\ndefault redirect", true),
            ("drop udp", false),
            ("pass udp\ndefault drop", false),
            ("default pass", false),
        ] {
            assert_eq!(redirects(&rules(text)), forwards, "{text}");
        }
    }
}
