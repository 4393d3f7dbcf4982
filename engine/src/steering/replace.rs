//! Other rules, while frames come in.
//!
//! The tables of rules that are in force are never touched. A second program is
//! loaded, with tables of its own but the sockets, flows and addresses of the
//! first, and takes its place in the link in one step: a frame meets the one or
//! the other. Once no CPU runs the first any more, its counters are final and are
//! carried over.
//!
//! It comes in two halves, so that several interfaces can change together.

use super::instance::{Frame, Instance};
use super::{Steering, SteeringError};
use crate::kernel::sys::wait::grace_period;
use crate::steering::rules::RuleSet;

impl Steering {
    /// Puts other rules in force: every frame is decided by the old ones or by the
    /// new ones, and none is lost. Sockets, flows, the host's addresses and all
    /// counts stay; hits of a rule stay with an equal rule. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// The old rules are in force then.
    pub fn replace(&mut self, rules: &RuleSet) -> Result<(), SteeringError> {
        let prepared = self.prepare(rules)?;
        self.switch(prepared)?;
        grace_period();
        self.settle();
        Ok(())
    }

    /// Loads a program for `rules`, which no frame meets yet.
    pub(crate) fn prepare(&self, rules: &RuleSet) -> Result<Prepared, SteeringError> {
        let frame = Frame {
            interface: &self.interface,
            queue_slots: self.queue_slots,
            config: &self.config,
        };
        let programs = [self.instance.program.frames()];
        let (instance, _) = Instance::load(&frame, rules, &programs, Some(&self.shared))?;
        Ok(Prepared(instance))
    }

    /// Puts it in force. After a grace period, [`settle`](Self::settle) or
    /// [`switch_back`](Self::switch_back) must follow; until then the counts lack
    /// those of the program before.
    pub(crate) fn switch(&mut self, Prepared(next): Prepared) -> Result<(), SteeringError> {
        self.relink(&next)?;
        self.previous = Some(std::mem::replace(&mut self.instance, next));
        Ok(())
    }

    /// Takes over what the program before had counted.
    pub(crate) fn settle(&mut self) {
        if let Some(previous) = self.previous.take() {
            let to = &self.instance.rules.rules;
            self.carried.move_to(&previous.rules.rules, to);
            self.carry(&previous);
        }
    }

    /// Puts the rules before back in force, and takes over what was counted
    /// meanwhile. Waits for a grace period.
    pub(crate) fn switch_back(&mut self) {
        let Some(previous) = self.previous.take() else {
            return;
        };
        if self.relink(&previous).is_err() {
            // The interface is gone, or somebody else has the link: neither
            // program sees another frame.
            self.previous = Some(previous);
            return self.settle();
        }
        let undone = std::mem::replace(&mut self.instance, previous);
        grace_period();
        self.carry(&undone);
    }

    fn relink(&self, next: &Instance) -> Result<(), SteeringError> {
        let Some(attachment) = &self.attachment else {
            return Err(SteeringError::Detached {
                interface: self.interface.name().to_owned(),
            });
        };
        let replaced = attachment.replace(&next.program, &self.instance.program);
        replaced.map_err(|source| SteeringError::Replace {
            interface: self.interface.name().to_owned(),
            source,
        })
    }

    fn carry(&mut self, ended: &Instance) {
        // Reading fails for want of a few bytes of kernel memory only.
        if let Ok(totals) = ended.totals() {
            let to = &self.instance.rules.rules;
            self.carried.add(&totals, &ended.rules.rules, to);
        }
    }
}

/// A program for other rules, loaded but not in force.
pub(crate) struct Prepared(Instance);
