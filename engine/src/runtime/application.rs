//! What a packet application implements.

use crate::memory::Umem;
use crate::runtime::outbox::Outbox;
use crate::xsk::{Batch, BindReport, Completions};

/// A packet application. The engine makes one per worker, on the worker's
/// thread, so it needs no lock and need not be `Send`.
///
/// It receives every frame of the queues that the engine drives, ARP included: the
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

    /// Reads what the kernel is done with of what was to be
    /// [reported](Outbox::send_tagged) of one xsk. Called once in every round in which
    /// there is something, before frames are received. What it leaves is there again in
    /// the next round; by default it leaves nothing, and drops the frames that came back.
    ///
    /// It is called once more at the end, when nothing can be sent any more, with what
    /// is [aborted](crate::Outcome::Aborted), so that every transmission that was to be
    /// reported is, once.
    fn completed(&mut self, completions: Completions<'_>, out: &mut Outbox<'_>) {
        let _ = out;
        completions.for_each(drop);
    }

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
#[non_exhaustive]
pub enum Idle {
    /// The worker may wait for frames, as its [`Wait`](crate::Wait) policy says.
    Sleep,
    /// The worker goes on at once.
    Again,
}

/// What an application knows of its worker when it is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
