//! Which interfaces are down, as the supervisor knows and the workers ask.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::InterfaceId;

/// A flag for each interface of the engine, in the builder's order.
#[derive(Debug)]
pub(crate) struct DownLinks(Vec<AtomicBool>);

impl DownLinks {
    /// `interfaces` interfaces that are up.
    pub(crate) fn new(interfaces: usize) -> Self {
        Self((0..interfaces).map(|_| AtomicBool::new(false)).collect())
    }

    pub(crate) fn set(&self, InterfaceId(id): InterfaceId, is_down: bool) {
        if let Some(flag) = self.0.get(id) {
            // Relaxed: the flag says nothing of other memory.
            flag.store(is_down, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_down(&self, InterfaceId(id): InterfaceId) -> bool {
        self.0
            .get(id)
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}
