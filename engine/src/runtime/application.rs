//! What a packet application implements, and what it is handed.

use crate::kernel::QueueIndex;
use crate::kernel::XskIndex;
use crate::kernel::interface_id::InterfaceId;
use crate::memory::Umem;
use crate::memory::frame::Frame;
use crate::xsk::BindReport;
use crate::xsk::{Batch, TransmitError, XskTx};

/// A packet application. The engine makes one per worker, on the worker's
/// thread, so it needs no lock and need not be `Send`.
///
/// It gets every frame of the queues that the engine drives, ARP included: the
/// kernel's own stack on those interfaces hears nothing while it runs. Where
/// [several xsks](crate::EngineBuilder::xsks_per_queue) share a queue, a batch has
/// the frames of one of them, which [`Batch::xsk`] names.
///
/// ```
/// struct Reflect;
///
/// impl wharf::Application for Reflect {
///     fn receive(&mut self, batch: wharf::Batch<'_>, out: &mut wharf::Outbox<'_>) {
///         for mut frame in batch {
///             frame.swap_mac_addresses();
///             out.send_back(frame); // dropped and counted if the ring is full
///         }
///     }
/// }
/// ```
pub trait Application {
    /// Handles received frames of one xsk of a queue. Frames that it leaves in the batch
    /// stay in the RX ring and come again in the next round.
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>);

    /// Called once in every round in which no queue had a frame. An application
    /// that sends of its own accord does it here; it asks for the next call
    /// without a sleep by returning [`Idle::Again`].
    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        let _ = out;
        Idle::Sleep
    }
}

/// What an application wants after a round without frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// The worker may wait for frames, as its [`Wait`](crate::Wait) policy says.
    Sleep,
    /// The worker goes on at once.
    Again,
}

/// Where a worker's application sends frames.
#[derive(Debug)]
pub struct Outbox<'a> {
    pub(crate) umem: &'a Umem,
    pub(crate) queues: &'a mut [XskTx],
    pub(crate) refusals: &'a mut [Refusals],
    /// The place in `queues` of the queue that the batch came from.
    pub(crate) source: usize,
    /// The sending queue for each interface, for frames from there.
    pub(crate) routes: &'a [Option<usize>],
}

/// Frames that an outbox could not send, and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) ring_full: u64,
    pub(crate) refused: u64,
    /// Of all those, the ones that the application had made, not received.
    pub(crate) made: u64,
}

/// Which of a worker's queues sends frames from a queue to an interface.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// For each source queue: the place of the sending queue of each interface.
    rows: Vec<Vec<Option<usize>>>,
}

/// A queue as [`Routes`] sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) interface: InterfaceId,
    pub(crate) queue: QueueIndex,
    pub(crate) xsk: XskIndex,
    /// Whether it can send.
    pub(crate) sends: bool,
}

impl Routes {
    /// Routes among the queues at `stops`: to the same index on the other
    /// interface where the worker has that and it sends, else to its first
    /// sending queue there; to the xsk of the same number on it. So the frames of
    /// a flow stay on one queue, and flows that xsks tell apart do not fill each
    /// other's TX ring.
    pub(crate) fn new(stops: &[Stop]) -> Self {
        let ids = stops.iter().map(|stop| stop.interface.0 + 1);
        let interfaces = ids.max().unwrap_or(0);
        let row = |source: &Stop| {
            let route = |id| {
                let sends =
                    |(_, stop): &(usize, &Stop)| stop.sends && stop.interface == InterfaceId(id);
                // The best is the first of the fewest differences.
                let differences = |(_, stop): &(usize, &Stop)| {
                    (stop.queue != source.queue, stop.xsk != source.xsk)
                };
                let candidates = stops.iter().enumerate().filter(sends);
                candidates.min_by_key(differences).map(|(place, _)| place)
            };
            (0..interfaces).map(route).collect()
        };
        Self {
            rows: stops.iter().map(row).collect(),
        }
    }

    /// The routes of frames that came in on the queue at `source`.
    pub(crate) fn row(&self, source: usize) -> &[Option<usize>] {
        &self.rows[source]
    }
}

