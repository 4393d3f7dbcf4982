//! The application of both ends: the near one also makes frames, as many as fit; both do
//! with a received one whatever comes to mind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wharf::{
    Application, Batch, Completions, Frame, Idle, InterfaceId, Outbox, Umem, WorkerContext,
};

use super::content::{LONGEST, SHORTEST, fill, is_whole};
use super::cookies::Cookies;
use super::far::Far;
use super::random::Random;
use super::tally::{Tally, count};

/// The engine's only interface.
const HERE: InterfaceId = InterfaceId(0);
/// Threads that frames are detached to.
const FAR_THREADS: usize = 2;
/// Frames held at most.
const HELD: usize = 1024;
/// Batches between two audits.
const AUDITED: u64 = 64;
/// How long frames are held at the most without one coming.
const TICK: Duration = Duration::from_millis(2);
/// Frames made at a time.
const MADE: u32 = 64;

/// What one end does.
pub struct Soaked {
    makes: Option<Arc<AtomicBool>>,
    made: u64,
    random: Random,
    held: VecDeque<Frame>,
    far: Far,
    cookies: Cookies,
    batches: u64,
    tally: Arc<Tally>,
}

impl Soaked {
    /// An end that makes frames for as long as `makes` is set, if there is one.
    pub fn new(
        context: &WorkerContext,
        seed: u64,
        makes: Option<Arc<AtomicBool>>,
        tally: &Arc<Tally>,
    ) -> Self {
        let stream = u64::from(makes.is_some());
        Self {
            makes,
            made: 0,
            random: Random::new(seed, stream),
            held: VecDeque::with_capacity(HELD),
            far: Far::new(
                FAR_THREADS,
                seed.wrapping_add(stream),
                &context.waker(),
                tally,
            ),
            cookies: Cookies::new(),
            batches: 0,
            tally: Arc::clone(tally),
        }
    }

    fn check(&self, bytes: &[u8]) {
        if !is_whole(bytes) {
            count(&self.tally.corrupt);
            self.tally.fail(|| "a frame is not what it was".to_owned());
        }
    }

    /// Sends a frame in one of three ways, or drops it where there is no room.
    fn send(&mut self, frame: Frame, out: &mut Outbox<'_>) {
        let cookie = if self.random.percent(50) {
            self.cookies.pick()
        } else {
            None
        };
        let Some(cookie) = cookie else {
            return out.send(frame, HERE);
        };
        let is_sent = if self.random.percent(50) {
            out.send_tagged(frame, cookie, HERE)
        } else {
            // What is refused is dropped here.
            out.try_send_returning(frame, cookie, HERE).is_ok()
        };
        if is_sent {
            self.cookies.note_sent(cookie);
            count(&self.tally.tagged);
        }
    }

    fn handle(&mut self, frame: Frame, out: &mut Outbox<'_>) {
        self.check(&frame);
        count(&self.tally.received);
        match self.random.below(10) {
            0..=3 => count(&self.tally.dropped),
            4..=6 => self.send(frame, out),
            7..=8 => {
                count(&self.tally.held);
                if self.held.len() == HELD {
                    self.held.pop_front();
                }
                self.held.push_back(frame);
            }
            _ => {
                count(&self.tally.detached);
                self.far.take(frame.detach());
            }
        }
    }

    /// Lets go of some held frames.
    fn release(&mut self, most: usize, out: &mut Outbox<'_>) {
        for _ in 0..most {
            let Some(frame) = self.held.pop_front() else {
                return;
            };
            self.check(&frame);
            if self.random.percent(50) {
                self.send(frame, out);
            }
        }
    }

    fn make(&mut self, out: &mut Outbox<'_>) -> bool {
        let Some(makes) = &self.makes else {
            return false;
        };
        if !makes.load(Ordering::Relaxed) {
            return false;
        }
        let room = out.room(HERE).min(MADE);
        for _ in 0..room {
            let Some(mut frame) = out.allocate() else {
                break;
            };
            // Mostly short ones.
            let most = if self.random.percent(90) {
                SHORTEST
            } else {
                LONGEST
            };
            let len = SHORTEST + self.random.below(most - SHORTEST + 1);
            let Ok(bytes) = frame.grow_back(len) else {
                break;
            };
            self.made += 1;
            fill(bytes, self.made);
            self.send(frame, out);
        }
        room > 0
    }

    fn audit(&mut self, umem: &Umem) {
        self.batches += 1;
        if !self.batches.is_multiple_of(AUDITED) {
            return;
        }
        let audit = umem.audit();
        count(&self.tally.audits);
        if !audit.is_balanced() {
            self.tally
                .fail(|| format!("the audit does not balance: {audit:?}"));
        }
    }
}

impl Application for Soaked {
    fn receive(&mut self, mut batch: Batch<'_>, out: &mut Outbox<'_>) {
        self.audit(out.umem());
        // Now and then some are left.
        let most = if self.random.percent(5) {
            self.random.below(16) as usize
        } else {
            usize::MAX
        };
        for frame in batch.by_ref().take(most) {
            self.handle(frame, out);
        }
        drop(batch);
        if self.random.percent(30) {
            let most = self.random.below(64) as usize;
            self.release(most, out);
        }
        out.tick_at(Instant::now() + TICK);
        self.make(out);
    }

    fn completed(&mut self, completions: Completions<'_>, out: &mut Outbox<'_>) {
        for completion in completions {
            self.cookies.note(&completion);
            let Some(frame) = completion.frame else {
                continue;
            };
            self.check(&frame);
            if self.random.percent(50) {
                count(&self.tally.retransmitted);
                self.send(frame, out);
            } else if self.random.percent(10) {
                count(&self.tally.detached);
                self.far.take(frame.detach());
            }
        }
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.make(out) {
            Idle::Again
        } else {
            Idle::Sleep
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox<'_>) {
        self.release(HELD / 4, out);
        if !self.held.is_empty() {
            out.tick_at(now + TICK);
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        while let Some(frame) = self.far.back() {
            self.check(&frame);
            match out.umem().attach(frame) {
                Ok(frame) => self.send(frame, out),
                Err(_) => self
                    .tally
                    .fail(|| "a frame came back to another UMEM".to_owned()),
            }
        }
    }

    fn finish(&mut self, out: &mut Outbox<'_>) {
        self.far.end();
        self.release(HELD, out);
    }
}

impl Drop for Soaked {
    fn drop(&mut self) {
        self.tally
            .end(self.cookies.counts, self.cookies.outstanding());
    }
}
