//! The client of `stress`: keeps a number of messages under way on each socket, and counts
//! what comes back for each of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wharf::message::{Returning, SendOutcome};
use wharf::{AttachReport, BindReport};

use super::super::channel::{Channel, Side};
use super::super::ends::{End, wait};
use super::plan::Plan;
use super::source::{Buffers, Source};
use crate::exit::Failure;

/// What the client got, before it begins.
pub struct Ready {
    pub attach: AttachReport,
    pub xsks: Vec<BindReport>,
}

/// What the client saw.
pub struct Asked {
    /// Microseconds from a message's submission to its answer.
    pub latency: Histogram<u64>,
    pub elapsed: Duration,
    /// Messages that were submitted.
    pub messages: u64,
    pub answered: Tally,
    pub completed: Tally,
    /// Completions of messages that were not sent.
    pub unsent: u64,
    pub corrupt: u64,
    pub lost_messages: u64,
    pub lost_frames: u64,
}

/// How often something was said of each message.
#[derive(Default)]
pub struct Tally(Vec<u8>);

impl Tally {
    fn new(messages: u64) -> Self {
        Self(vec![0; usize::try_from(messages).unwrap_or(usize::MAX)])
    }

    fn count(&mut self, number: u64) {
        let known = usize::try_from(number).ok();
        if let Some(times) = known.and_then(|number| self.0.get_mut(number)) {
            *times = times.saturating_add(1);
        }
    }

    /// Of the first `messages`, those of which nothing was said.
    pub fn never(&self, messages: u64) -> u64 {
        let known = self.0.iter().zip(0..messages);
        known.filter(|(times, _)| **times == 0).count() as u64
    }

    /// How often something was said once more.
    pub fn again(&self) -> u64 {
        self.0
            .iter()
            .map(|times| u64::from(times.saturating_sub(1)))
            .sum()
    }

    fn is_once_for(&self, messages: u64) -> bool {
        self.never(messages) == 0
    }
}

/// Asks until all messages are answered and completed, nothing goes on, or it is told to
/// stop.
pub fn run(
    end: &End,
    macs: [[u8; 6]; 2],
    plan: &Plan,
    stop: &AtomicBool,
    describe: impl FnOnce(Ready) -> Result<(), Failure>,
) -> Result<Asked, Failure> {
    let chunks = plan.channel.chunks()?.saturating_mul(plan.sockets);
    let (umem, xsks, reports) = end.bind(0..plan.sockets, chunks, plan.channel.ring_entries())?;
    describe(Ready {
        attach: end.report(),
        xsks: reports,
    })?;
    let channels = xsks
        .into_iter()
        .map(|xsk| Channel::<Source>::new(xsk, &umem, Side::Client, macs, &plan.channel));
    let mut channels: Vec<(_, u32)> = channels
        .map(|channel| channel.map(|channel| (channel, 0)))
        .collect::<Result<_, _>>()?;

    let begin = Instant::now();
    let mut active = begin;
    let mut started = vec![begin; usize::try_from(plan.messages).unwrap_or(usize::MAX)];
    let buffers = Buffers::default();
    let mut asked = Asked {
        latency: Histogram::new_with_max(LONGEST_MICROSECONDS, 3).expect("an hour in three digits"),
        elapsed: Duration::ZERO,
        messages: 0,
        answered: Tally::new(plan.messages),
        completed: Tally::new(plan.messages),
        unsent: 0,
        corrupt: 0,
        lost_messages: 0,
        lost_frames: 0,
    };
    let mut open = plan.messages * 2;
    while open > 0 {
        let mut is_idle = true;
        for (channel, under_way) in &mut channels {
            let came = channel.receive(|message| {
                let mut wrong = [0xff; 8];
                message.copy_to(0, &mut wrong);
                asked.corrupt += u64::from(wrong != [0; 8]);
                asked.answered.count(message.number());
                let known = usize::try_from(message.number()).ok();
                if let Some(since) = known.and_then(|number| started.get(number)) {
                    let elapsed = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
                    asked.latency.saturating_record(elapsed);
                }
                open = open.saturating_sub(1);
                *under_way = under_way.saturating_sub(1);
            });
            let mut ended = false;
            while let Some(sent) = channel.take_ended() {
                asked.completed.count(sent.cookie);
                asked.unsent += u64::from(sent.outcome != SendOutcome::Sent);
                open = open.saturating_sub(1);
                ended = true;
            }
            let is_stopped = stop.load(Ordering::Relaxed);
            if is_stopped {
                // What was not asked is not waited for.
                open = open.min(2 * u64::from(plan.depth * plan.sockets));
            }
            while *under_way < plan.depth && asked.messages < plan.messages && !is_stopped {
                let number = asked.messages;
                let source = Source::new(plan.handling, number, plan.size_bytes, &buffers);
                started[usize::try_from(number).unwrap_or(0)] = Instant::now();
                channel.submit(number, plan.size_bytes, source, Returning::No)?;
                asked.messages += 1;
                *under_way += 1;
            }
            let sent = channel.send(!came)?;
            is_idle &= !came && !sent && !ended;
        }
        if !is_idle {
            active = Instant::now();
            continue;
        }
        let messages = asked.messages;
        let is_done = asked.answered.is_once_for(messages) && asked.completed.is_once_for(messages);
        let is_stopped = stop.load(Ordering::Relaxed);
        if active.elapsed() >= STALLED || (is_stopped && is_done) {
            break;
        }
        wait(channels.iter_mut().map(|(channel, _)| &mut channel.xsk))?;
    }
    asked.elapsed = active.duration_since(begin);
    for (channel, _) in &mut channels {
        let (messages, frames) = channel.losses();
        asked.lost_messages += messages;
        asked.lost_frames += frames;
    }
    Ok(asked)
}

/// What takes longer counts as an hour.
const LONGEST_MICROSECONDS: u64 = 3_600_000_000;
/// Nothing comes any more: something got lost.
const STALLED: Duration = Duration::from_secs(5);
