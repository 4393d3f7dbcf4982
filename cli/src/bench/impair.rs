//! `wharf bench impair`: frames at a steady rate through a wire that delays them, and how
//! far each is from its time.
//!
//! ```text
//!   client ─── left  engine  right ─── server
//! ```
//!
//! The error of a frame is the time from its sending to its receipt, less the delay. So
//! it has what sender, kernel and receiver take as well, which the row without an
//! impairment shows for itself.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use wharf::impairment::{Impairment, Impairments, chunks_for};
use wharf::{Engine, EngineBuilder, InterfaceId};
use wharf_testbed::{FlowChecker, FlowReport, Observation, Pacer, PacketSocket, Testbed, Wire};

use super::header::Header;
use super::output::{Column, Output, Row};
use super::summary::check_summary;
use crate::args::BenchImpairArgs;
use crate::exit::Failure;
use crate::privileges;

/// Measures without an impairment, and with a delay.
pub fn run(
    arguments: &BenchImpairArgs,
    output: &mut Output,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    check(arguments)?;
    let wire = Testbed::wire()
        .map_err(|error| Failure::Run(format!("cannot build the benchmark's network: {error}")))?;
    let impairments = Impairments::new();
    let wires = impairments.clone();
    let builder = Engine::builder()
        .interface(wire.left().name())
        .interface(wire.right().name())
        .promiscuous()
        .frames(frames(arguments).max(EngineBuilder::DEFAULT_FRAMES));
    let started = wire.forwarder().try_run(move || {
        let engine = builder.start(move |context| wires.wire(context));
        engine.map_err(privileges::explain)
    });
    let engine = started.map_err(testbed_failed)??;
    output.header(&Header::of("impair", engine.report()))?;

    let delay = Duration::from_secs_f64(arguments.delay_milliseconds / 1000.0);
    let mut outcome = Ok(());
    for delay in [Duration::ZERO, delay] {
        let text = format!("delay {}us", delay.as_micros());
        let impairment: Impairment = text.parse().map_err(|error| {
            Failure::Usage(format!("--delay-milliseconds is too large: {error}"))
        })?;
        let is_delayed = !delay.is_zero();
        (impairments.set(InterfaceId(0), is_delayed.then(|| impairment.clone())))
            .map_err(|error| Failure::Run(error.to_string()))?;
        let measured = Measured::on(&wire, arguments, delay, &impairments, stop)?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = if is_delayed {
            impairment.to_string()
        } else {
            "none".to_owned()
        };
        let result = Delayed::of(name, &measured, arguments);
        output.row(&result)?;
        outcome = outcome.and(result.verdict());
    }
    let stopped = wire.forwarder().try_run(move || engine.stop());
    let summary = stopped.map_err(testbed_failed)?;
    check_summary(&summary)?;
    // Where the frames were lost is what to look at.
    outcome.map_err(|what| Failure::Run(format!("{what}; {summary}")))
}

/// Frames are made before they are sent, so there has to be memory for them.
fn check(arguments: &BenchImpairArgs) -> Result<(), Failure> {
    let BenchImpairArgs {
        frames_per_second,
        seconds,
        ..
    } = arguments;
    let frames = u64::from(*frames_per_second) * seconds;
    if frames <= MOST_FRAMES {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{frames_per_second} frames per second are {frames} in {seconds} seconds, which are made before they are sent: use --frames-per-second and --seconds for at most {MOST_FRAMES}"
    )))
}

/// Chunks to hold twice as many frames as come in the time of the delay, so that a sender
/// that has to catch up meets no limit.
fn frames(arguments: &BenchImpairArgs) -> u32 {
    let held = f64::from(arguments.frames_per_second) * arguments.delay_milliseconds / 1000.0;
    let held = Duration::try_from_secs_f64(held * 2.0).map_or(u64::MAX, |held| held.as_secs());
    chunks_for(u32::try_from(held).unwrap_or(u32::MAX), QUEUES)
}

/// Of the engine's worker.
const QUEUES: u32 = 2;

fn testbed_failed(error: wharf_testbed::Error) -> Failure {
    Failure::Run(error.to_string())
}

/// What one run found.
struct Measured {
    errors: Histogram<u64>,
    flow: FlowReport,
    most_held: u64,
    /// Frames that arrived and found no room in the receiver's socket.
    missed: u64,
    seconds: f64,
}

