//! `wharf bench pass`: how many frames per second an application passes to the kernel's
//! stack, by how many it passes at once.
//!
//! ```text
//!   made       application ──► helper veth ──► stack of eth0 ──► UDP socket
//!   received   client ──► eth0, XDP, application ──► the same
//! ```
//!
//! Nobody reads the socket while it runs, so most of its datagrams find it full; the
//! kernel counts those, and the others are read afterwards. Every frame that was passed
//! has to be among them.

use std::fs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use wharf::{Application, Batch, Engine, Idle, InterfaceId, Outbox, RingCapacity, Wait};

use super::header::Header;
use super::output::{Column, Output, Row};
use super::summary::check_summary;
use super::testbed::Bed;
use crate::args::PassArgs;
use crate::exit::Failure;
use crate::privileges;

/// Runs it; fails where a frame got lost on its way to the stack.
pub fn run(arguments: &PassArgs, output: &mut Output, stop: &AtomicBool) -> Result<(), Failure> {
    let made = BATCHES.map(|batch| (Source::Made, batch));
    let runs = made.into_iter().chain([(Source::Received, RECEIVED_BATCH)]);
    let mut is_described = false;
    for (source, batch) in runs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let bed = Bed::new(1, MTU_BYTES)?;
        let plan = Plan {
            source,
            batch,
            frame_bytes: arguments.size,
            duration: arguments.duration,
        };
        let (row, header) = bed.on_server(|| measure(&bed, &plan, stop))?;
        if !std::mem::replace(&mut is_described, true) {
            output.header(&header)?;
        }
        output.row(&row)?;
        if row.lost_frames != 0 {
            let lost = row.lost_frames;
            return Err(Failure::Run(format!(
                "{lost} frames were passed and are not in the stack's counters"
            )));
        }
    }
    Ok(())
}

/// What one run does.
struct Plan {
    source: Source,
    batch: u32,
    frame_bytes: u32,
    duration: Duration,
}

/// Where the frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The application makes them.
    Made,
    /// They arrive at the interface.
    Received,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct PassRow {
    source: Source,
    /// Frames per round at the most.
    batch: u32,
    frame_bytes: u32,
    seconds: f64,
    passed_frames: u64,
    frames_per_second: f64,
    /// Of the worker, in which the stack's part is done as well.
    cpu_nanoseconds_per_frame: f64,
    /// That never came to the worker, or that the way had no room for.
    dropped_frames: u64,
    /// Passed, and not in the stack's counters; or too many there, below zero.
    lost_frames: i64,
}

fn measure(bed: &Bed, plan: &Plan, stop: &AtomicBool) -> Result<(PassRow, Header), Failure> {
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).map_err(|error| failed("bind", &error))?;
    let frame = bed.datagram(PORT, plan.frame_bytes as usize);
    let is_over = Arc::new(AtomicBool::new(false));
    let before = Datagrams::now()?;
    let engine = {
        let (frame, is_over) = (frame.clone(), Arc::clone(&is_over));
        let (source, batch) = (plan.source, plan.batch);
        let ring = RingCapacity::new(RING).map_err(wharf::Error::from)?;
        let builder = Engine::builder().interface(bed.interface()).passing();
        let builder = builder
            .ring_size(ring)
            .batch_size(batch)
            .wait(Wait::Adaptive);
        builder
            .start(move |_| Passer {
                frame: frame.clone(),
                source,
                batch,
                is_over: Arc::clone(&is_over),
            })
            .map_err(privileges::explain)?
    };
    let header = Header::of("pass", engine.report());
    let started = Instant::now();
    let sent = match plan.source {
        Source::Made => {
            wait(plan.duration, stop);
            Ok(())
        }
        Source::Received => send(bed, &frame, plan.duration, stop),
    };
    is_over.store(true, Ordering::Relaxed);
    let elapsed = started.elapsed();
    let summary = engine.stop();
    sent?;
    check_summary(&summary)?;
    let arrived = Datagrams::now()?.since(before) + waiting(&socket)?;
    let totals = summary.stats.totals();
    let passed = totals.frames_passed_by_application;
    let cpu: Duration = summary
        .stats
        .workers
        .iter()
        .map(|worker| worker.cpu_time)
        .sum();
    let row = PassRow {
        source: plan.source,
        batch: plan.batch,
        frame_bytes: plan.frame_bytes,
        seconds: elapsed.as_secs_f64(),
        passed_frames: passed,
        frames_per_second: passed as f64 / elapsed.as_secs_f64().max(1e-9),
        cpu_nanoseconds_per_frame: cpu.as_nanos() as f64 / (passed as f64).max(1.0),
        dropped_frames: totals.drops.total(),
        lost_frames: passed.cast_signed() - arrived.cast_signed(),
    };
    Ok((row, header))
}

