//! The client of `backstore`: for each job, a number of requests under way, which write a
//! block, read it, and verify it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wharf::message::Returning;
use wharf::{AttachReport, BindReport};

use super::super::channel::{Channel, Side};
use super::super::cpu_time::process_cpu_time;
use super::super::ends::{End, wait};
use super::plan::Plan;
use super::request::{HEAD_BYTES, Head, Operation, Request, wrong_bytes};
use crate::exit::Failure;

/// What the client got, before it begins.
pub struct Ready {
    pub attach: AttachReport,
    pub xsks: Vec<BindReport>,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub elapsed: Duration,
    /// Of the whole process.
    pub cpu_time: Duration,
    pub requests: u64,
    pub answers: u64,
    /// Answers whose data were wrong, or that nobody asked for.
    pub corrupt: u64,
    pub lost_messages: u64,
    pub lost_frames: u64,
}

/// A job's requests.
struct Job {
    channel: Channel<Request>,
    slots: Vec<Slot>,
    next: u64,
}

/// A request under way, or the next one.
#[derive(Clone, Copy)]
struct Slot {
    head: Head,
    /// The number of the message, while it is under way.
    number: Option<u64>,
}

/// Asks until all requests are answered, nothing goes on, or it is told to stop.
pub fn run(
    end: &End,
    macs: [[u8; 6]; 2],
    plan: &Plan,
    stop: &AtomicBool,
    describe: impl FnOnce(Ready) -> Result<(), Failure>,
) -> Result<Asked, Failure> {
    let chunks = plan.channel.chunks()?.saturating_mul(plan.jobs);
    let (umem, xsks, reports) = end.bind(0..plan.jobs, chunks, plan.channel.ring_entries())?;
    describe(Ready {
        attach: end.report(),
        xsks: reports,
    })?;
    let jobs = xsks.into_iter().map(|xsk| {
        Ok(Job {
            channel: Channel::new(xsk, &umem, Side::Client, macs, &plan.channel)?,
            slots: (0..plan.depth).map(Slot::first).collect(),
            next: 0,
        })
    });
    let mut jobs: Vec<_> = jobs.collect::<Result<_, Failure>>()?;
    let mut asked = Asked::default();
    let (begin, cpu) = (Instant::now(), process_cpu_time());
    let mut active = begin;
    loop {
        let mut is_idle = true;
        let may_ask = !stop.load(Ordering::Relaxed);
        for job in &mut jobs {
            is_idle &= !job.round(plan, may_ask, &mut asked)?;
        }
        let all_asked = asked.requests >= plan.requests || !may_ask;
        if all_asked && asked.answers >= asked.requests {
            active = Instant::now();
            break;
        }
        if !is_idle {
            active = Instant::now();
        } else if active.elapsed() >= STALLED {
            break;
        } else {
            wait(jobs.iter_mut().map(|job| &mut job.channel.xsk))?;
        }
    }
    asked.elapsed = active.duration_since(begin);
    asked.cpu_time = process_cpu_time().saturating_sub(cpu);
    for job in &mut jobs {
        let (messages, frames) = job.channel.losses();
        asked.lost_messages += messages;
        asked.lost_frames += frames;
    }
    Ok(asked)
}

impl Job {
    /// Takes answers and asks again. Returns whether there was anything.
    fn round(&mut self, plan: &Plan, may_ask: bool, asked: &mut Asked) -> Result<bool, Failure> {
        let Self {
            channel,
            slots,
            next,
        } = self;
        let came = channel.receive(|answer| {
            asked.answers += 1;
            let slot = slots
                .iter_mut()
                .find(|slot| slot.number == Some(answer.number()));
            let Some(slot) = slot else {
                asked.corrupt += 1;
                return;
            };
            let head = Head::of(&answer);
            let is_right = head.is_some_and(|head| {
                (head.block, head.version) == (slot.head.block, slot.head.version)
            }) && match slot.head.operation {
                Operation::Write => answer.len() == HEAD_BYTES,
                Operation::Read => {
                    answer.len() == plan.message_bytes()
                        && wrong_bytes(&answer, slot.head.version) == 0
                }
            };
            asked.corrupt += u64::from(!is_right);
            slot.go_on(plan);
        });
        for slot in slots.iter_mut().filter(|slot| slot.number.is_none()) {
            if !may_ask || asked.requests >= plan.requests {
                break;
            }
            let len = match slot.head.operation {
                Operation::Write => {
                    slot.head.version = *next;
                    plan.message_bytes()
                }
                Operation::Read => HEAD_BYTES,
            };
            channel.submit(*next, len, Request(slot.head), Returning::No)?;
            slot.number = Some(*next);
            *next += 1;
            asked.requests += 1;
        }
        while channel.take_ended().is_some() {}
        let sent = channel.send(!came)?;
        Ok(came || sent)
    }
}

impl Slot {
    fn first(block: u32) -> Self {
        Self {
            head: Head {
                operation: Operation::Write,
                block,
                version: 0,
            },
            number: None,
        }
    }

    /// After a write it reads the block, after that it writes its other one.
    fn go_on(&mut self, plan: &Plan) {
        self.number = None;
        match self.head.operation {
            Operation::Write => self.head.operation = Operation::Read,
            Operation::Read => {
                self.head.operation = Operation::Write;
                self.head.block = (self.head.block + plan.depth) % plan.blocks();
            }
        }
    }
}

/// Nothing comes any more: something got lost.
const STALLED: Duration = Duration::from_secs(5);
