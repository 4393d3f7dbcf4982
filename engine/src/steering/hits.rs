//! What was counted, by rule and by queue, over all rules that were in force.

use wharf_ebpf::QueueCounts;

use crate::steering::rules::{Rule, RuleSet};

/// Frames by what became of them, since [`Steering::attach`]. No count ever
/// falls, but for those of rules that are replaced: they move to `removed`. Together
/// they are all frames that the program saw.
///
/// [`Steering::attach`]: super::Steering::attach
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleHits {
    /// By each rule in force, in their order. [`Steering::replace`] keeps the hits of
    /// rules that stay.
    ///
    /// [`Steering::replace`]: super::Steering::replace
    pub rules: Vec<u64>,
    /// By the default.
    pub default: u64,
    /// By [`RuleSet::undecided`].
    pub undecided: u64,
    /// By exact flows.
    pub flows: u64,
    /// Kept for the host itself: see [`SteeringConfig::keep_management`].
    ///
    /// [`SteeringConfig::keep_management`]: super::SteeringConfig::keep_management
    pub management: u64,
    /// Those that were to be redirected to an xsk that is not there, whatever decided
    /// so: they became what [`SteeringConfig::no_xsk`] says, and are no hits of a rule.
    ///
    /// [`SteeringConfig::no_xsk`]: super::SteeringConfig::no_xsk
    pub no_xsk: u64,
    /// By rules that are no longer in force.
    pub removed: u64,
}

impl RuleHits {
    /// All frames that the program saw.
    #[must_use]
    pub fn frames(&self) -> u64 {
        let others = [
            self.default,
            self.undecided,
            self.flows,
            self.management,
            self.no_xsk,
            self.removed,
        ];
        self.rules.iter().chain(&others).sum()
    }
}

/// What one program counted.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    pub(super) rules: Vec<u64>,
    pub(super) default: u64,
    pub(super) undecided: u64,
    pub(super) flows: u64,
    pub(super) management: u64,
    pub(super) no_xsk: u64,
    pub(super) queues: Vec<QueueCounts>,
}

/// What earlier programs counted, which are no longer attached.
#[derive(Clone, Debug)]
pub(super) struct PastCounts {
    /// For the rules in force.
    hits: RuleHits,
    queues: Vec<QueueCounts>,
}

impl PastCounts {
    /// Nothing, for that many rules and queues.
    pub(super) fn new(rules: &RuleSet, queues: u32) -> Self {
        Self {
            hits: RuleHits {
                rules: vec![0; rules.rules.len()],
                ..RuleHits::default()
            },
            queues: (0..queues).map(|_| QueueCounts::default()).collect(),
        }
    }

    /// The hits of earlier programs and of the program in force.
    pub(super) fn hits(&self, current: &Totals) -> RuleHits {
        let mut sum = self.clone();
        sum.add_others(current);
        for (sum, hits) in sum.hits.rules.iter_mut().zip(&current.rules) {
            *sum += hits;
        }
        sum.hits
    }

    pub(super) fn queue(&self, queue: u32) -> QueueCounts {
        self.queues.get(queue as usize).copied().unwrap_or_default()
    }

    /// Keeps the hits for another set of rules: those of rules that stay.
    pub(super) fn move_to(&mut self, from: &[Rule], to: &[Rule]) {
        let hits = std::mem::take(&mut self.hits.rules);
        self.hits.rules = vec![0; to.len()];
        self.add_rules(&hits, from, to);
    }

    /// Adds what a program counted for `rules`, of which only those in `to` are in
    /// force.
    pub(super) fn add(&mut self, totals: &Totals, rules: &[Rule], to: &[Rule]) {
        self.add_others(totals);
        self.add_rules(&totals.rules, rules, to);
        for (sum, counts) in self.queues.iter_mut().zip(&totals.queues) {
            *sum = *sum + *counts;
        }
    }

    fn add_others(&mut self, totals: &Totals) {
        self.hits.default += totals.default;
        self.hits.undecided += totals.undecided;
        self.hits.flows += totals.flows;
        self.hits.management += totals.management;
        self.hits.no_xsk += totals.no_xsk;
    }

    fn add_rules(&mut self, hits: &[u64], from: &[Rule], to: &[Rule]) {
        // The second of two equal rules is the second of two.
        let mut taken = vec![false; to.len()];
        for (rule, hits) in from.iter().zip(hits) {
            let stays = (0..to.len()).find(|&index| !taken[index] && to[index] == *rule);
            match stays {
                Some(index) => {
                    taken[index] = true;
                    self.hits.rules[index] += hits;
                }
                None => self.hits.removed += hits,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::rules::{Action, Expression};

    fn rule(port: u16) -> Rule {
        Expression::dst_port(port).into()
    }

    #[test]
    fn rules_that_stay_keep_their_hits_wherever_they_go() {
        let before = RuleSet::only([rule(1), rule(2), rule(1)]);
        let drop = Rule {
            action: Action::Drop,
            ..rule(2)
        };
        let after = RuleSet::only([drop, rule(1), rule(1), rule(3)]);
        let totals = Totals {
            rules: vec![10, 20, 30],
            default: 1,
            undecided: 5,
            flows: 2,
            management: 3,
            no_xsk: 4,
            queues: Vec::new(),
        };
        let mut past = PastCounts::new(&before, 1);

        past.move_to(&before.rules, &after.rules);
        past.add(&totals, &before.rules, &after.rules);
        let hits = past.hits(&Totals {
            rules: vec![1, 1, 1, 1],
            ..totals.clone()
        });

        assert_eq!(hits.rules, [1, 11, 31, 1]);
        assert_eq!(hits.removed, 20, "another action is another rule");
        assert_eq!((hits.default, hits.flows, hits.management), (2, 4, 6));
        assert_eq!((hits.no_xsk, hits.undecided), (8, 10));
        assert_eq!(hits.frames(), 66 + 4 + 6 + 8 + 10);
    }
}
