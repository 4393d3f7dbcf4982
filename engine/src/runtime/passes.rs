//! The xsks by which a worker passes frames to the stacks of its interfaces: one for
//! each interface, which only sends, on the way that the engine made.

use std::cell::{Cell, RefCell};

use crate::kernel::InterfaceId;
use crate::runtime::Error;
use crate::runtime::counters::Counters;
use crate::runtime::down_links::DownLinks;
use crate::runtime::drops::DropReason;
use crate::runtime::shutdown::REMOVED;
use crate::xsk::{RxHalf, TransmitError, TxHalf, WakeError, Xsk};

/// A worker's xsks for passing, by interface; none where the engine was not asked for
/// it. Whatever happens on them per round costs nothing then.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    all: Vec<Pass>,
    /// Frames that were to go to no such interface.
    lost: Cell<Refusals>,
}

#[derive(Debug)]
struct Pass {
    /// Receives nothing; it has the socket and its statistics.
    rx: RxHalf,
    /// Borrowed by an outbox for each frame.
    tx: RefCell<TxHalf>,
    /// The end of the helper pair that an operator sees.
    name: String,
    /// Whether the kernel does not send on it any more.
    dead: bool,
    refusals: Cell<Refusals>,
    /// Descriptors that the kernel called invalid, as last read.
    invalid: u64,
}

/// Frames that could not be passed, and were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Refusals {
    ring_full: u64,
    refused: u64,
    link_down: u64,
    /// Of all those, the ones that the application had made.
    made: u64,
}

impl Refusals {
    fn add_to(self, counters: &mut Counters) {
        counters.frames_made += self.made;
        let drops = &mut counters.drops;
        drops.add(DropReason::PassRingFull, self.ring_full);
        drops.add(DropReason::PassRefused, self.refused);
        drops.add(DropReason::PassLinkDown, self.link_down);
    }
}

impl Passes {
    /// One xsk per interface, in order, each with the name that an operator sees.
    pub(crate) fn new(xsks: Vec<(String, Xsk)>) -> Self {
        let pass = |(name, xsk): (String, Xsk)| {
            let (rx, tx) = xsk.into_halves();
            Pass {
                rx,
                tx: RefCell::new(tx),
                name,
                dead: false,
                refusals: Cell::default(),
                invalid: 0,
            }
        };
        Self {
            all: xsks.into_iter().map(pass).collect(),
            lost: Cell::default(),
        }
    }

    /// The half that passes frames to the stack of an interface.
    pub(crate) fn tx(&self, InterfaceId(to): InterfaceId) -> Option<&RefCell<TxHalf>> {
        self.all.get(to).map(|pass| &pass.tx)
    }

    /// Drops and counts a frame that could not be passed.
    pub(crate) fn refuse(&self, error: TransmitError, InterfaceId(to): InterfaceId) {
        let cell = self.all.get(to).map_or(&self.lost, |pass| &pass.refusals);
        let mut refusals = cell.get();
        match &error {
            TransmitError::RingFull(_) | TransmitError::InTransmit(_) => refusals.ring_full += 1,
            TransmitError::LinkDown(_) => refusals.link_down += 1,
            _ => refusals.refused += 1,
        }
        let frame = error.into_frame();
        refusals.made += u64::from(frame.is_made());
        cell.set(refusals);
        frame.recycle();
    }

    /// Whether the engine was not asked for passing.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes back what the kernel is done with, and returns whether there was any.
    #[inline]
    pub(crate) fn complete(&mut self) -> bool {
        !self.all.is_empty() && self.complete_each()
    }

    #[inline(never)]
    fn complete_each(&mut self) -> bool {
        let mut any = false;
        for pass in &mut self.all {
            any |= pass.tx.get_mut().complete() > 0;
        }
        any
    }

    /// # Errors
    ///
    /// When a helper pair is gone.
    #[inline(never)]
    pub(crate) fn wake_with(
        &mut self,
        wake: impl Fn(&mut TxHalf) -> Result<(), WakeError>,
    ) -> Result<(), Error> {
        let mut outcome = Ok(());
        for pass in &mut self.all {
            let tx = pass.tx.get_mut();
            if pass.dead {
                continue;
            }
            let interface = || pass.name.clone();
            outcome = Err(match wake(tx) {
                Ok(()) => continue,
                Err(WakeError::Down | WakeError::Gone) => Error::InterfaceLost {
                    interface: interface(),
                    what: REMOVED,
                },
                Err(WakeError::Other(source)) => Error::Send {
                    interface: interface(),
                    source,
                },
            });
            pass.dead = true;
        }
        outcome
    }

    /// Whether nothing was passed that the kernel is not known to have taken.
    #[inline]
    pub(crate) fn are_known_empty(&mut self) -> bool {
        self.all.is_empty() || self.is_each_known_empty()
    }

    #[inline(never)]
    fn is_each_known_empty(&mut self) -> bool {
        let mut all = self.all.iter_mut();
        all.all(|pass| pass.tx.get_mut().is_known_empty())
    }

    /// Takes no more frames for interfaces that are down, where the stack would not
    /// have received them either.
    pub(crate) fn follow(&mut self, links: &DownLinks) {
        for (id, pass) in self.all.iter_mut().enumerate() {
            let (tx, is_down) = (pass.tx.get_mut(), links.is_down(InterfaceId(id)));
            if tx.is_down() != is_down {
                tx.set_down(is_down);
            }
        }
    }

    /// Whether frames are under way that no descriptor announces.
    pub(crate) fn is_sending(&mut self) -> bool {
        let mut all = self.all.iter_mut().filter(|pass| !pass.dead);
        all.any(|pass| {
            let tx = pass.tx.get_mut();
            tx.pending() > 0 || tx.in_flight() > 0
        })
    }

    /// Ring entries from the kernel that failed a check.
    pub(crate) fn violations(&self) -> u64 {
        let of = |pass: &Pass| pass.rx.violations() + pass.tx.borrow().violations();
        self.all.iter().map(of).sum()
    }

    /// Reads the kernel's statistics.
    pub(crate) fn look(&mut self) {
        for pass in &mut self.all {
            if let Ok(kernel) = pass.rx.kernel_statistics() {
                pass.invalid = kernel.tx_invalid_descs;
            }
        }
    }

    /// Adds what was passed to an interface to the counters of an xsk of it.
    pub(crate) fn add_to(&self, InterfaceId(to): InterfaceId, counters: &mut Counters) {
        let Some(pass) = self.all.get(to) else {
            return;
        };
        let tx = pass.tx.borrow();
        let sent = tx.counters();
        counters.frames_made += sent.made;
        counters.frames_passed_by_application += sent
            .completed
            .saturating_sub(sent.dropped_by_kernel + pass.invalid);
        counters.tx_in_flight += u64::from(tx.in_flight());
        counters.tx_wakeups += sent.wakeups;
        let drops = &mut counters.drops;
        drops.add(DropReason::PassKernel, sent.dropped_by_kernel);
        drops.add(DropReason::TxInvalid, pass.invalid);
        pass.refusals.get().add_to(counters);
    }

    /// Adds what was to be passed to no such interface.
    pub(crate) fn add_lost_to(&self, counters: &mut Counters) {
        self.lost.get().add_to(counters);
    }
}
