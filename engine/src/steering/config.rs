//! What a steering is made with.

use crate::kernel::privileges::Reading;
use crate::steering::rules::RuleSet;

/// What [`Steering::attach`](super::Steering::attach) sets up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SteeringConfig {
    /// What becomes of frames. By default all go to the first xsk of their queue.
    pub rules: RuleSet,
    /// How many exact flows there can be; 0 by default. A flow takes memory when it
    /// is inserted, but room for a million takes 16 MiB at once. Fixed when the
    /// program is attached.
    pub flow_capacity: u32,
    /// How many xsks a queue can have; 1 by default. Fixed when the program is
    /// attached.
    pub xsks_per_queue: u8,
    /// Whether what the host is managed by goes to the kernel's stack, whatever
    /// flows and rules say; false by default. These are ARP, neighbour discovery and
    /// DHCP, and on the [host's own addresses](super::Steering::set_own_addresses)
    /// SSH, ICMP errors and the connections that its sockets have. Fixed when the
    /// program is attached.
    pub keep_management: bool,
    /// What becomes of frames that are to be redirected to an xsk which is not there;
    /// [`NoXsk::Pass`] by default. Fixed when the program is attached.
    pub no_xsk: NoXsk,
}

/// What becomes of a frame that flows, rules or the default redirect to an xsk, where
/// none is in the slot: before it is [inserted](super::Steering::insert), after it
/// closed, and on queues that have no slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoXsk {
    /// It goes to the kernel's stack, as it would without the program.
    #[default]
    Pass,
    /// It is dropped, so that no such frame ever reaches the kernel's stack.
    Drop,
}

impl Default for SteeringConfig {
    fn default() -> Self {
        Self {
            rules: RuleSet::everything(),
            flow_capacity: 0,
            xsks_per_queue: 1,
            keep_management: false,
            no_xsk: NoXsk::Pass,
        }
    }
}

impl SteeringConfig {
    /// Whether the program reads frames, which takes a privilege more.
    pub(crate) fn reading(&self) -> Reading {
        let plain = self.rules.rules.is_empty() && self.flow_capacity == 0 && !self.keep_management;
        if plain {
            Reading::None
        } else {
            Reading::Frames
        }
    }

    /// The default, but with `rules`.
    #[must_use]
    pub fn new(rules: RuleSet) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }
}

/// How many own addresses of the host there can be.
pub(super) const OWN_ADDRESSES: u32 = 4096;