/// Passes what it receives, or makes.
struct Passer {
    frame: Vec<u8>,
    source: Source,
    batch: u32,
    is_over: Arc<AtomicBool>,
}

impl Application for Passer {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.pass(frame));
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.source == Source::Received || self.is_over.load(Ordering::Relaxed) {
            return Idle::Sleep;
        }
        let count = self.batch.min(out.pass_room(InterfaceId(0)));
        let len = u32::try_from(self.frame.len()).unwrap_or(u32::MAX);
        for _ in 0..count {
            let Some(mut frame) = out.allocate() else {
                break;
            };
            if let Ok(space) = frame.grow_back(len) {
                space.copy_from_slice(&self.frame);
                out.pass_to(frame, InterfaceId(0));
            }
        }
        Idle::Again
    }
}

/// Sends to the interface as fast as the kernel does.
fn send(bed: &Bed, frame: &[u8], duration: Duration, stop: &AtomicBool) -> Result<(), Failure> {
    let sender = bed.sender()?;
    let frames = vec![frame; SENT_AT_ONCE];
    let started = Instant::now();
    while started.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        sender
            .send_batch(&frames)
            .map_err(|error| Failure::Run(error.to_string()))?;
    }
    Ok(())
}

fn wait(duration: Duration, stop: &AtomicBool) {
    let started = Instant::now();
    while started.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        thread::sleep(duration.saturating_sub(started.elapsed()).min(LOOK));
    }
}

/// Datagrams that wait in the socket.
fn waiting(socket: &UdpSocket) -> Result<u64, Failure> {
    socket
        .set_nonblocking(true)
        .map_err(|error| failed("read", &error))?;
    let mut count = 0;
    while socket.recv(&mut [0; 1]).is_ok() {
        count += 1;
    }
    Ok(count)
}

/// Datagrams that found the socket full, in this thread's network namespace.
#[derive(Clone, Copy)]
struct Datagrams(u64);

impl Datagrams {
    fn now() -> Result<Self, Failure> {
        let path = "/proc/thread-self/net/snmp";
        let text = fs::read_to_string(path).map_err(|error| failed("count", &error))?;
        full(&text).map(Self).ok_or_else(|| {
            Failure::Run(format!(
                "{path} has no counts of datagrams that found a socket full"
            ))
        })
    }

    fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// `RcvbufErrors` of UDP: the names are in one line, the numbers in the next.
fn full(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut counts = names.split(' ').zip(numbers.split(' '));
    let (_, number) = counts.find(|(name, _)| *name == "RcvbufErrors")?;
    number.parse().ok()
}

fn failed(operation: &str, error: &std::io::Error) -> Failure {
    Failure::Run(format!(
        "cannot {operation} the datagrams that arrive: {error}"
    ))
}

impl Row for PassRow {
    const TYPE: &'static str = "pass";
    const COLUMNS: &'static [Column] = &[
        ("frames", 8),
        ("batch", 0),
        ("bytes", 0),
        ("passed", 10),
        ("kpps", 7),
        ("CPU ns each", 0),
        ("dropped", 0),
        ("lost", 0),
    ];

    fn cells(&self) -> Vec<String> {
        let source = match self.source {
            Source::Made => "made",
            Source::Received => "received",
        };
        vec![
            source.to_owned(),
            self.batch.to_string(),
            self.frame_bytes.to_string(),
            self.passed_frames.to_string(),
            format!("{:.0}", self.frames_per_second / 1000.0),
            format!("{:.0}", self.cpu_nanoseconds_per_frame),
            self.dropped_frames.to_string(),
            self.lost_frames.to_string(),
        ]
    }
}

/// Frames that the application makes and passes per round.
const BATCHES: [u32; 4] = [1, 8, 64, 256];
/// Frames that it receives at once, and passes.
const RECEIVED_BATCH: u32 = 64;
/// Frames that the sender hands to the kernel at once.
const SENT_AT_ONCE: usize = 64;
/// Entries of each ring.
const RING: u32 = 4096;
const MTU_BYTES: u32 = 1500;
/// Of the socket that the datagrams are for.
const PORT: u16 = 9;
/// How often a wait looks at the flag.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_that_found_a_socket_full_are_read_by_name() {
        let text = "Tcp: A\nTcp: 1\nUdp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 1 22 3\n\
                    UdpLite: InDatagrams RcvbufErrors\nUdpLite: 4 5\n";

        assert_eq!(full(text), Some(22));
        assert_eq!(full("Udp: InDatagrams\nUdp: 1\n"), None);
        assert_eq!(full("Udp: RcvbufErrors\n"), None);
    }
}
