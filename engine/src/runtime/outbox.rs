//! Where an application sends frames.
//!
//! The outbox keeps the sending half that was used last borrowed, so a row of frames
//! to one interface costs a comparison each beside the xsk itself.

use std::cell::{RefCell, RefMut};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use crate::kernel::InterfaceId;
use crate::memory::{Frame, Umem};
use crate::runtime::Error;
use crate::runtime::attention::Attention;
use crate::runtime::passes::Passes;
use crate::runtime::routes::RoutesFrom;
use crate::runtime::waker::Waker;
use crate::runtime::watched::{Interest, WatchToken};
use crate::xsk::{TransmitError, TxHalf};

/// Where a worker's application sends frames.
///
/// It ends with the call that it was handed to:
///
/// ```compile_fail
/// struct Keeps<'a>(Option<&'a mut wharf::Outbox<'a>>);
///
/// impl<'a> wharf::Application for Keeps<'a> {
///     fn receive(&mut self, _: wharf::Batch<'_>, out: &mut wharf::Outbox<'_>) {
///         self.0 = Some(out);
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Outbox<'a> {
    umem: &'a Umem,
    xsks: &'a [RefCell<TxHalf>],
    refusals: &'a mut [Refusals],
    routes: &'a RoutesFrom,
    /// The position of the xsk that the batch came from.
    source: usize,
    /// The interface that `tx` sends to.
    to: InterfaceId,
    tx: RefMut<'a, TxHalf>,
    attention: &'a Attention,
    passes: &'a Passes,
}

/// Why an application drops a frame that it could send: see [`Outbox::discard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discard {
    /// To impair the traffic: [`DropReason::ImpairedLoss`](crate::DropReason).
    Loss,
    /// Because it delays as many as it may:
    /// [`DropReason::ImpairedLimit`](crate::DropReason).
    Limit,
}

/// Frames that an outbox could not send, and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) ring_full: u64,
    pub(crate) limit: u64,
    pub(crate) no_chunk: u64,
    pub(crate) refused: u64,
    pub(crate) link_down: u64,
    pub(crate) completions_full: u64,
    pub(crate) impaired_loss: u64,
    pub(crate) impaired_limit: u64,
    /// Of all those, the ones that the application had made, not received.
    pub(crate) made: u64,
}

/// Bytes of what the stack takes off a frame before it looks at the rest.
const ETHERNET_HEADER: usize = 14;

impl<'a> Outbox<'a> {
    /// An outbox for frames that the xsk at `source` received, none of `xsks` being
    /// borrowed.
    #[inline]
    pub(crate) fn new(
        umem: &'a Umem,
        xsks: &'a [RefCell<TxHalf>],
        refusals: &'a mut [Refusals],
        source: usize,
        routes: &'a RoutesFrom,
        attention: &'a Attention,
        passes: &'a Passes,
    ) -> Self {
        let last = routes.last();
        Self {
            umem,
            xsks,
            refusals,
            routes,
            source,
            to: last.to,
            tx: xsks[last.position].borrow_mut(),
            attention,
            passes,
        }
    }
}

