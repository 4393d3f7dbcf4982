//! A job of the server of `backstore`: a thread with memory, a socket and blocks of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::super::channel::{Channel, Side};
use super::super::cpu_time::thread_cpu_time;
use super::super::ends::{End, wait};
use super::plan::Plan;
use super::store::{Answer, Store};
use crate::exit::Failure;

/// What a job of the server did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    pub cpu_time: Duration,
    pub lost_messages: u64,
    pub lost_frames: u64,
}

/// Says that it is ready, and serves until it is over.
pub fn run(
    end: &End,
    job: u32,
    macs: [[u8; 6]; 2],
    plan: &Plan,
    is_over: &AtomicBool,
    ready: Sender<()>,
) -> Result<Served, Failure> {
    let chunks = plan.channel.chunks()?.saturating_add(block_chunks(plan)?);
    let (umem, xsks, _) = end.bind([job], chunks, plan.channel.ring_entries())?;
    let xsk = xsks.into_iter().next().expect("one was asked for");
    let mut channel = Channel::<Answer>::new(xsk, &umem, Side::Server, macs, &plan.channel)?;
    let mut store = Store::new(plan.handling);
    let begin = thread_cpu_time();
    let _ = ready.send(());
    // Others that fail to start are noticed by the end of all senders.
    drop(ready);
    let mut requests = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let came = channel.receive(|message| requests.push(message));
        for message in requests.drain(..) {
            store.serve(message, &mut channel)?;
        }
        let mut ended = false;
        while let Some(sent) = channel.take_ended() {
            ended = true;
            store.was_sent(sent, &mut channel)?;
        }
        let sent = channel.send(!came)?;
        if !came && !sent && !ended {
            wait(std::iter::once(&mut channel.xsk))?;
        }
    }
    let cpu_time = thread_cpu_time().saturating_sub(begin);
    let (lost_messages, lost_frames) = channel.losses();
    Ok(Served {
        cpu_time,
        lost_messages,
        lost_frames,
    })
}

/// Chunks of the blocks, where those are frames, and of what replaces them.
fn block_chunks(plan: &Plan) -> Result<u32, Failure> {
    let frames = plan.channel.layout()?.frames(plan.message_bytes());
    let chunks = frames.saturating_mul(plan.channel.chunks_per_frame());
    Ok(chunks.saturating_mul(plan.blocks() + plan.depth))
}
