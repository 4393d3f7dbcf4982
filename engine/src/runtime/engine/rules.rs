//! Rules and flows of a running engine: the same on all of its interfaces.

use super::engine::Engine;
use crate::kernel::sys::wait::grace_period;
use crate::runtime::Error;
use crate::steering::rules::{Action, Flow, RuleSet};
use crate::steering::{RuleHits, Steering};

impl Engine {
    /// Puts other rules in force on all interfaces, while frames come in. Each
    /// frame is decided by the old ones or by the new ones, and none is lost. All
    /// counts stay; hits of a rule stay with an equal rule. Blocks for some
    /// milliseconds, and [`stats`](Self::stats) meanwhile.
    ///
    /// # Errors
    ///
    /// The old rules are in force on all interfaces then.
    pub fn replace_rules(&self, rules: &RuleSet) -> Result<(), Error> {
        let mut all = self.steering.lock();
        let prepared = all.iter().map(|steering| steering.prepare(rules));
        // Loading is what fails, if anything does; so all are loaded first.
        let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
        for (index, next) in prepared.into_iter().enumerate() {
            if let Err(error) = all[index].switch(next) {
                all[..index].iter_mut().for_each(Steering::switch_back);
                return Err(error.into());
            }
        }
        grace_period();
        all.iter_mut().for_each(Steering::settle);
        Ok(())
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> RuleSet {
        let all = self.steering.lock();
        // All have the same, and there is at least one.
        all.first()
            .map_or_else(RuleSet::everything, |steering| steering.rules().clone())
    }

    /// Frames by what decided about them, for each interface in the builder's order.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn rule_hits(&self) -> Result<Vec<RuleHits>, Error> {
        let all = self.steering.lock();
        let hits = all.iter().map(Steering::hits);
        Ok(hits.collect::<Result<_, _>>()?)
    }

    /// Decides on all interfaces what becomes of the frames of `flow`, from the
    /// next one on, whatever the rules say.
    ///
    /// # Errors
    ///
    /// As [`Steering::insert_flow`]. On all interfaces the flow is as it was then.
    pub fn insert_flow(&self, flow: &Flow, action: Action) -> Result<(), Error> {
        let mut all = self.steering.lock();
        let before = all.iter().map(|steering| steering.flow(flow));
        let before = before.collect::<Result<Vec<_>, _>>()?;
        for index in 0..all.len() {
            if let Err(error) = all[index].insert_flow(flow, action) {
                for (steering, before) in all[..index].iter_mut().zip(before) {
                    // What was there a moment ago has room, and what is there can go.
                    let _ = match before {
                        Some(action) => steering.insert_flow(flow, action),
                        None => steering.remove_flow(flow).map(drop),
                    };
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Leaves the frames of `flow` to the rules on all interfaces, and returns
    /// whether one of them did not.
    ///
    /// # Errors
    ///
    /// As [`Steering::remove_flow`].
    pub fn remove_flow(&self, flow: &Flow) -> Result<bool, Error> {
        let mut all = self.steering.lock();
        let mut removed = false;
        for steering in all.iter_mut() {
            removed |= steering.remove_flow(flow)?;
        }
        Ok(removed)
    }

    /// How many flows there are, on each interface. A system call for each.
    #[must_use]
    pub fn flow_count(&self) -> u32 {
        let all = self.steering.lock();
        all.iter().map(Steering::flow_count).max().unwrap_or(0)
    }
}
