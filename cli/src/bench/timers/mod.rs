//! `wharf bench timers`: how soon a worker is woken, and how punctual its ticks and the
//! frames are that its application holds.
//!
//! ```text
//!   waker, on this thread ──► engine ◄── eth0  veth pair  eth0 ◄── frames of a thread
//! ```
//!
//! Each row is a run of its own, with an engine of its own. The application measures: so
//! the time of a held frame ends as it is handed to the TX ring.

mod load;
mod measure;
mod probe;
mod row;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use wharf::{Engine, Waker};

use super::header::Header;
use super::output::Output;
use super::summary::check_summary;
use super::testbed::Bed;
use crate::args::BenchTimersArgs;
use crate::exit::Failure;
use crate::privileges;
use load::Load;
use measure::Measure;
use probe::{Asked, Probe};
use row::Timing;

/// Measures wakes and ticks with and without load, then held frames.
pub fn run(
    arguments: &BenchTimersArgs,
    output: &mut Output,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let bed = Bed::new(1, MTU_BYTES)?;
    let tick = Measure::Tick(Duration::from_secs(1) / arguments.ticks_per_second);
    let hold = Measure::Hold(Duration::from_millis(arguments.hold_milliseconds));
    let runs = [
        (Measure::Wake, Load::None),
        (tick, Load::None),
        (Measure::Wake, Load::Full),
        (tick, Load::Full),
        (hold, Load::Rate(arguments.frames_per_second)),
    ];
    let mut is_first = true;
    for (measure, load) in runs {
        let timing = one(&bed, measure, load, arguments, stop, |header| {
            if std::mem::take(&mut is_first) {
                return output.header(header);
            }
            Ok(())
        })?;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        output.row(&timing)?;
        timing.verdict()?;
    }
    Ok(())
}

/// One run.
fn one(
    bed: &Bed,
    measure: Measure,
    load: Load,
    arguments: &BenchTimersArgs,
    stop: &AtomicBool,
    header: impl FnOnce(&Header) -> Result<(), Failure>,
) -> Result<Timing, Failure> {
    let asked = Asked::new();
    let (waker, wakers) = channel();
    let (findings, found) = channel();
    let builder = Engine::builder()
        .interface(bed.interface())
        .wait(arguments.wait.into());
    let engine = bed.on_client(|| {
        let engine = builder.start_with(|_| {
            let (asked, waker, findings) = (asked.clone(), waker.clone(), findings.clone());
            move |context| {
                // This thread waits for it.
                let _ = waker.send(context.waker());
                Probe::new(measure, asked, findings, context)
            }
        });
        engine.map_err(privileges::explain)
    })?;
    header(&Header::of("timers", engine.report()))?;
    let cpu = engine.report().workers.first().and_then(|it| it.cpu);
    let waker = next(&wakers)?;
    let duration = Duration::from_secs(arguments.seconds);
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = load.start(scope, bed, &is_over, duration, cpu)?;
        let until = Instant::now() + duration;
        let measured = match measure {
            Measure::Wake => wake_until(until, &waker, &asked, stop),
            Measure::Tick(_) | Measure::Hold(_) => {
                pause_until(until, stop);
                Ok(())
            }
        };
        is_over.store(true, Ordering::Relaxed);
        let sent = sending.map_or(Ok(0), load::Sending::join);
        measured?;
        sent
    })?;
    if let Measure::Hold(time) = measure {
        // The last ones are due then.
        pause_until(Instant::now() + time + SETTLED, stop);
    }
    let summary = engine.stop();
    check_summary(&summary)?;
    let findings = next(&found)?;
    Ok(Timing::of(
        measure, load, arguments, sent, &findings, &summary,
    ))
}

/// What the worker sends at its beginning and its end.
fn next<T>(from: &Receiver<T>) -> Result<T, Failure> {
    from.recv_timeout(PATIENCE)
        .map_err(|_| Failure::Run("the worker does not answer".to_owned()))
}

/// Wakes the worker again and again, each time once it has answered, and at moments that
/// have nothing to do with its own.
fn wake_until(
    until: Instant,
    waker: &Waker,
    asked: &Asked,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut pause = PAUSES.iter().cycle();
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        thread::sleep(*pause.next().expect("it never ends"));
        asked.ask();
        waker.wake();
        let limit = Instant::now() + PATIENCE;
        while asked.is_open() {
            if Instant::now() > limit {
                return Err(Failure::Run("the worker was not woken".to_owned()));
            }
            thread::sleep(Duration::from_micros(50));
        }
    }
    Ok(())
}

fn pause_until(until: Instant, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Between two wakes.
const PAUSES: [Duration; 3] = [
    Duration::from_micros(700),
    Duration::from_micros(1300),
    Duration::from_micros(1900),
];

/// What a worker may take to answer, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(5);

/// What frames may take through the kernel once they are due.
const SETTLED: Duration = Duration::from_millis(200);

/// What interfaces have by default.
const MTU_BYTES: u32 = 1500;