impl Outbox<'_> {
    /// Sends `frame` on an interface. If the TX ring is full, the interface is down, or
    /// the frame cannot be sent at all, it is dropped and counted.
    #[inline]
    pub fn send(&mut self, frame: Frame, to: InterfaceId) {
        if let Err(error) = self.try_send(frame, to) {
            self.refuse(error, to);
        }
    }

    /// Sends `frame` out of the interface it came in on, as
    /// [`send`](Self::send) does; on the same queue if that can send.
    #[inline]
    pub fn send_back(&mut self, frame: Frame) {
        self.send(frame, self.routes.interface());
    }

    /// Sends `frame` on an interface, or returns it.
    ///
    /// # Errors
    ///
    /// [`TransmitError`] with the frame when the TX ring is full, as many frames are in
    /// transmit as the [limit](crate::Limits::in_transmit) allows, the interface is down, or the frame cannot be sent at all.
    #[inline]
    pub fn try_send(&mut self, frame: Frame, to: InterfaceId) -> Result<(), TransmitError> {
        if to != self.to && !self.turn_to(to) {
            return Err(TransmitError::NoInterface(frame));
        }
        self.tx.transmit(frame)
    }

    /// As [`send`](Self::send), and has `cookie` reported to
    /// [`Application::completed`](crate::Application::completed) when the kernel is done
    /// with the frame: see [`XskTx::transmit_tagged`](crate::XskTx::transmit_tagged).
    /// Returns whether it will be: not where the frame is dropped and counted.
    #[inline]
    pub fn send_tagged(&mut self, frame: Frame, cookie: u64, to: InterfaceId) -> bool {
        let sent = self.try_send_tagged(frame, cookie, to);
        sent.map_err(|error| self.refuse(error, to)).is_ok()
    }

    /// As [`send_tagged`](Self::send_tagged), or returns the frame.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send), and [`TransmitError::CompletionsFull`].
    #[inline]
    pub fn try_send_tagged(
        &mut self,
        frame: Frame,
        cookie: u64,
        to: InterfaceId,
    ) -> Result<(), TransmitError> {
        if to != self.to && !self.turn_to(to) {
            return Err(TransmitError::NoInterface(frame));
        }
        self.tx.transmit_tagged(frame, cookie)
    }

    /// As [`try_send_tagged`](Self::try_send_tagged), and the completion has the frame
    /// again: see [`XskTx::transmit_returning`](crate::XskTx::transmit_returning).
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn try_send_returning(
        &mut self,
        frame: Frame,
        cookie: u64,
        to: InterfaceId,
    ) -> Result<(), TransmitError> {
        if to != self.to && !self.turn_to(to) {
            return Err(TransmitError::NoInterface(frame));
        }
        self.tx.transmit_returning(frame, cookie)
    }

    /// Transmissions to an interface that are to be reported and have not ended.
    pub fn outstanding(&mut self, to: InterfaceId) -> u32 {
        if to == self.to || self.turn_to(to) {
            self.tx.outstanding()
        } else {
            0
        }
    }

    /// Frames that [`try_send`](Self::try_send) takes now for an interface: zero
    /// also if nothing [can be sent](Self::can_send) on it.
    pub fn room(&mut self, to: InterfaceId) -> u32 {
        if to == self.to || self.turn_to(to) {
            self.tx.room()
        } else {
            0
        }
    }

    /// Whether there will be [room](Self::room) sooner or later: an application that
    /// waits for it asks, and either goes on to wait, or sends regardless, so that frames
    /// are dropped and counted. `false` where there is no such interface, where it is
    /// down ([`OnLinkDown::Wait`](crate::OnLinkDown::Wait)), and where it has lost the
    /// TX queues of this worker.
    pub fn can_send(&mut self, to: InterfaceId) -> bool {
        (to == self.to || self.turn_to(to)) && self.tx.takes_frames()
    }

    /// Passes `frame` to the kernel's stack, as if it had just arrived on the interface it
    /// came in on. If that cannot be, it is dropped and counted, as
    /// [`DropReason::PassRingFull`](crate::DropReason::PassRingFull) and the like.
    ///
    /// The engine has to be [asked for it](crate::EngineBuilder::passing). Frames travel in
    /// batches, with one system call for those of a round, and in the order in which
    /// they were passed; they overtake those that rules pass. The application never sees
    /// them again. The stack sees
    ///
    /// - the bytes as they are now, in one chunk or several, from 14 to 65,549 bytes,
    ///   whatever the interface's MTU. A VLAN tag in them counts as received.
    /// - checksums as they are: undone ones have to be
    ///   [finished](crate::Frame::finish_checksum), which an engine does with what it receives.
    /// - whose the frame is: the host's, or another's if it is not to the interface's MAC
    ///   address.
    /// - no queue that it was received on, and no hash or timestamp of the NIC. Frames
    ///   are not merged (GRO).
    ///
    /// Packet sockets, `tc` and netfilter on the interface have it, as with other frames
    /// there. What the stack does then is its business, and in its counters.
    #[inline]
    pub fn pass(&mut self, frame: Frame) {
        self.pass_to(frame, self.routes.interface());
    }

    /// Passes `frame` to the kernel's stack as if it had just arrived on `interface`. See
    /// [`pass`](Self::pass).
    #[inline]
    pub fn pass_to(&mut self, frame: Frame, interface: InterfaceId) {
        if let Err(error) = self.try_pass_to(frame, interface) {
            self.passes.refuse(error, interface);
        }
    }

    /// [Passes](Self::pass) `frame`, or returns it.
    ///
    /// # Errors
    ///
    /// As of [`try_pass_to`](Self::try_pass_to).
    #[inline]
    pub fn try_pass(&mut self, frame: Frame) -> Result<(), TransmitError> {
        self.try_pass_to(frame, self.routes.interface())
    }

    /// [Passes](Self::pass_to) `frame`, or returns it.
    ///
    /// # Errors
    ///
    /// [`TransmitError::NoPassage`] with the frame if the engine was not
    /// [asked for it](crate::EngineBuilder::passing), or there is no such interface. The others
    /// as of [`try_send`](Self::try_send).
    #[inline]
    pub fn try_pass_to(
        &mut self,
        frame: Frame,
        interface: InterfaceId,
    ) -> Result<(), TransmitError> {
        match self.passes.tx(interface) {
            Some(_) if frame.len() < ETHERNET_HEADER => Err(TransmitError::ShortFirstChunk(frame)),
            // A borrow for each frame: beside the kernel's part it is nothing, and
            // who passes none pays nothing.
            Some(tx) => tx.borrow_mut().transmit(frame),
            None => Err(TransmitError::NoPassage(frame)),
        }
    }

    /// Frames that [`try_pass_to`](Self::try_pass_to) takes now: zero also if nothing can be
    /// passed to the interface's stack.
    pub fn pass_room(&mut self, interface: InterfaceId) -> u32 {
        let tx = self.passes.tx(interface);
        tx.map_or(0, |tx| tx.borrow_mut().room())
    }

    /// Whether there will be [room](Self::pass_room) sooner or later: `false` where the engine
    /// was not asked for it, there is no such interface, or it is down.
    pub fn can_pass(&mut self, interface: InterfaceId) -> bool {
        let tx = self.passes.tx(interface);
        tx.is_some_and(|tx| tx.borrow().takes_frames())
    }

    /// Damages the frame that was sent last to an interface, and of this round:
    /// see [`XskTx::damage`](crate::XskTx::damage).
    ///
    /// # Panics
    ///
    /// When there is none.
    #[cfg(feature = "fault-injection")]
    pub fn damage(
        &mut self,
        to: InterfaceId,
        damage: impl FnOnce(crate::TxDescriptor) -> crate::TxDescriptor,
    ) {
        assert!(
            to == self.to || self.turn_to(to),
            "something was sent there"
        );
        self.tx.damage(0, damage);
    }

    /// Drops `frame`, which was to be sent on an interface, and counts it there for its
    /// reason, instead of as [dropped by the application](crate::DropReason::Application).
    pub fn discard(&mut self, frame: Frame, to: InterfaceId, reason: Discard) {
        let refusals = self.refusals_of(to);
        match reason {
            Discard::Loss => refusals.impaired_loss += 1,
            Discard::Limit => refusals.impaired_limit += 1,
        }
        refusals.made += u64::from(frame.is_made());
        frame.recycle();
    }

    /// Takes a free chunk as an empty frame, or `None` when there is none.
    #[must_use]
    pub fn allocate(&mut self) -> Option<Frame> {
        self.umem.allocate()
    }

    /// The worker's UMEM: to [attach](Umem::attach) frames that come back from
    /// other threads, or to audit.
    #[must_use]
    pub fn umem(&self) -> &Umem {
        self.umem
    }

    /// The time by the worker's clock, which a test may
    /// [move](crate::SimulatedWorker::advance).
    #[must_use]
    pub fn now(&self) -> Instant {
        self.attention.clock.now()
    }

    /// Asks for a call of [`tick`](crate::Application::tick) at `due`, or at once if that
    /// has passed. Of several times the earliest counts, and the call is one: it asks
    /// again for what is not due yet.
    pub fn tick_at(&mut self, due: Instant) {
        self.attention.tick_at(due);
    }

    /// When the next tick is due.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.attention.next_tick()
    }

    /// Wakes the worker from other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.attention.alarm))
    }

    /// Calls [`ready`](crate::Application::ready) whenever `fd` is, from the next round
    /// on: see [`WorkerContext::watch`](crate::WorkerContext::watch).
    ///
    /// # Errors
    ///
    /// [`Error::AlwaysReady`] for a regular file or a directory, and [`Error::System`]
    /// when the kernel cannot watch one more.
    pub fn watch(&mut self, fd: impl AsFd, interest: Interest) -> Result<WatchToken, Error> {
        self.attention.watch(fd.as_fd(), interest)
    }

    /// Watches a descriptor no more. Returns whether it did.
    pub fn unwatch(&mut self, token: WatchToken) -> bool {
        self.attention.watched().remove(token)
    }

    /// Borrows the xsk that sends to an interface, in the place of the one before.
    /// `false` if there is none.
    #[inline(never)]
    fn turn_to(&mut self, to: InterfaceId) -> bool {
        let Some(route) = self.routes.take(to) else {
            return false;
        };
        // Another interface's xsk than the one borrowed.
        self.tx = self.xsks[route.position].borrow_mut();
        self.to = to;
        true
    }

    fn refusals_of(&mut self, to: InterfaceId) -> &mut Refusals {
        let position = self.routes.position(to).unwrap_or(self.source);
        &mut self.refusals[position]
    }

    #[cold]
    fn refuse(&mut self, error: TransmitError, to: InterfaceId) {
        let refusals = self.refusals_of(to);
        match &error {
            TransmitError::RingFull(_) => refusals.ring_full += 1,
            TransmitError::InTransmit(_) => refusals.limit += 1,
            TransmitError::NoChunk(_) => refusals.no_chunk += 1,
            TransmitError::LinkDown(_) => refusals.link_down += 1,
            TransmitError::CompletionsFull(_) => refusals.completions_full += 1,
            _ => refusals.refused += 1,
        }
        let frame = error.into_frame();
        refusals.made += u64::from(frame.is_made());
        frame.recycle();
    }
}
