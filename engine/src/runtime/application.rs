//! What a packet application implements.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::memory::Umem;
use crate::runtime::Error;
use crate::runtime::attention::Attention;
use crate::runtime::outbox::Outbox;
use crate::runtime::waker::Waker;
use crate::runtime::watched::{Interest, WatchToken};
use crate::xsk::{Batch, BindReport, Completions};

/// A packet application. The engine makes one per worker, on the worker's
/// thread, so it needs no lock and need not be `Send`.
///
/// It receives every frame of the queues that the engine drives, ARP included: the
/// kernel's own stack on those interfaces hears nothing while it runs, but for what
/// the application [passes](Outbox::pass) to it. Where
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
    /// reported is, once. Then it is called again for as long as it reads any.
    fn completed(&mut self, completions: Completions<'_>, out: &mut Outbox<'_>) {
        let _ = out;
        completions.for_each(drop);
    }

    /// Called once in every round in which no queue had a frame: never under full load.
    /// An application that sends of its own accord whenever there is nothing else to
    /// do does it here; what has to happen in time belongs to [`tick`](Self::tick).
    /// It asks for the next call by what it returns.
    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        let _ = out;
        Idle::Sleep
    }

    /// Called once when the time has come that [`Outbox::tick_at`] asked for, whatever the
    /// load, with the time now.
    ///
    /// It comes between two rounds, so it is late by what a round takes: one batch of
    /// each xsk, and what the application does with it. It may come early for those
    /// who asked for a later time: of several the earliest counts, so an application
    /// made of parts calls all of them, and each asks again for what is not due.
    fn tick(&mut self, now: Instant, out: &mut Outbox<'_>) {
        let _ = (now, out);
    }

    /// Called after a [`Waker`] woke the worker, once for all wakes since the call
    /// before. Frames that other threads have dropped are free again by then.
    fn woken(&mut self, out: &mut Outbox<'_>) {
        let _ = out;
    }

    /// Called in every round in which a [watched](Outbox::watch) descriptor was seen to be
    /// ready: at once where the worker sleeps, every 32 rounds where it is busy. It
    /// comes again until the descriptor is ready no more, or is not watched.
    fn ready(&mut self, token: WatchToken, out: &mut Outbox<'_>) {
        let _ = (token, out);
    }

    /// Called once when the engine stops, also where it has failed, but not after the
    /// application panicked. No new frames are steered to it then. Frames that it holds are sent
    /// here, or dropped with it.
    ///
    /// Frames that are still on their way come to [`receive`](Self::receive)
    /// afterwards, and wakes and ticks to theirs, until nothing has come for
    /// 5 milliseconds and all is sent, for a second at the most. None of that waits for
    /// a tick.
    fn finish(&mut self, out: &mut Outbox<'_>) {
        let _ = out;
    }
}

/// What an application wants after a round without frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idle {
    /// The worker may wait for frames, as its [`Wait`](crate::Wait) policy says.
    Sleep,
    /// The same, but for no longer than until this time, when
    /// [`idle`](Application::idle) is called again unless there are frames.
    Until(Instant),
    /// The worker goes on at once.
    Again,
}

/// What an application knows of its worker when it is made, and what it asks of it. It
/// may be kept.
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
    pub(crate) attention: Rc<Attention>,
}

impl WorkerContext {
    /// Wakes the worker from other threads, so that it looks at what they have for it
    /// ([`Application::woken`]) and takes back what they dropped.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.attention.alarm))
    }

    /// The time by the worker's clock: [`Outbox::now`].
    #[must_use]
    pub fn now(&self) -> Instant {
        self.attention.clock.now()
    }

    /// Asks for a tick: [`Outbox::tick_at`].
    pub fn tick_at(&self, due: Instant) {
        self.attention.tick_at(due);
    }

    /// Has the worker wait for `fd` beside its frames, and call
    /// [`Application::ready`] with the token whenever it is ready.
    ///
    /// The worker watches a duplicate. The application keeps what it has, and reads
    /// and writes that without blocking; what is open stays open until it is
    /// [watched no more](Outbox::unwatch), or the worker ends. One descriptor may
    /// be watched several times.
    ///
    /// # Errors
    ///
    /// [`Error::AlwaysReady`] for a regular file or a directory, and [`Error::System`]
    /// when the kernel cannot watch one more.
    pub fn watch(&self, fd: impl AsFd, interest: Interest) -> Result<WatchToken, Error> {
        self.attention.watch(fd.as_fd(), interest)
    }
}
