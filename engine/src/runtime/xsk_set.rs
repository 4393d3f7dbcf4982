//! The xsks of one worker, and a round of the application over them.
//!
//! ```text
//!   a round:  completions, those to be reported to the application → fill rings
//!             → receive a batch of each xsk → the application → one wake-up per xsk
//! ```
//!
//! The same code runs on an engine's worker and in a
//! [`SimulatedWorker`](crate::SimulatedWorker).

use std::cell::RefCell;
use std::rc::Rc;

use crate::kernel::{InterfaceId, KernelStatistics, XskIndex};
use crate::memory::{Audit, Limits, LimitsError, Umem};
use crate::runtime::Error;
use crate::runtime::application::{Application, Idle};
use crate::runtime::attention::Attention;
use crate::runtime::counters::Counters;
use crate::runtime::down_links::DownLinks;
use crate::runtime::drops::{DropReason, Drops};
use crate::runtime::events::TransmitStall;
use crate::runtime::outbox::{Outbox, Refusals};
use crate::runtime::passes::Passes;
use crate::runtime::routes::{Endpoint, Routes};
use crate::runtime::shutdown::REMOVED;
use crate::runtime::stats::XskStats;
use crate::runtime::transmit_watchdog::Transmissions;
use crate::xsk::{RxHalf, TxHalf, WakeError, Xsk};

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Frames came in or came back from the kernel.
    Progress,
    /// No xsk had anything, and the application does not ask to go on at once.
    Nothing,
}

/// A worker's xsks. Field order is drop order: xsks go before the handle of their
/// UMEM.
pub(crate) struct XskSet {
    rx: Vec<RxHalf>,
    /// Borrowed only by an [`Outbox`], in a round.
    tx: Vec<RefCell<TxHalf>>,
    /// Interface names in the order of `tx`, for errors.
    names: Vec<String>,
    /// Xsks on which the kernel does not send any more: their interface is gone, or it
    /// refused a frame. Nothing more comes back.
    dead: Vec<bool>,
    refusals: Vec<Refusals>,
    /// Whether the application may have left completions.
    has_unread: bool,
    routes: Routes,
    umem: Umem,
    batch_size: u32,
    /// The kernel's counters as last read.
    kernel: Vec<KernelStatistics>,
    attention: Rc<Attention>,
    passes: Passes,
}

impl XskSet {
    /// `xsks` with the names of their interfaces, all of `umem`.
    pub(crate) fn new(
        umem: Umem,
        xsks: Vec<(String, Xsk)>,
        batch_size: u32,
        attention: Rc<Attention>,
    ) -> Self {
        let mut set = Self {
            rx: Vec::new(),
            tx: Vec::new(),
            names: Vec::new(),
            dead: Vec::new(),
            refusals: Vec::new(),
            has_unread: false,
            routes: Routes::default(),
            umem,
            batch_size,
            kernel: Vec::new(),
            attention,
            passes: Passes::default(),
        };
        set.add(xsks);
        set
    }

    /// With xsks of the same UMEM for passing frames.
    pub(crate) fn with_passes(self, passes: Passes) -> Self {
        Self { passes, ..self }
    }

    /// Adds xsks of the same UMEM, behind the others.
    pub(crate) fn add(&mut self, xsks: Vec<(String, Xsk)>) {
        for (name, xsk) in xsks {
            let (rx, tx) = xsk.into_halves();
            self.rx.push(rx);
            self.tx.push(RefCell::new(tx));
            self.names.push(name);
            self.dead.push(false);
            self.refusals.push(Refusals::default());
            self.kernel.push(KernelStatistics::default());
        }
        self.route();
    }

    /// Notes that an interface has so many TX queues now: frames go to those.
    pub(crate) fn set_tx_queues(&mut self, interface: InterfaceId, tx_queues: u32) {
        for (rx, tx) in self.rx.iter().zip(&mut self.tx) {
            if rx.interface() == interface {
                tx.get_mut().set_sends(rx.queue().get() < tx_queues);
            }
        }
        self.route();
    }

    /// How many queues have xsks in the set.
    pub(crate) fn queues(&self) -> u32 {
        let firsts = self.rx.iter().filter(|rx| rx.xsk() == XskIndex(0));
        u32::try_from(firsts.count()).unwrap_or(u32::MAX)
    }

    /// Shares the chunks anew among the queues that receive, those whose index is below
    /// the number of RX queues of their interface, and `more` that are to come.
    pub(crate) fn make_room(&mut self, more: usize, rx_queues: &[u32]) {
        for rx in &self.rx {
            let queues = rx_queues.get(rx.interface().0);
            rx.set_receives(queues.is_some_and(|queues| rx.queue().get() < *queues));
        }
        self.umem
            .expect_queues(u32::try_from(more).unwrap_or(u32::MAX));
    }

