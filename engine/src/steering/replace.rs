//! Other rules, while frames come in.
//!
//! The tables of rules that are in force are never written. A second program is
//! loaded, with tables of its own and with the sockets, flows and addresses of the
//! first, and the link goes from one to the other in one step: a frame meets the
//! one or the other. Once no CPU runs the first any more, its counters are final
//! and are added to what earlier programs counted.
//!
//! It comes in two halves, so that several interfaces can change together.

use super::error::{SteeringError, SteeringErrorKind};
use super::handle::Steering;
use super::instance::{Instance, Target};
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
        let target = Target {
            interface: &self.interface,
            queue_slots: self.queue_slots,
            config: &self.config,
        };
        let buffers = self.instance.program.buffers();
        Instance::load_next(&target, rules, buffers, &self.shared).map(Prepared)
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
            self.past.move_to(&previous.rules.rules, to);
            self.keep_counts(&previous);
        }
    }

    /// Puts the rules before back in force, and takes over what was counted
    /// meanwhile. Waits for a grace period.
    pub(crate) fn switch_back(&mut self) {
        let Some(previous) = self.previous.take() else {
            return;
        };
        if self.relink(&previous).is_err() {
            // The interface is gone, or another process changed the link: neither
            // program sees another frame.
            self.previous = Some(previous);
            return self.settle();
        }
        let undone = std::mem::replace(&mut self.instance, previous);
        grace_period();
        self.keep_counts(&undone);
    }

    fn relink(&self, next: &Instance) -> Result<(), SteeringError> {
        let Some(attachment) = &self.attachment else {
            return Err(self.error(SteeringErrorKind::Detached));
        };
        let replaced = attachment.replace(&next.program, &self.instance.program);
        replaced.map_err(|source| self.error(SteeringErrorKind::Replace(source)))
    }

    fn keep_counts(&mut self, ended: &Instance) {
        // Reading fails only where the kernel lacks a few bytes of memory.
        if let Ok(totals) = ended.totals() {
            let to = &self.instance.rules.rules;
            self.past.add(&totals, &ended.rules.rules, to);
        }
    }
}

/// A program for other rules, loaded but not in force.
pub(crate) struct Prepared(Instance);
