//! A program for the rules in force, loaded ahead: where one has to come again at once,
//! loading it would take tens of milliseconds.

use std::time::{Duration, Instant};

use crate::kernel::limits::tightest_memory_group;
use crate::steering::rules::RuleSet;
use crate::steering::{Prepared, Steering};

/// A program that no frame meets yet, or room for one.
pub(super) struct SpareProgram {
    program: Option<Prepared>,
    rules: RuleSet,
    /// Since when these are the rules, or there is no program for them.
    since: Instant,
}

/// How long rules must have stayed before a program is loaded for them: those that
/// change all the time are not worth it.
const SETTLED: Duration = Duration::from_secs(1);

/// Memory that must be left where a program is loaded, which takes some 2 MiB, and as
/// much again for a moment.
const MEMORY: u64 = 32 << 20;

impl SpareProgram {
    /// None yet, for an interface with these rules.
    pub(super) fn new(rules: &RuleSet) -> Self {
        Self {
            program: None,
            rules: rules.clone(),
            since: Instant::now(),
        }
    }

    /// Takes the program, if it is for `rules`.
    pub(super) fn take_for(&mut self, rules: &RuleSet) -> Option<Prepared> {
        self.since = Instant::now();
        let program = self.program.take();
        program.filter(|_| self.rules == *rules)
    }

    /// Loads a program for the rules in force, if there is none and they have stayed for
    /// a while. Where it cannot be loaded, there is none.
    pub(super) fn load_for(&mut self, steering: &Steering) {
        if self.rules != *steering.rules() {
            *self = Self::new(steering.rules());
        }
        if self.program.is_some() || self.since.elapsed() < SETTLED {
            return;
        }
        self.since = Instant::now();
        if tightest_memory_group().is_none_or(|group| group.left() >= MEMORY) {
            self.program = steering.prepare(&self.rules).ok();
        }
    }
}