    /// Changes the limits of the xsks of an interface, or of all.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if one of the xsks cannot have them. None has them then.
    pub(crate) fn set_limits(
        &mut self,
        interface: Option<InterfaceId>,
        limits: &Limits,
    ) -> Result<(), LimitsError> {
        let is_meant = |rx: &RxHalf| interface.is_none_or(|of| of == rx.interface());
        for rx in self.rx.iter().filter(|rx| is_meant(rx)) {
            rx.check_limits(limits)?;
        }
        for (rx, tx) in self.rx.iter_mut().zip(&mut self.tx) {
            if is_meant(rx) {
                rx.set_limits(limits, tx.get_mut())?;
            }
        }
        Ok(())
    }

    /// Gives all queues their share of the chunks, once these suffice for all. To be
    /// called now and then.
    pub(crate) fn even_out(&mut self) {
        self.umem.even_out();
    }

    /// Finds the routes among the xsks as they are now.
    fn route(&mut self) {
        let endpoint = |(rx, tx): (&RxHalf, &RefCell<TxHalf>)| Endpoint {
            interface: rx.interface(),
            queue: rx.queue(),
            xsk: rx.xsk(),
            sends: tx.borrow().sends(),
        };
        let endpoints: Vec<_> = self.rx.iter().zip(&self.tx).map(endpoint).collect();
        self.routes = Routes::new(&endpoints);
    }

    pub(crate) fn set_batch_size(&mut self, frames: u32) {
        self.batch_size = frames;
    }

    /// One round, and the application's [`idle`](Application::idle) if no xsk had
    /// anything.
    ///
    /// # Errors
    ///
    /// When an interface is gone.
    #[inline]
    pub(crate) fn round_or_idle(
        &mut self,
        application: &mut impl Application,
    ) -> Result<Round, Error> {
        let mut round = self.serve(application);
        if round == Round::Nothing {
            let until = match self.call(|out| application.idle(out)) {
                Idle::Sleep => None,
                Idle::Until(at) => Some(at),
                Idle::Again => {
                    round = Round::Progress;
                    None
                }
            };
            self.attention.set_idle_until(until);
        }
        self.wake()?;
        Ok(round)
    }

