//! Rules and what they decided, as one view: while the engine runs, and at its end.

use wharf::{Action, Engine, RuleSet};

use super::message::{DefaultEntry, FlowsEntry, HitCount, Info, Listing, OtherEntry, RuleEntry};
use super::steerable::Hits;

/// What does not change while the forwarder runs.
#[derive(Clone, Debug, Default)]
pub struct ForwarderInfo {
    pub pid: u32,
    pub interfaces: Vec<String>,
    pub flow_capacity: u32,
}

impl ForwarderInfo {
    pub fn of(engine: &Engine, flow_capacity: u32) -> Self {
        let interfaces = &engine.report().interfaces;
        Self {
            pid: std::process::id(),
            interfaces: interfaces.iter().map(|one| one.name.clone()).collect(),
            flow_capacity,
        }
    }

    /// The reply to [`Command::Info`](super::message::Command::Info).
    pub fn message(&self) -> Info {
        Info {
            pid: self.pid,
            interfaces: self.interfaces.clone(),
        }
    }

    /// The view of rules and what they counted. Hits are of the very rules.
    pub fn listing(&self, revision: u64, rules: &RuleSet, hits: &[Hits], flows: u64) -> Listing {
        let by_interface = |of: &dyn Fn(&Hits) -> u64| HitCount::of(hits.iter().map(of));
        Listing {
            pid: self.pid,
            interfaces: self.interfaces.clone(),
            revision,
            rules: rules
                .rules
                .iter()
                .enumerate()
                .map(|(index, rule)| RuleEntry {
                    number: index + 1,
                    rule: rule.to_string(),
                    hits: by_interface(&|hits| hits.rules.get(index).copied().unwrap_or(0)),
                })
                .collect(),
            default: DefaultEntry {
                action: rules.default.to_string(),
                hits: by_interface(&|hits| hits.default),
            },
            undecided: DefaultEntry {
                action: undecided_text(rules.undecided),
                hits: by_interface(&|hits| hits.undecided),
            },
            flows: FlowsEntry {
                count: flows,
                capacity: self.flow_capacity.into(),
                hits: by_interface(&|hits| hits.flows),
            },
            management: OtherEntry {
                hits: by_interface(&|hits| hits.management),
            },
            no_xsk: OtherEntry {
                hits: by_interface(&|hits| hits.no_xsk),
            },
            removed: OtherEntry {
                hits: by_interface(&|hits| hits.removed),
            },
        }
    }
}

/// What is said of undecided frames, as in a rules file.
pub fn undecided_text(undecided: Option<Action>) -> String {
    undecided.map_or_else(|| "next".to_owned(), |action| action.to_string())
}

/// The rules of an engine that is about to stop, to which the last counts are
/// still to come.
#[derive(Clone, Debug)]
pub struct FinalRules {
    pub info: ForwarderInfo,
    pub rules: RuleSet,
    pub revision: u64,
    pub flows: u64,
}

impl FinalRules {
    pub fn listing(&self, hits: &[Hits]) -> Listing {
        self.info
            .listing(self.revision, &self.rules, hits, self.flows)
    }
}
