//! Watches a running engine: sends the renderer an [`Interval`] a second, unless asked otherwise, and each
//! [`InterfaceEvent`] as it happens, and returns a [`Summary`] at the end.
//!
//! The last interval ends with the engine, so that the intervals add up to the
//! summary's totals to the last frame.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wharf::impairment::Impairments;
use wharf::{Engine, EventKind, KernelCall, Snapshot, explain_refusal};

use crate::control::{Editor, ForwarderInfo, Impairing, ImpairmentEntry, Server, Socket, entries};
use crate::metrics::Scrapes;
use crate::pair::Mtus;
use crate::printable;
use crate::report::{Ending, InterfaceEvent, Interval, Renderer, Setup, Summary, prometheus};

/// How a run ended.
pub struct Outcome {
    pub summary: Summary,
    /// Whether everything could be shown.
    pub output: io::Result<()>,
}

/// What a run needs beside the engine.
pub struct Session<'a> {
    pub renderer: &'a mut dyn Renderer,
    /// Set when standard output has no reader any more, which ends the run, as with
    /// `… | head -1`.
    pub stop: &'a AtomicBool,
    /// The socket on which clients may change the steering.
    pub control: Option<&'a Socket>,
    /// The engine's room for flows, per interface.
    pub flow_capacity: u32,
    /// The time between two intervals; `None` for no intervals.
    pub interval: Option<Duration>,
    /// Scrapes to answer with the engine's counters.
    pub scrapes: Option<Scrapes>,
    /// What is done to frames on their way.
    pub impairments: &'a Impairments,
}

impl Session<'_> {
    /// Runs until `is_over` returns true for the time since the call, or the engine
    /// fails. Then stops the engine.
    ///
    /// Call it in the engine's network namespace: stopping undoes what the engine
    /// did to its interfaces.
    pub fn run(self, engine: Engine, is_over: impl Fn(Duration) -> bool) -> Outcome {
        let info = ForwarderInfo::of(&engine, self.flow_capacity);
        let control = self.control.map(Socket::path);
        let impaired = || entries(self.impairments, &info.interfaces);
        let setup = Setup::of(engine.report())
            .steered(&engine.rules(), &info, control)
            .impaired(&impaired());
        let output = Output {
            stop: self.stop,
            result: self.renderer.setup(&setup),
        };
        output.stop_if_lost();

        let mut reporter = Reporter {
            renderer: self.renderer,
            output,
            setup: &setup,
            before: Snapshot::default(),
            interval: self.interval,
            mtus: setup.mtus().map(Mtus::new),
            events_lost: 0,
            impaired: &impaired,
            impaired_before: impaired(),
        };
        let editor =
            Editor::new(&engine, info.clone()).impairing(Impairing::new(self.impairments.clone()));
        thread::scope(|scope| {
            let server = self
                .control
                .map(|socket| Server::start(scope, socket, &editor));
            if let Some(Err(error)) = &server {
                // Standard error may be closed.
                let _ = writeln!(
                    printable::stderr(),
                    "wharf: cannot take requests: {}",
                    explain_refusal(error, KernelCall::Thread)
                );
            }
            let end = self.scrapes.map(|scrapes| {
                let end = scrapes.ending();
                let render = || {
                    let listing = editor.listing().ok();
                    prometheus(&setup, &engine.stats(), listing.as_ref(), &impaired())
                };
                let thread = thread::Builder::new().name("wharf-scrapes".to_owned());
                // Without the thread, a scrape has what the recorder has.
                let _ = thread.spawn_scoped(scope, move || scrapes.answer(render));
                end
            });
            watch(&engine, is_over, &mut reporter);
            drop(end);
        });
        // The server has ended, so the rules do not change any more.
        let rules = editor.close();

        let was_stopped = self.stop.load(Ordering::Relaxed);
        let end = engine.stop();
        if self.interval.is_some() {
            reporter.interval(end.stats.clone());
        }
        let written = reporter.output.result;
        let ending = match (&written, was_stopped) {
            (Err(_), _) => Ending::OutputLost,
            (Ok(()), true) => Ending::Interrupted,
            (Ok(()), false) => Ending::Finished,
        };
        Outcome {
            summary: Summary::of(setup.clone(), &end, &rules, ending).impaired(impaired()),
            output: written,
        }
    }
}

