//! The application that measures: it reflects frames at once or after a time, and notes
//! how late each of its calls comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wharf::{Application, Batch, Frame, InterfaceId, Outbox, WorkerContext};

use super::measure::Measure;

/// When another thread woke the worker, until the worker has looked.
#[derive(Clone)]
pub struct Asked {
    begin: Instant,
    /// Nanoseconds since `begin`; zero when nothing is asked.
    at: Arc<AtomicU64>,
}

impl Asked {
    pub fn new() -> Self {
        Self {
            begin: Instant::now(),
            at: Arc::default(),
        }
    }

    pub fn ask(&self) {
        let now = nanoseconds(self.begin.elapsed());
        self.at.store(now.max(1), Ordering::Relaxed);
    }

    pub fn is_open(&self) -> bool {
        self.at.load(Ordering::Relaxed) != 0
    }

    /// Takes when it was asked.
    fn take(&self) -> Option<Instant> {
        let at = self.at.swap(0, Ordering::Relaxed);
        (at != 0).then(|| self.begin + Duration::from_nanos(at))
    }
}

/// What the application found.
pub struct Findings {
    /// How late calls or frames were, in nanoseconds.
    pub late: Histogram<u64>,
    /// Frames that were held and left when they were due.
    pub held_frames: u64,
    /// The most at a time.
    pub most_held: usize,
}

/// The application.
pub struct Probe {
    measure: Measure,
    asked: Asked,
    late: Histogram<u64>,
    /// When the next tick is due.
    due: Instant,
    /// Frames and when they are to leave, in order.
    held: VecDeque<(Instant, Frame)>,
    held_frames: u64,
    most_held: usize,
    findings: Sender<Findings>,
}

impl Probe {
    pub fn new(
        measure: Measure,
        asked: Asked,
        findings: Sender<Findings>,
        context: &WorkerContext,
    ) -> Self {
        let mut due = context.now();
        if let Measure::Tick(interval) = measure {
            due += interval;
            context.tick_at(due);
        }
        Self {
            measure,
            asked,
            late: Histogram::new(3).expect("three digits are allowed"),
            due,
            held: VecDeque::new(),
            held_frames: 0,
            most_held: 0,
            findings,
        }
    }

    /// Sends the frames that are due, as long as there is room.
    fn let_go(&mut self, now: Instant, out: &mut Outbox<'_>) {
        while self.held.front().is_some_and(|(due, _)| *due <= now)
            && let Some((due, frame)) = self.held.pop_front()
        {
            if let Err(refused) = out.try_send(frame, InterfaceId(0)) {
                self.held.push_front((due, refused.into_frame()));
                out.tick_at(now + FULL_RING);
                return;
            }
            self.note(out.now().duration_since(due));
            self.held_frames += 1;
        }
        if let Some((first, _)) = self.held.front() {
            out.tick_at(*first);
        }
    }

    fn note(&mut self, late: Duration) {
        // A histogram that grows takes every value.
        let _ = self.late.record(nanoseconds(late));
    }
}

impl Application for Probe {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let Measure::Hold(time) = self.measure else {
            batch.for_each(|frame| out.send_back(frame));
            return;
        };
        let due = out.now() + time;
        self.held.extend(batch.map(|frame| (due, frame)));
        self.most_held = self.most_held.max(self.held.len());
        if let Some((first, _)) = self.held.front() {
            out.tick_at(*first);
        }
    }

    fn woken(&mut self, out: &mut Outbox<'_>) {
        if let Some(at) = self.asked.take() {
            self.note(out.now().saturating_duration_since(at));
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox<'_>) {
        match self.measure {
            Measure::Wake => {}
            Measure::Tick(interval) => {
                // One call stands for all that it came too late for.
                while self.due <= now {
                    self.note(now.duration_since(self.due));
                    self.due += interval;
                }
                out.tick_at(self.due);
            }
            Measure::Hold(_) => self.let_go(now, out),
        }
    }

    fn finish(&mut self, out: &mut Outbox<'_>) {
        self.held
            .drain(..)
            .for_each(|(_, frame)| out.send_back(frame));
        // Whoever does not listen does not want it.
        let _ = self.findings.send(Findings {
            late: self.late.clone(),
            held_frames: self.held_frames,
            most_held: self.most_held,
        });
    }
}

/// What a full TX ring may take to have room again.
const FULL_RING: Duration = Duration::from_micros(100);

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