impl Measured {
    /// Sends from client to server for as long as was asked for.
    fn on(
        wire: &Wire,
        arguments: &BenchImpairArgs,
        delay: Duration,
        impairments: &Impairments,
        stop: &AtomicBool,
    ) -> Result<Self, Failure> {
        let rate = arguments.frames_per_second;
        let count = u64::from(rate) * arguments.seconds;
        let flow = wire.udp_flow(4000, 4433);
        // Nobody's address, so that no stack answers.
        let nobody = wharf_testbed::MacAddress([2, 0, 0, 0, 9, 9]);
        let flow = flow.macs(flow.source_mac(), nobody);
        let frames = flow.sequenced(1, FRAME_PAYLOAD, 0..count);
        let frames: Vec<Vec<u8>> = frames
            .take_while(|_| !stop.load(Ordering::Relaxed))
            .collect();
        let mut receiver =
            PacketSocket::open_promiscuous(wire.server_interface()).map_err(testbed_failed)?;
        let sender = PacketSocket::sender(wire.client_interface()).map_err(testbed_failed)?;
        let sent_at: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let (begin, is_sent) = (Instant::now(), AtomicBool::new(false));
        let nanoseconds =
            |at: Instant| u64::try_from(at.duration_since(begin).as_nanos()).unwrap_or(u64::MAX);

        let mut checker = FlowChecker::new();
        checker.expect(1, count);
        let mut errors = Histogram::new(3).expect("three digits are allowed");
        let mut most_held = 0;
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut pacer = Pacer::per_second(rate).burst(BURST);
                let mut bursts = frames.chunks(BURST).zip(sent_at.chunks(BURST));
                let sent = bursts.try_for_each(|(frames, times)| {
                    if stop.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    pacer.wait(frames.len());
                    let now = nanoseconds(Instant::now());
                    times
                        .iter()
                        .for_each(|time| time.store(now, Ordering::Relaxed));
                    sender.send_batch(frames)
                });
                // After an error as well: nothing more comes then, either.
                is_sent.store(true, Ordering::Relaxed);
                sent
            });
            let mut received = 0;
            let mut over_since = None;
            while received < count {
                let limit = Duration::from_millis(100);
                let handed = receiver.receive_until(limit, |frame| {
                    let now = nanoseconds(Instant::now());
                    if let Observation::InOrder(payload) | Observation::Reordered(payload) =
                        checker.observe_frame(frame)
                    {
                        let at = usize::try_from(payload.sequence).unwrap_or(usize::MAX);
                        let sent = sent_at.get(at).map_or(now, |at| at.load(Ordering::Relaxed));
                        let due = Duration::from_nanos(sent) + delay;
                        let error = Duration::from_nanos(now).saturating_sub(due);
                        let error = u64::try_from(error.as_nanos()).unwrap_or(u64::MAX);
                        // It grows as needed.
                        let _ = errors.record(error);
                    }
                    received += 1;
                    if received == count {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
                handed.map_err(testbed_failed)?;
                most_held = most_held.max(impairments.counts(InterfaceId(0)).held);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if is_sent.load(Ordering::Relaxed) {
                    // What has not come a while after the last one does not come.
                    let since = *over_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > delay + Duration::from_secs(2) {
                        break;
                    }
                }
            }
            let sent: wharf_testbed::Result<()> =
                sending.join().expect("the sender does not panic");
            sent.map_err(testbed_failed)
        })?;
        Ok(Self {
            errors,
            flow: checker.report(1),
            most_held,
            missed: receiver.kernel_drops().map_err(testbed_failed)?,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// A row.
#[derive(Serialize)]
struct Delayed {
    impairment: String,
    frames_per_second: u32,
    frames: u64,
    seconds: f64,
    /// As seen ten times a second.
    held_frames_max: u64,
    lost_frames: u64,
    /// Of those, frames that crossed the wire and that the receiver was too slow for.
    missed_frames: u64,
    reordered_frames: u64,
    duplicated_frames: u64,
    error_microseconds: Percentiles,
}

/// Of the errors.
#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Delayed {
    fn of(impairment: String, measured: &Measured, arguments: &BenchImpairArgs) -> Self {
        let micros = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6;
        let at = |quantile| micros(measured.errors.value_at_quantile(quantile));
        let flow = measured.flow;
        Self {
            impairment,
            frames_per_second: arguments.frames_per_second,
            frames: flow.expected,
            seconds: measured.seconds,
            held_frames_max: measured.most_held,
            lost_frames: flow.lost,
            missed_frames: measured.missed,
            reordered_frames: flow.reordered,
            duplicated_frames: flow.duplicated,
            error_microseconds: Percentiles {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: micros(measured.errors.max()),
            },
        }
    }

    /// A delay neither loses nor reorders.
    fn verdict(&self) -> Result<(), Failure> {
        let Self {
            impairment,
            lost_frames,
            missed_frames,
            reordered_frames,
            duplicated_frames,
            ..
        } = self;
        if lost_frames + reordered_frames + duplicated_frames == 0 {
            return Ok(());
        }
        Err(Failure::Run(format!(
            "with impairment `{impairment}`, {lost_frames} frames were lost ({missed_frames} of them to the receiver), {reordered_frames} reordered and {duplicated_frames} duplicated: this machine may be too busy or too slow for the rate"
        )))
    }
}

impl Row for Delayed {
    const TYPE: &'static str = "impair";
    const COLUMNS: &'static [Column] = &[
        ("impairment", 12),
        ("frames", 0),
        ("held", 0),
        ("lost", 0),
        ("swapped", 0),
        ("p50 us", 0),
        ("p90 us", 0),
        ("p99 us", 0),
        ("p99.9", 0),
        ("max us", 0),
    ];

    fn cells(&self) -> Vec<String> {
        let errors = &self.error_microseconds;
        let times = [errors.p50, errors.p90, errors.p99, errors.p999, errors.max];
        let counts = [
            self.frames,
            self.held_frames_max,
            self.lost_frames,
            self.reordered_frames,
        ];
        let counts = counts.iter().map(ToString::to_string);
        let times = times.iter().map(|time| format!("{time:.0}"));
        std::iter::once(self.impairment.clone())
            .chain(counts)
            .chain(times)
            .collect()
    }
}

/// Frames that are sent at once: what 100,000 a second are in a third of a millisecond.
const BURST: usize = 32;

/// Some 2 GB.
const MOST_FRAMES: u64 = 10_000_000;

/// With headers, frames of 142 bytes.
const FRAME_PAYLOAD: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_would_fill_the_memory_are_not_made() {
        let arguments = |frames_per_second, seconds| BenchImpairArgs {
            delay_milliseconds: 50.0,
            frames_per_second,
            seconds,
        };

        assert_eq!(check(&arguments(100_000, 60)), Ok(()));
        assert_eq!(check(&arguments(10_000_000, 1)), Ok(()));
        let failure = check(&arguments(10_000_000, 60)).expect_err("600,000,000");
        assert!(
            failure.to_string().contains("at most 10000000"),
            "{failure}"
        );
    }
}