/// Reports each interval, and what happens at once, until it is over or the engine
/// fails.
fn watch(engine: &Engine, is_over: impl Fn(Duration) -> bool, reporter: &mut Reporter<'_>) {
    let begin = Instant::now();
    let mut next_interval = reporter.interval;
    loop {
        let elapsed = begin.elapsed();
        reporter.events(engine);
        if is_over(elapsed) {
            return;
        }
        let mut pause = POLL_INTERVAL;
        if let (Some(next), Some(interval)) = (&mut next_interval, reporter.interval) {
            if elapsed >= *next {
                reporter.interval(engine.stats());
                *next = next_after(elapsed, interval);
            }
            pause = pause.min(next.saturating_sub(elapsed));
        }
        let is_running = engine.wait(pause);
        if !is_running {
            reporter.events(engine);
            return;
        }
    }
}

/// The next multiple of `interval`: no burst of intervals after a pause.
fn next_after(elapsed: Duration, interval: Duration) -> Duration {
    let past = elapsed.as_nanos() % interval.as_nanos();
    let past = u64::try_from(past).expect("an interval is less than 500 years");
    elapsed + interval - Duration::from_nanos(past)
}

/// Shows what happens while the engine runs.
struct Reporter<'a> {
    renderer: &'a mut dyn Renderer,
    output: Output<'a>,
    setup: &'a Setup,
    /// The counters of the last interval.
    before: Snapshot,
    /// As in [`Session`].
    interval: Option<Duration>,
    /// `None` where there are not two interfaces.
    mtus: Option<Mtus>,
    /// Events that were too many, as far as that was said.
    events_lost: u64,
    /// What impairments did so far.
    impaired: &'a dyn Fn() -> Vec<ImpairmentEntry>,
    /// That of the last interval.
    impaired_before: Vec<ImpairmentEntry>,
}

impl Reporter<'_> {
    /// Shows what was counted up to `now` since the last call.
    fn interval(&mut self, now: Snapshot) {
        let impaired = (self.impaired)();
        let since = impaired.iter().zip(&self.impaired_before);
        let since = since.map(|(now, before)| now.clone().since(before));
        let interval = Interval::between(self.setup, &self.before, &now).impaired(since.collect());
        self.impaired_before = impaired;
        self.output.write(|| self.renderer.interval(&interval));
        self.before = now;
    }

    /// Shows what happened to the interfaces since the last call.
    fn events(&mut self, engine: &Engine) {
        let now = Instant::now();
        for event in engine.events() {
            if let (EventKind::MtuChanged { after, .. }, Some(mtus)) = (&event.kind, &mut self.mtus)
            {
                mtus.change(event.interface.0, &event.name, *after, now);
            }
            let event = InterfaceEvent::of(&event);
            self.output.write(|| self.renderer.event(&event));
        }
        let lost = engine.events_lost() - self.events_lost;
        if lost > 0 {
            self.events_lost += lost;
            // Standard error may be closed.
            let _ = writeln!(
                io::stderr(),
                "wharf: {lost} earlier events are not shown: there were too many at once"
            );
        }
        if let Some(warning) = self.mtus.as_mut().and_then(|mtus| mtus.warning(now)) {
            // Standard error may be closed.
            let _ = writeln!(printable::stderr(), "wharf: {warning}");
        }
    }
}

/// Standard output until the first error.
struct Output<'a> {
    stop: &'a AtomicBool,
    result: io::Result<()>,
}

impl Output<'_> {
    fn write(&mut self, write: impl FnOnce() -> io::Result<()>) {
        if self.result.is_ok() {
            self.result = write();
            self.stop_if_lost();
        }
    }

    fn stop_if_lost(&self) {
        if self.result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Between two reads of the stop flag: soon enough after Ctrl-C, and next to no CPU.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_at_multiples_whatever_the_delay() {
        let next = |elapsed, interval| {
            let [elapsed, interval] = [elapsed, interval].map(Duration::from_millis);
            next_after(elapsed, interval).as_millis()
        };

        assert_eq!(next(1000, 1000), 2000);
        assert_eq!(next(1040, 1000), 2000);
        assert_eq!(next(5900, 1000), 6000);
        assert_eq!(next(1040, 500), 1500);
        assert_eq!(next(10_001, 10_000), 20_000);
    }

    #[test]
    fn lost_output_asks_for_the_end_and_is_not_written_to_again() {
        let stop = AtomicBool::new(false);
        let mut output = Output {
            stop: &stop,
            result: Ok(()),
        };

        output.write(|| Err(io::ErrorKind::BrokenPipe.into()));
        output.write(|| panic!("the output is lost"));

        assert!(stop.load(Ordering::Relaxed));
    }
}
