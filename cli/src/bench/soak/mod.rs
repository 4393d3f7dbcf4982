//! `wharf bench soak`: frames at full rate between two engines that hold, detach, drop and
//! send them again as it comes, with cookies, while limits change. It ends well if every
//! chunk and every frame is accounted for throughout, no byte of a frame that somebody
//! had was changed, and every cookie was reported once.
//!
//! ```text
//!   near engine ── makes, sends ──► eth0  veth  eth0 ──► far engine
//!        ▲  holds, detaches to threads, drops, sends back   │
//!        └────────────────────────────────────◄─────────────┘
//! ```

mod application;
mod content;
mod cookies;
mod far;
mod random;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use wharf::{Amount, DropReason, Engine, LimitPolicy, Limits, RingCapacity, Summary};

use super::header::Header;
use super::output::{Column, Output, Row};
use super::testbed::Bed;
use crate::args::SoakArgs;
use crate::exit::Failure;
use crate::privileges;
use application::Soaked;
use random::Random;
use tally::Tally;

const MTU_BYTES: u32 = 1500;
/// Chunks of each engine, and entries of its rings.
const CHUNKS: u32 = 8192;
const RING: u32 = 2048;
/// Between two changes of limits, and looks at whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until enough frames were received, or time is over.
pub fn run(arguments: &SoakArgs, output: &mut Output, stop: &AtomicBool) -> Result<(), Failure> {
    let bed = Bed::new(1, MTU_BYTES)?;
    let tally = Arc::new(Tally::default());
    let makes = Arc::new(AtomicBool::new(true));
    let seed = arguments.seed;
    let far = bed.on_server(|| start(&bed, seed, None, &tally))?;
    let near = bed.on_client(|| start(&bed, seed, Some(&makes), &tally))?;
    output.header(&Header::of("soak", near.report()))?;

    let mut soak = Soak {
        engines: [&near, &far],
        tally: &tally,
        random: Random::new(seed, 2),
        limit_changes: 0,
        refused_limits: 0,
        started: Instant::now(),
    };
    let watched = soak.watch(arguments, output, stop);
    let (changes, refused, elapsed) = (
        soak.limit_changes,
        soak.refused_limits,
        soak.started.elapsed(),
    );
    makes.store(false, Ordering::Relaxed);
    let summaries = [near.stop(), far.stop()];
    watched?;
    let result = Outcome::of(&tally, &summaries, elapsed, seed, (changes, refused));
    output.object("summary", &result)?;
    result.rows(output)?;
    result.judge(&summaries, &tally)
}

fn start(
    bed: &Bed,
    seed: u64,
    makes: Option<&Arc<AtomicBool>>,
    tally: &Arc<Tally>,
) -> Result<Engine, Failure> {
    let (makes, tally) = (makes.cloned(), Arc::clone(tally));
    let ring = RingCapacity::new(RING).map_err(|error| Failure::Run(error.to_string()))?;
    let builder = Engine::builder()
        .interface(bed.interface())
        .frames(CHUNKS)
        .ring_size(ring);
    let engine = builder.start(move |context| Soaked::new(context, seed, makes.clone(), &tally));
    engine.map_err(privileges::explain)
}

/// A soak that runs.
struct Soak<'a> {
    engines: [&'a Engine; 2],
    tally: &'a Tally,
    random: Random,
    limit_changes: u64,
    refused_limits: u64,
    started: Instant,
}

impl Soak<'_> {
    /// Changes limits, and prints how it goes once a second.
    fn watch(
        &mut self,
        arguments: &SoakArgs,
        output: &mut Output,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let (mut before, mut printed) = (0, self.started);
        loop {
            std::thread::sleep(LOOK);
            let received = self.tally.received.load(Ordering::Relaxed);
            let elapsed = self.started.elapsed();
            let is_over = received >= arguments.frames
                || arguments.seconds.is_some_and(|most| elapsed >= most)
                || stop.load(Ordering::Relaxed)
                || self.tally.fault().is_some()
                || self
                    .engines
                    .iter()
                    .any(|engine| !engine.wait(Duration::ZERO));
            let since = printed.elapsed();
            if since >= Duration::from_secs(1) || is_over {
                let row = Interval::of(self, received - before, since);
                output.row(&row)?;
                (before, printed) = (received, Instant::now());
            }
            if is_over {
                return Ok(());
            }
            if self.random.percent(40) {
                self.change_limits();
            }
        }
    }

    fn change_limits(&mut self) {
        let engine = self.engines[self.random.below(2) as usize];
        let mut limits = Limits::default();
        if self.random.percent(60) {
            limits.held = Some(Amount::Frames(128 + self.random.below(2048)));
        }
        if self.random.percent(40) {
            limits.in_transmit = Some(Amount::Frames(64 + self.random.below(1024)));
        }
        if self.random.percent(30) {
            limits.chunks = Some(Amount::Bytes(
                u64::from(1024 + self.random.below(4096)) << 12,
            ));
        }
        let policies = LimitPolicy::ALL;
        let policy = self
            .random
            .below(u32::try_from(policies.len()).unwrap_or(1));
        limits.policy = policies[policy as usize];
        match engine.set_limits(limits) {
            Ok(()) => self.limit_changes += 1,
            // They contradict each other, or come to less than what is there.
            Err(_) => self.refused_limits += 1,
        }
    }
}

/// A second of a soak.
#[derive(Serialize)]
struct Interval {
    elapsed_seconds: f64,
    frames: u64,
    frames_per_second: f64,
    tagged: u64,
    held: u64,
    detached: u64,
    retransmitted: u64,
    limit_changes: u64,
    audits: u64,
}

