//! `wharf bench latency`: how long round trips take at fixed rates, by wait policy and
//! beside a kernel socket.
//!
//! ```text
//!   client: a UDP socket, spinning       server: an engine that echoes, or a UDP socket
//!         CPU a                                      CPU b
//! ```
//!
//! The client is the same for all servers, so what differs between rows is the server.
//! All are measured in turn and several times over, and their figures joined.

mod client;
mod cpus;
mod engine;
mod socket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use wharf::Wait;

use super::header::Header;
use super::output::{Column, Output, Row};
use super::testbed::Bed;
use crate::args::LatencyArgs;
use crate::exit::Failure;
use client::{Client, Slice, histogram};
use cpus::Cpus;
use engine::EngineServer;
use socket::SocketServer;

/// Measures, and prints a row for each server at each rate.
pub fn run(arguments: &LatencyArgs, output: &mut Output, stop: &AtomicBool) -> Result<(), Failure> {
    let bed = Bed::new(1, MTU_BYTES)?;
    let cpus = Cpus::choose()?;
    // What is printed first is known from a start.
    let server = EngineServer::start(&bed, Wait::Poll, cpus.server)?;
    output.header(&Header::of("latency", server.report()))?;
    server.stop()?;
    let mut rows: Vec<Measured> = arguments
        .rate
        .iter()
        .flat_map(|rate| SERVERS.map(|server| Measured::new(*rate, server)))
        .collect();
    let mut client = bed.on_client(|| Client::open(cpus.client, arguments.size.into()))?;
    let turns = turns(arguments.seconds);
    let turn = arguments.seconds / turns;
    for _ in 0..turns {
        for row in &mut rows {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            row.measure(&bed, &mut client, &cpus, turn, stop)?;
        }
    }
    let rows: Vec<LatencyRow> = rows.iter().map(|row| row.row(arguments.size)).collect();
    for row in &rows {
        output.row(row)?;
    }
    lost(&rows)
}

/// An error where something got lost: then the others were not measured at this rate.
fn lost(rows: &[LatencyRow]) -> Result<(), Failure> {
    let Some(worst) = rows
        .iter()
        .filter(|row| row.lost > 0)
        .max_by_key(|row| row.lost)
    else {
        return Ok(());
    };
    Err(Failure::Run(format!(
        "{} of {} requests at {} per second got no answer from `{}`: ask for a lower --rate, on an idle machine",
        worst.lost, worst.sent, worst.requests_per_second, worst.server
    )))
}

/// Who answers.
#[derive(Clone, Copy)]
enum Server {
    Engine(Wait),
    Socket,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Engine(Wait::Spin) => "spin",
            Self::Engine(Wait::Poll) => "poll",
            Self::Engine(_) => "adaptive",
            Self::Socket => "kernel",
        }
    }
}

/// What is known by now of one server at one rate.
struct Measured {
    rate: u32,
    server: Server,
    round_trips: Histogram<u64>,
    sent: u64,
    lost: u64,
    busy: Duration,
    wall: Duration,
}

impl Measured {
    fn new(rate: u32, server: Server) -> Self {
        Self {
            rate,
            server,
            round_trips: histogram(),
            sent: 0,
            lost: 0,
            busy: Duration::ZERO,
            wall: Duration::ZERO,
        }
    }

    /// Starts the server, measures for `turn`, and stops it.
    fn measure(
        &mut self,
        bed: &Bed,
        client: &mut Client,
        cpus: &Cpus,
        turn: Duration,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let rate = self.rate;
        let (slice, busy) = match self.server {
            Server::Engine(wait) => {
                let server = EngineServer::start(bed, wait, cpus.server)?;
                let slice = client.measure(rate, turn, || server.cpu_time(), stop)?;
                server.stop()?;
                slice
            }
            Server::Socket => {
                let server = SocketServer::start(bed, cpus.server)?;
                let slice = client.measure(rate, turn, || server.cpu_time(), stop)?;
                server.stop()?;
                slice
            }
        };
        self.add(&slice, busy)
    }

    fn add(&mut self, slice: &Slice, busy: Duration) -> Result<(), Failure> {
        self.round_trips
            .add(&slice.round_trips)
            .map_err(|error| Failure::Run(error.to_string()))?;
        self.sent += slice.sent;
        self.lost += slice.lost;
        self.wall += slice.took;
        self.busy += busy;
        Ok(())
    }

