//! The application that forwards between two interfaces and impairs what it forwards.
//!
//! A frame is decided about as it comes, and held until its time; ticks send what is
//! due, and nothing else does, so that frames of one queue never leave on two. Where a
//! TX ring is full, what is due waits, and no more is received for that direction: so
//! what cannot be sent stays in the RX ring, and not in the queue of delayed frames.

use std::time::{Duration, Instant};

use super::copying::{copy_of, flip};
use super::impairments::{Current, Impairments, State, capacity};
use super::model::{Arrival, Fate, Outcome};
use super::queue::DelayQueue;
use crate::{Application, Batch, Discard, Frame, InterfaceId, Outbox, WorkerContext};

/// Forwards every frame of one interface to the other, and does to it what
/// [`Impairments`] say: an application for an engine with two interfaces, made by
/// [`Impairments::wire`]. Without an impairment, frames are sent as they come.
///
/// Held frames stay in the chunks that they were received into. When the engine stops,
/// they are sent at once.
#[derive(Debug)]
pub struct ImpairedWire {
    impairments: Impairments,
    /// Held frames by the interface that they came in on.
    held: [DelayQueue<Frame>; 2],
    /// Nothing is delayed any more.
    is_ending: bool,
}

/// How long to wait where a TX ring is full.
const RETRY: Duration = Duration::from_micros(50);

impl Impairments {
    /// The application of a worker: it forwards between the first two interfaces of the
    /// engine, and does to each frame what these impairments say.
    ///
    /// ```no_run
    /// use wharf::impairment::Impairments;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let impairments = Impairments::new();
    /// let for_workers = impairments.clone();
    /// let engine = wharf::Engine::builder()
    ///     .interface("eth0")
    ///     .interface("eth1")
    ///     .promiscuous()
    ///     .start(move |context| for_workers.wire(context))?;
    ///
    /// impairments.set(wharf::InterfaceId(0), Some("delay 20ms loss 1%".parse()?))?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wire(&self, context: &WorkerContext) -> ImpairedWire {
        let queues = u32::try_from(context.queues.len()).unwrap_or(u32::MAX);
        let room = capacity(context.umem.chunks(), queues);
        self.note_capacity(room);
        for xsk in &context.queues {
            self.note_allowed(&xsk.limits);
        }
        ImpairedWire::new(self.clone())
    }
}

impl ImpairedWire {
    fn new(impairments: Impairments) -> Self {
        Self {
            impairments,
            held: [DelayQueue::new(), DelayQueue::new()],
            is_ending: false,
        }
    }

    /// Decides about each frame of a batch, and holds those that are sent.
    fn hold(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let from = batch.interface();
        let (now, to) = (out.now(), opposite(from));
        if self.is_stuck(from, now, out) {
            return;
        }
        let impairments = &self.impairments;
        let mut state = impairments.direction(from).lock();
        let State { current, counts } = &mut *state;
        let limit = match current {
            Some(current) => impairments.limit(current),
            None => u32::MAX,
        };
        let held = &mut self.held[from.0];
        for mut frame in batch {
            let room = limit.saturating_sub(u32::try_from(counts.held).unwrap_or(u32::MAX));
            let arrival = Arrival {
                now,
                bytes: frame.total_len(),
                room,
            };
            let fate = match current {
                Some(Current { model, .. }) => model.next(arrival),
                None => Fate::at_once(now),
            };
            if let Some(Outcome::Held(sending)) = fate.copy {
                match copy_of(&frame, out) {
                    Some(mut copy) => {
                        counts.duplicated += 1;
                        counts.held += 1;
                        if let Some(bit) = sending.flip {
                            counts.corrupted += 1;
                            flip(&mut copy, bit);
                        }
                        counts.reordered += u64::from(sending.is_early);
                        held.push(sending.until, copy.hold());
                    }
                    None => counts.not_duplicated += 1,
                }
            }
            match fate.frame {
                Outcome::Lost => {
                    counts.lost += 1;
                    out.discard(frame, to, Discard::Loss);
                }
                Outcome::OverLimit => {
                    counts.over_limit += 1;
                    out.discard(frame, to, Discard::Limit);
                }
                Outcome::Held(sending) => {
                    counts.held += 1;
                    if let Some(bit) = sending.flip {
                        counts.corrupted += 1;
                        flip(&mut frame, bit);
                    }
                    counts.reordered += u64::from(sending.is_early);
                    held.push(sending.until, frame.hold());
                }
            }
        }
        drop(state);
        self.ask_for_tick(now, out);
    }