impl Interval {
    fn of(soak: &Soak<'_>, received: u64, time: Duration) -> Self {
        let tally = soak.tally;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a rate to be printed")]
        let rate = received as f64 / time.as_secs_f64();
        Self {
            elapsed_seconds: soak.started.elapsed().as_secs_f64(),
            frames: load(&tally.received),
            frames_per_second: rate.round(),
            tagged: load(&tally.tagged),
            held: load(&tally.held),
            detached: load(&tally.detached),
            retransmitted: load(&tally.retransmitted),
            limit_changes: soak.limit_changes,
            audits: load(&tally.audits),
        }
    }
}

impl Row for Interval {
    const TYPE: &'static str = "interval";
    const COLUMNS: &'static [Column] = &[
        ("seconds", 0),
        ("frames", 9),
        ("fps", 8),
        ("tagged", 9),
        ("held", 8),
        ("detached", 0),
        ("limits", 0),
        ("audits", 0),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            format!("{:.1}", self.elapsed_seconds),
            self.frames.to_string(),
            format!("{:.0}", self.frames_per_second),
            self.tagged.to_string(),
            self.held.to_string(),
            self.detached.to_string(),
            self.limit_changes.to_string(),
            self.audits.to_string(),
        ]
    }
}

/// What it came to.
#[derive(Serialize)]
struct Outcome {
    seed: u64,
    elapsed_seconds: f64,
    /// Received by both engines.
    frames: u64,
    held: u64,
    detached: u64,
    dropped_by_choice: u64,
    retransmitted: u64,
    limit_changes: u64,
    limit_changes_refused: u64,
    audits: u64,
    cookies: u64,
    cookies_sent: u64,
    cookies_aborted: u64,
    cookies_returned: u64,
    cookies_lost: u64,
    cookies_unexpected: u64,
    frames_corrupt: u64,
    /// Of both engines, for any reason.
    frames_dropped: u64,
    violations: u64,
    conserved: bool,
}

impl Outcome {
    fn of(
        tally: &Tally,
        summaries: &[Summary; 2],
        elapsed: Duration,
        seed: u64,
        (limit_changes, limit_changes_refused): (u64, u64),
    ) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (cookies, lost) = tally.cookies();
        let workers = summaries.iter().flat_map(|summary| &summary.stats.workers);
        let drops = summaries.iter().map(|summary| {
            let drops = summary.stats.totals().drops;
            drops.total() - drops.get(DropReason::Application)
        });
        Self {
            seed,
            elapsed_seconds: elapsed.as_secs_f64(),
            frames: load(&tally.received),
            held: load(&tally.held),
            detached: load(&tally.detached),
            dropped_by_choice: load(&tally.dropped),
            retransmitted: load(&tally.retransmitted),
            limit_changes,
            limit_changes_refused,
            audits: load(&tally.audits),
            cookies: cookies.used,
            cookies_sent: cookies.sent,
            cookies_aborted: cookies.aborted,
            cookies_returned: cookies.returned,
            cookies_lost: lost,
            cookies_unexpected: cookies.unexpected,
            frames_corrupt: load(&tally.corrupt),
            frames_dropped: drops.sum(),
            violations: workers.map(|worker| worker.violations).sum(),
            conserved: summaries.iter().all(Summary::is_conserved),
        }
    }

    fn rows(&self, output: &mut Output) -> Result<(), Failure> {
        let values = [
            ("frames received", self.frames),
            ("frames held", self.held),
            ("frames detached", self.detached),
            ("frames sent again", self.retransmitted),
            ("frames dropped on the way", self.frames_dropped),
            ("limits changed", self.limit_changes),
            ("audits, all balanced", self.audits),
            ("cookies", self.cookies),
            ("cookies aborted at the end", self.cookies_aborted),
            ("cookies lost", self.cookies_lost),
            ("cookies reported twice", self.cookies_unexpected),
            ("frames corrupt", self.frames_corrupt),
            ("violations", self.violations),
        ];
        let mut values = values.into_iter();
        values.try_for_each(|(what, value)| output.table_row(&Value { what, value }))
    }

    /// Whether nothing is wrong.
    fn judge(&self, summaries: &[Summary; 2], tally: &Tally) -> Result<(), Failure> {
        let failed = |what: String| Err(Failure::Run(what));
        if let Some(error) = summaries.iter().find_map(|it| it.outcome.as_ref().err()) {
            return failed(format!("an engine failed: {error}"));
        }
        if let Some(fault) = tally.fault() {
            return failed(fault);
        }
        let seed = self.seed;
        if !self.conserved {
            return failed(format!("frames or chunks are missing (seed {seed})"));
        }
        let wrong = [
            (self.cookies_lost, "cookies were never reported"),
            (self.cookies_unexpected, "cookies were reported twice"),
            (self.frames_corrupt, "frames were corrupt"),
            (self.violations, "ring entries failed a check"),
        ];
        match wrong.into_iter().find(|(count, _)| *count > 0) {
            Some((count, what)) => failed(format!("{count} {what} (seed {seed})")),
            None => Ok(()),
        }
    }
}

/// A line of the table's end.
#[derive(Serialize)]
struct Value {
    what: &'static str,
    value: u64,
}

impl Row for Value {
    const TYPE: &'static str = "value";
    const COLUMNS: &'static [Column] = &[("total", 28), ("", 12)];

    fn cells(&self) -> Vec<String> {
        vec![self.what.to_owned(), self.value.to_string()]
    }
}