    fn row(&self, payload_bytes: u16) -> LatencyRow {
        let at = |quantile| self.round_trips.value_at_quantile(quantile);
        LatencyRow {
            server: self.server.name(),
            requests_per_second: self.rate,
            payload_bytes,
            p50_nanoseconds: at(0.5),
            p90_nanoseconds: at(0.9),
            p99_nanoseconds: at(0.99),
            p99_9_nanoseconds: at(0.999),
            max_nanoseconds: self.round_trips.max(),
            sent: self.sent,
            answered: self.round_trips.len(),
            lost: self.lost,
            server_cpu_percent: percent(self.busy, self.wall),
        }
    }
}

fn percent(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    (part.as_secs_f64() / whole.as_secs_f64() * 1000.0).round() / 10.0
}

/// A server at a rate.
#[derive(Serialize)]
struct LatencyRow {
    server: &'static str,
    requests_per_second: u32,
    payload_bytes: u16,
    p50_nanoseconds: u64,
    p90_nanoseconds: u64,
    p99_nanoseconds: u64,
    p99_9_nanoseconds: u64,
    max_nanoseconds: u64,
    sent: u64,
    answered: u64,
    lost: u64,
    server_cpu_percent: f64,
}

impl Row for LatencyRow {
    const TYPE: &'static str = "latency";
    const COLUMNS: &'static [Column] = &[
        ("server", 8),
        ("per s", 6),
        ("p50 us", 7),
        ("p90 us", 7),
        ("p99 us", 7),
        ("p99.9", 7),
        ("max us", 8),
        ("lost", 4),
        ("CPU %", 5),
    ];

    fn cells(&self) -> Vec<String> {
        let times = [
            self.p50_nanoseconds,
            self.p90_nanoseconds,
            self.p99_nanoseconds,
            self.p99_9_nanoseconds,
            self.max_nanoseconds,
        ];
        let mut cells = vec![self.server.to_owned(), self.requests_per_second.to_string()];
        cells.extend(times.map(microseconds));
        cells.push(self.lost.to_string());
        cells.push(format!("{:.1}", self.server_cpu_percent));
        cells
    }
}

/// With a decimal where it says something.
fn microseconds(nanoseconds: u64) -> String {
    let tenths = (nanoseconds + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

const SERVERS: [Server; 4] = [
    Server::Engine(Wait::Spin),
    Server::Engine(Wait::Adaptive),
    Server::Engine(Wait::Poll),
    Server::Socket,
];

/// How often each server is measured at each rate, for so long together: five times, and
/// less often where a turn would be too short to be worth its start.
fn turns(seconds: Duration) -> u32 {
    const SHORTEST: Duration = Duration::from_millis(500);
    let turns = seconds.as_millis() / SHORTEST.as_millis();
    u32::try_from(turns).unwrap_or(u32::MAX).clamp(1, 5)
}

/// What interfaces have by default.
const MTU_BYTES: u32 = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_joined_into_a_row() {
        let mut measured = Measured::new(1000, Server::Socket);
        for (nanoseconds, lost) in [(10_000, 0), (30_000, 1)] {
            let mut round_trips = histogram();
            round_trips.record(nanoseconds).expect("it is short");
            let slice = Slice {
                round_trips,
                sent: 1 + lost,
                lost,
                took: Duration::from_millis(100),
            };
            let busy = Duration::from_millis(10);
            measured.add(&slice, busy).expect("of one kind");
        }

        let row = measured.row(64);

        assert_eq!((row.sent, row.answered, row.lost), (3, 2, 1));
        assert_eq!(row.cells()[..3], ["kernel", "1000", "10.0"]);
        assert!((30_000..30_100).contains(&row.max_nanoseconds));
        assert!((row.server_cpu_percent - 10.0).abs() < 0.01);
        let failure = lost(&[row]).expect_err("one is lost").to_string();
        assert!(
            failure.starts_with("1 of 3 requests at 1000 per second"),
            "{failure}"
        );
    }

    #[test]
    fn short_runs_have_fewer_turns() {
        for (millis, expected) in [(100, 1), (1000, 2), (2500, 5), (60_000, 5)] {
            assert_eq!(
                turns(Duration::from_millis(millis)),
                expected,
                "{millis} ms"
            );
        }
    }

    #[test]
    fn columns_fit_a_terminal() {
        let widths = LatencyRow::COLUMNS
            .iter()
            .map(|(head, width)| head.len().max(*width));

        assert!(widths.map(|width| width + 2).sum::<usize>() - 2 <= 80);
    }

    #[test]
    fn microseconds_have_a_decimal() {
        assert_eq!(microseconds(0), "0.0");
        assert_eq!(microseconds(12_349), "12.3");
        assert_eq!(microseconds(12_350), "12.4");
    }
}