    /// Calls the application for another reason than frames. What it sends leaves with
    /// the next round.
    #[inline]
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Outbox<'_>) -> T) -> T {
        let routes = self.routes.from(0);
        let attention = &self.attention;
        let mut out = Outbox::new(
            &self.umem,
            &self.tx,
            &mut self.refusals,
            0,
            routes,
            attention,
            &self.passes,
        );
        call(&mut out)
    }

    /// One round.
    ///
    /// # Errors
    ///
    /// When an interface is gone.
    pub(crate) fn round(&mut self, application: &mut impl Application) -> Result<Round, Error> {
        let round = self.serve(application);
        self.wake()?;
        Ok(round)
    }

    /// A round but for the wake-ups.
    #[inline]
    fn serve(&mut self, application: &mut impl Application) -> Round {
        let mut round = Round::Nothing;
        for tx in &mut self.tx {
            if tx.get_mut().complete() > 0 {
                round = Round::Progress;
            }
        }
        // Whatever completes may be of any xsk of its queue.
        if (round == Round::Progress || self.has_unread) && self.report(application) {
            round = Round::Progress;
        }
        if self.passes.complete() {
            round = Round::Progress;
        }
        for source in 0..self.rx.len() {
            let rx = &mut self.rx[source];
            rx.top_up();
            if !rx.has_frames() {
                continue;
            }
            let before = rx.counters().frames;
            let batch = rx.receive(self.batch_size);
            if batch.is_empty() {
                continue;
            }
            let routes = self.routes.from(source);
            let (tx, refusals) = (&self.tx, &mut self.refusals);
            let (attention, passes) = (&self.attention, &self.passes);
            let mut out = Outbox::new(&self.umem, tx, refusals, source, routes, attention, passes);
            application.receive(batch, &mut out);
            if self.rx[source].counters().frames != before {
                round = Round::Progress;
            }
        }
        round
    }

    /// Has the application read completions, and returns whether it did.
    #[inline]
    fn report(&mut self, application: &mut impl Application) -> bool {
        self.has_unread = (self.tx.iter_mut()).any(|tx| tx.get_mut().has_completions());
        self.has_unread && self.report_each(application)
    }

    #[inline(never)]
    fn report_each(&mut self, application: &mut impl Application) -> bool {
        let mut is_any_read = false;
        for source in 0..self.tx.len() {
            let queue = self.tx[source].get_mut().completion_queue();
            let before = queue.completions().len();
            if before == 0 {
                continue;
            }
            let routes = self.routes.from(source);
            let (tx, refusals) = (&self.tx, &mut self.refusals);
            let (attention, passes) = (&self.attention, &self.passes);
            let mut out = Outbox::new(&self.umem, tx, refusals, source, routes, attention, passes);
            application.completed(queue.completions(), &mut out);
            is_any_read |= queue.completions().len() != before;
        }
        is_any_read
    }

    /// Ends all transmissions that are to be reported, and has the application read what
    /// became of them. Nothing is sent any more.
    pub(crate) fn end_transmissions(&mut self, application: &mut impl Application) {
        self.tx.iter_mut().for_each(|tx| tx.get_mut().end());
        // An application that reads a few at a time has no further round to do it in.
        while self.report(application) {}
    }

    #[inline]
    fn wake(&mut self) -> Result<(), Error> {
        let sent_nothing = self.tx.iter_mut().all(|tx| tx.get_mut().is_known_empty());
        if sent_nothing && self.passes.are_known_empty() {
            return Ok(());
        }
        self.wake_with(TxHalf::wake)
    }

    /// Wakes the kernel although it does not ask, in case the request was missed.
    ///
    /// # Errors
    ///
    /// When an interface is gone.
    pub(crate) fn wake_regardless(&mut self) -> Result<(), Error> {
        self.wake_with(TxHalf::wake_regardless)
    }

    fn wake_with(
        &mut self,
        wake: impl Fn(&mut TxHalf) -> Result<(), WakeError>,
    ) -> Result<(), Error> {
        let mut outcome = if self.passes.is_empty() {
            Ok(())
        } else {
            self.passes.wake_with(&wake)
        };
        for (position, tx) in self.tx.iter_mut().enumerate() {
            let tx = tx.get_mut();
            // Once it has said no, asking again does harm: Linux 6.18 adds an
            // entry to the completion ring each time that it refuses a frame's
            // metadata.
            if self.dead[position] || tx.is_down() {
                continue;
            }
            let interface = || self.names[position].clone();
            let error = match wake(tx) {
                Ok(()) => continue,
                // What follows from that is the supervisor's to say.
                Err(WakeError::Down) => {
                    tx.set_down(true);
                    continue;
                }
                Err(WakeError::Gone) => Error::InterfaceLost {
                    interface: interface(),
                    what: REMOVED,
                },
                Err(WakeError::Other(source)) => Error::Send {
                    interface: interface(),
                    source,
                },
            };
            self.dead[position] = true;
            outcome = Err(error);
        }
        outcome
    }

    /// Takes no more frames for interfaces that are down, and frames again for those
    /// that are up again.
    pub(crate) fn follow(&mut self, links: &DownLinks) {
        for (rx, tx) in self.rx.iter().zip(&mut self.tx) {
            let (tx, is_down) = (tx.get_mut(), links.is_down(rx.interface()));
            if tx.is_down() != is_down {
                tx.set_down(is_down);
            }
        }
        self.passes.follow(links);
    }

    /// Whether the kernel has frames that can still complete.
    pub(crate) fn has_frames_in_flight(&mut self) -> bool {
        if self.is_passing() {
            return true;
        }
        let mut all = self.tx.iter().zip(&self.dead);
        all.any(|(tx, dead)| {
            let tx = tx.borrow();
            !dead && tx.takes_frames() && tx.in_flight() > 0
        })
    }

    pub(crate) fn umem(&self) -> &Umem {
        &self.umem
    }

    pub(crate) fn attention(&self) -> &Rc<Attention> {
        &self.attention
    }

    /// Whether frames are on their way to a stack.
    pub(crate) fn is_passing(&mut self) -> bool {
        self.passes.is_sending()
    }

    /// What the frames in transmit of each xsk do.
    pub(crate) fn transmissions(&self) -> impl Iterator<Item = Transmissions> {
        let all = self.tx.iter().zip(&self.dead);
        all.map(|(tx, &dead)| {
            let tx = tx.borrow();
            Transmissions {
                in_flight: tx.in_flight(),
                completed: tx.counters().completed,
                is_explained: dead || tx.is_down(),
            }
        })
    }

    /// The state of the xsk at `position`, to be reported. Makes a system call.
    pub(crate) fn stall(&mut self, position: usize) -> (InterfaceId, TransmitStall) {
        let (rx, tx) = (&self.rx[position], self.tx[position].get_mut());
        let stall = TransmitStall {
            queue: rx.queue().get(),
            xsk: rx.xsk().0,
            in_flight: tx.in_flight(),
            pending: tx.pending(),
            kernel: rx.kernel_statistics().unwrap_or_default(),
        };
        (rx.interface(), stall)
    }

    /// The receiving halves.
    pub(crate) fn receiving(&self) -> &[RxHalf] {
        &self.rx
    }

    /// Both halves of each xsk.
    pub(crate) fn halves(&mut self) -> impl Iterator<Item = (&mut RxHalf, &mut TxHalf)> {
        let sending = self.tx.iter_mut().map(RefCell::get_mut);
        self.rx.iter_mut().zip(sending)
    }

    /// Each xsk with the name of its interface.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &RxHalf)> {
        self.names.iter().map(String::as_str).zip(&self.rx)
    }

    /// Drops what came of frames whose end is still to come, and takes the audit.
    pub(crate) fn abandon(&mut self) -> Audit {
        self.rx.iter_mut().for_each(RxHalf::abandon);
        self.umem.audit()
    }

    /// Ring entries from the kernel that failed a check.
    pub(crate) fn violations(&self) -> u64 {
        let halves = self.rx.iter().zip(&self.tx);
        halves
            .map(|(rx, tx)| rx.violations() + tx.borrow().violations())
            .sum::<u64>()
            + self.passes.violations()
    }

    /// The counters of each xsk of worker `worker`. A system call for each that has
    /// a socket.
    pub(crate) fn counters(&mut self, worker: usize) -> Vec<XskStats> {
        for (rx, kernel) in self.rx.iter().zip(&mut self.kernel) {
            // A counter that cannot be read stays what it was.
            let now = rx.kernel_statistics().unwrap_or(*kernel);
            // The kernel counts first that the fill ring is empty and then the frame,
            // so that between the two there seem to be fewer that were too long.
            if rx.too_long(&now) >= rx.too_long(kernel) {
                *kernel = now;
            }
        }
        self.passes.look();
        let positions = 0..self.rx.len();
        positions
            .map(|position| self.xsk_stats(position, worker))
            .collect()
    }

    /// The counters at the very end: what the kernel still has is unfinished.
    pub(crate) fn last_counters(&mut self, worker: usize) -> Vec<XskStats> {
        let mut all = self.counters(worker);
        for XskStats { counters, .. } in &mut all {
            let unfinished = std::mem::take(&mut counters.tx_in_flight);
            counters.drops.set(DropReason::TxUnfinished, unfinished);
        }
        all
    }

    fn xsk_stats(&self, position: usize, worker: usize) -> XskStats {
        let (rx, tx) = (&self.rx[position], self.tx[position].borrow());
        let (received, sent) = (rx.counters(), tx.counters());
        let kernel = self.kernel[position];
        let refusals = self.refusals[position];
        let mut drops = Drops::default();
        let too_long = rx.too_long(&kernel);
        drops.set(DropReason::RxNoChunk, kernel.rx_dropped - too_long);
        drops.set(DropReason::RxTooLong, too_long);
        drops.set(DropReason::RxRingFull, kernel.rx_ring_full);
        drops.set(DropReason::RxThrottled, received.throttled);
        drops.set(DropReason::RxInvalid, received.invalid);
        drops.set(DropReason::Application, rx.discarded());
        drops.set(DropReason::ImpairedLoss, refusals.impaired_loss);
        drops.set(DropReason::ImpairedLimit, refusals.impaired_limit);
        drops.set(DropReason::TxRingFull, refusals.ring_full);
        drops.set(DropReason::TxLimit, refusals.limit);
        drops.set(DropReason::TxNoChunk, refusals.no_chunk);
        drops.set(DropReason::TxRefused, refusals.refused);
        drops.set(DropReason::TxLinkDown, refusals.link_down);
        drops.set(DropReason::TxCompletionsFull, refusals.completions_full);
        drops.set(DropReason::TxKernel, sent.dropped_by_kernel);
        drops.set(DropReason::TxInvalid, kernel.tx_invalid_descs);
        let mut counters = Counters {
            frames_made: sent.made + refusals.made,
            rx_frames: received.frames,
            rx_bytes: received.bytes,
            rx_held_back: received.held_back,
            rx_copied_out: received.copied_out,
            limit_reached: received.limited,
            tx_frames: sent
                .completed
                .saturating_sub(sent.dropped_by_kernel + kernel.tx_invalid_descs),
            tx_bytes: sent.bytes,
            tx_in_flight: u64::from(tx.in_flight()),
            drops,
            frames_copied_out: rx.copied_out().0,
            frames_not_copied: rx.copied_out().1,
            frames_copied_in: sent.copied_in,
            tx_wakeups: sent.wakeups,
            kernel,
            // What the XDP program counted is the engine's to add.
            ..Counters::default()
        };
        let interface = rx.interface();
        let mut before = self.rx[..position].iter();
        if before.all(|other| other.interface() != interface) {
            self.passes.add_to(interface, &mut counters);
        }
        if position == 0 {
            self.passes.add_lost_to(&mut counters);
        }
        XskStats {
            interface,
            queue: rx.queue().get(),
            xsk: rx.xsk().0,
            worker,
            limits: rx.limits(&tx),
            usage: rx.usage(&tx),
            counters,
        }
    }
}