    /// Whether frames of a direction are due that cannot be sent yet.
    fn is_stuck(&self, from: InterfaceId, now: Instant, out: &mut Outbox<'_>) -> bool {
        let to = opposite(from);
        let is_due = self.held[from.0].next_due().is_some_and(|due| due <= now);
        is_due && out.can_send(to) && out.room(to) == 0
    }

    /// Sends what is due of a direction, as far as there is room; all that is held at the
    /// end.
    fn send_due(&mut self, from: InterfaceId, now: Instant, out: &mut Outbox<'_>) {
        let (held, is_ending) = (&mut self.held[from.0], self.is_ending);
        let to = opposite(from);
        let before = held.len();
        let next = |held: &mut DelayQueue<Frame>| {
            let due = held.next_due()?;
            held.pop(if is_ending { due } else { now })
        };
        'room: loop {
            let room = room(to, out);
            if room == 0 {
                break;
            }
            for _ in 0..room {
                match next(held) {
                    Some(frame) => out.send(frame, to),
                    None => break 'room,
                }
            }
        }
        let sent = (before - held.len()) as u64;
        if sent > 0 {
            let mut state = self.impairments.direction(from).lock();
            state.counts.held = state.counts.held.saturating_sub(sent);
        }
    }

    /// Asks for the next tick, if anything is held.
    fn ask_for_tick(&self, now: Instant, out: &mut Outbox<'_>) {
        for (from, held) in self.held.iter().enumerate() {
            let Some(due) = held.next_due() else {
                continue;
            };
            let due = if self.is_ending {
                now
            } else if self.is_stuck(InterfaceId(from), now, out) {
                now + RETRY
            } else {
                due
            };
            out.tick_at(due);
        }
    }
}

impl Application for ImpairedWire {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let from = batch.interface();
        if from.0 > 1 {
            // Left where it is: a wire has two ends.
            return;
        }
        if self.impairments.direction(from).is_impaired() && !self.is_ending {
            self.hold(batch, out);
        } else {
            forward(batch, out);
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox<'_>) {
        for from in [InterfaceId(0), InterfaceId(1)] {
            self.send_due(from, now, out);
        }
        self.ask_for_tick(now, out);
    }

    fn finish(&mut self, out: &mut Outbox<'_>) {
        self.is_ending = true;
        self.tick(out.now(), out);
    }
}

/// Frames still held belong to nobody's count any more.
impl Drop for ImpairedWire {
    fn drop(&mut self) {
        for (from, held) in self.held.iter().enumerate() {
            let held = held.len() as u64;
            if held > 0 {
                let mut state = self.impairments.direction(InterfaceId(from)).lock();
                state.counts.held = state.counts.held.saturating_sub(held);
            }
        }
    }
}

/// Sends each frame of a batch at once. What there is no room for stays in the RX ring, so
/// a slow receiver slows the wire down before anything is dropped.
fn forward(mut batch: Batch<'_>, out: &mut Outbox<'_>) {
    let to = opposite(batch.interface());
    // The room is in frames of the most chunks, so there may be more of it when so many
    // have been sent.
    loop {
        let room = room(to, out);
        if room == 0 {
            return;
        }
        for _ in 0..room {
            let Some(frame) = batch.next() else {
                return;
            };
            out.send(frame, to);
        }
    }
}

/// Frames to send at once. Waiting for room has no end where nothing can be sent: such
/// frames are dropped, and counted.
fn room(to: InterfaceId, out: &mut Outbox<'_>) -> u32 {
    if out.can_send(to) {
        out.room(to)
    } else {
        u32::MAX
    }
}

fn opposite(InterfaceId(interface): InterfaceId) -> InterfaceId {
    InterfaceId(1 - interface)
}
