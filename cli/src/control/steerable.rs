//! What the editor needs of an engine, as a trait that tests can implement.

use wharf::{Action, Engine, Flow, RuleHits, RuleSet};

/// Frames decided on one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// By each rule, in their order.
    pub rules: Vec<u64>,
    pub default: u64,
    pub undecided: u64,
    pub flows: u64,
    pub management: u64,
    /// To be redirected to an xsk that is not there.
    pub no_xsk: u64,
    /// By removed rules.
    pub removed: u64,
}

/// Something whose steering can be changed while it runs. Errors are one line.
pub trait Steerable: Sync {
    fn rules(&self) -> RuleSet;
    /// All at once, or not at all.
    fn replace_rules(&self, rules: &RuleSet) -> Result<(), String>;
    /// One entry per interface.
    fn hits(&self) -> Result<Vec<Hits>, String>;
    fn insert_flow(&self, flow: &Flow, action: Action) -> Result<(), String>;
    /// Whether it was there.
    fn remove_flow(&self, flow: &Flow) -> Result<bool, String>;
}

impl Steerable for Engine {
    fn rules(&self) -> RuleSet {
        Self::rules(self)
    }

    fn replace_rules(&self, rules: &RuleSet) -> Result<(), String> {
        Self::replace_rules(self, rules).map_err(|error| error.to_string())
    }

    fn hits(&self) -> Result<Vec<Hits>, String> {
        let hits = self.rule_hits().map_err(|error| error.to_string())?;
        Ok(hits.into_iter().map(Hits::from).collect())
    }

    fn insert_flow(&self, flow: &Flow, action: Action) -> Result<(), String> {
        Self::insert_flow(self, flow, action).map_err(|error| error.to_string())
    }

    fn remove_flow(&self, flow: &Flow) -> Result<bool, String> {
        Self::remove_flow(self, flow).map_err(|error| error.to_string())
    }
}

impl From<RuleHits> for Hits {
    fn from(hits: RuleHits) -> Self {
        Self {
            rules: hits.rules,
            default: hits.default,
            undecided: hits.undecided,
            flows: hits.flows,
            management: hits.management,
            no_xsk: hits.no_xsk,
            removed: hits.removed,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use wharf::XskIndex;

    use super::*;

    /// Behaves like an engine with one xsk per queue.
    pub struct Fake {
        rules: Mutex<RuleSet>,
        flows: Mutex<HashMap<Flow, Action>>,
        hits: Mutex<Vec<Hits>>,
        refusal: Mutex<Option<String>>,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                rules: Mutex::new(RuleSet::only([])),
                flows: Mutex::default(),
                hits: Mutex::new(vec![Hits::default(); 2]),
                refusal: Mutex::default(),
            }
        }
    }

    impl Fake {
        /// Changes nothing from now on.
        pub fn refuse(&self, error: &str) {
            *self.refusal.lock().expect("no panic") = Some(error.to_owned());
        }

        pub fn count(&self, hits: Vec<Hits>) {
            *self.hits.lock().expect("no panic") = hits;
        }

        pub fn flow_count(&self) -> usize {
            self.flows.lock().expect("no panic").len()
        }

        pub fn flow(&self, flow: &Flow) -> Option<Action> {
            self.flows.lock().expect("no panic").get(flow).copied()
        }

        fn judge(&self) -> Result<(), String> {
            self.refusal
                .lock()
                .expect("no panic")
                .clone()
                .map_or(Ok(()), Err)
        }
    }

    impl Steerable for Fake {
        fn rules(&self) -> RuleSet {
            self.rules.lock().expect("no panic").clone()
        }

        fn replace_rules(&self, rules: &RuleSet) -> Result<(), String> {
            self.judge()?;
            *self.rules.lock().expect("no panic") = rules.clone();
            Ok(())
        }

        fn hits(&self) -> Result<Vec<Hits>, String> {
            Ok(self.hits.lock().expect("no panic").clone())
        }

        fn insert_flow(&self, flow: &Flow, action: Action) -> Result<(), String> {
            self.judge()?;
            if matches!(action, Action::Redirect(XskIndex(1..))) {
                return Err("queues have one xsk".to_owned());
            }
            self.flows.lock().expect("no panic").insert(*flow, action);
            Ok(())
        }

        fn remove_flow(&self, flow: &Flow) -> Result<bool, String> {
            self.judge()?;
            let removed = self.flows.lock().expect("no panic").remove(flow);
            Ok(removed.is_some())
        }
    }
}