impl Outbox<'_> {
    /// Sends `frame` on an interface. If the TX ring is full, or the frame
    /// cannot be sent at all, it is dropped and counted.
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
        self.send(frame, self.queues[self.source].interface());
    }

    /// Sends `frame` on an interface, or gives it back.
    ///
    /// # Errors
    ///
    /// [`TransmitError`] with the frame when the TX ring is full, or the frame
    /// cannot be sent at all.
    #[inline]
    pub fn try_send(&mut self, frame: Frame, to: InterfaceId) -> Result<(), TransmitError> {
        match self.route(to) {
            Some(place) => self.queues[place].transmit(frame),
            None => Err(TransmitError::NoInterface(frame)),
        }
    }

    /// Frames that [`try_send`](Self::try_send) takes now for an interface: zero
    /// also if there is no such interface.
    pub fn room(&mut self, to: InterfaceId) -> u32 {
        self.route(to).map_or(0, |place| self.queues[place].room())
    }

    /// Damages the frame that was sent last to an interface, and of this round:
    /// see [`XskTx::damage`].
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
        let place = self.route(to).expect("something was sent there");
        self.queues[place].damage(0, damage);
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

    #[inline]
    fn route(&self, InterfaceId(to): InterfaceId) -> Option<usize> {
        self.routes.get(to).copied().flatten()
    }

    #[cold]
    fn refuse(&mut self, error: TransmitError, to: InterfaceId) {
        let place = self.route(to).unwrap_or(self.source);
        let refusals = &mut self.refusals[place];
        match &error {
            TransmitError::RingFull(_) => refusals.ring_full += 1,
            _ => refusals.refused += 1,
        }
        let frame = error.into_frame();
        refusals.made += u64::from(frame.is_made());
        frame.recycle();
    }
}

/// What an application is told about its worker when it is made.
#[derive(Clone, Debug)]
pub struct WorkerContext {
    /// The worker, from 0.
    pub worker: usize,
    /// The CPU the worker is pinned to.
    pub cpu: Option<usize>,
    /// The worker's UMEM; the handle may be kept.
    pub umem: Umem,
    /// The worker's queues, and what each of them got.
    pub queues: Vec<BindReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(interface: usize, index: u32) -> Stop {
        Stop {
            interface: InterfaceId(interface),
            queue: QueueIndex::new(index).expect("a small index"),
            xsk: XskIndex(0),
            sends: true,
        }
    }

    #[test]
    fn route_keeps_the_queue_index_where_it_can() {
        let routes = Routes::new(&[stop(0, 1), stop(0, 3), stop(1, 1), stop(1, 3)]);

        assert_eq!(routes.row(0), [Some(0), Some(2)]);
        assert_eq!(routes.row(1), [Some(1), Some(3)]);
        assert_eq!(routes.row(3), [Some(1), Some(3)]);
    }

    #[test]
    fn route_falls_back_to_the_first_queue_of_the_interface() {
        let routes = Routes::new(&[stop(0, 0), stop(0, 2), stop(1, 0)]);

        assert_eq!(routes.row(1), [Some(1), Some(2)]);
    }

    #[test]
    fn route_keeps_the_xsk_where_it_can() {
        let xsk = |interface, queue, xsk| Stop {
            xsk: XskIndex(xsk),
            ..stop(interface, queue)
        };
        let routes = Routes::new(&[
            xsk(0, 0, 0),
            xsk(0, 0, 1),
            xsk(0, 1, 0),
            xsk(0, 1, 1),
            xsk(1, 0, 0),
            xsk(1, 0, 1),
        ]);

        assert_eq!(routes.row(0), [Some(0), Some(4)]);
        assert_eq!(routes.row(1), [Some(1), Some(5)]);
        assert_eq!(routes.row(3), [Some(3), Some(5)]);
    }

    #[test]
    fn route_avoids_queues_that_cannot_send() {
        let deaf = Stop {
            sends: false,
            ..stop(0, 1)
        };
        let routes = Routes::new(&[stop(0, 0), deaf]);

        assert_eq!(routes.row(1), [Some(0)]);
        assert_eq!(Routes::new(&[deaf]).row(0), [None]);
    }
}
