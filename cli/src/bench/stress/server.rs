//! The server of `stress`: verifies every byte of every message, and answers how many
//! were wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use wharf::message::{FromBytes, Message, Returning, UdpPeer};

use super::super::channel::{Channel, Side};
use super::super::ends::{End, wait};
use super::super::pattern::Pattern;
use super::plan::{Handling, Plan};
use crate::exit::Failure;

/// What the server saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    pub messages: u64,
    pub bytes: u64,
    pub corrupt_messages: u64,
    pub lost_messages: u64,
    pub lost_frames: u64,
}

/// An answer: the number of wrong bytes, and then none.
type Answer = FromBytes<[u8; 8]>;

/// Serves until it is over.
pub fn run(
    end: &End,
    macs: [[u8; 6]; 2],
    plan: &Plan,
    is_over: &AtomicBool,
    ready: &Sender<()>,
) -> Result<Served, Failure> {
    let chunks = plan.channel.chunks()?.saturating_mul(plan.sockets);
    let (umem, xsks, _) = end.bind(0..plan.sockets, chunks, plan.channel.ring_entries())?;
    let channels = xsks
        .into_iter()
        .map(|xsk| Channel::<Answer>::new(xsk, &umem, Side::Server, macs, &plan.channel));
    let mut channels: Vec<_> = channels.collect::<Result<_, _>>()?;
    // The client waits for this.
    let _ = ready.send(());
    let mut served = Served::default();
    let mut buffer = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let mut is_idle = true;
        for channel in &mut channels {
            let mut answers = Vec::new();
            let came = channel.receive(|message| {
                let wrong = wrong_bytes(plan.handling, &message, &mut buffer);
                served.messages += 1;
                served.bytes += u64::from(message.len());
                served.corrupt_messages += u64::from(wrong > 0);
                answers.push((message.number(), wrong));
            });
            for (number, wrong) in answers {
                let payload = FromBytes(wrong.to_be_bytes());
                channel.submit(number, ANSWER_BYTES, payload, Returning::No)?;
            }
            while channel.take_ended().is_some() {}
            let sent = channel.send(!came)?;
            is_idle &= !came && !sent;
        }
        if is_idle {
            wait(channels.iter_mut().map(|channel| &mut channel.xsk))?;
        }
    }
    for channel in &mut channels {
        let (messages, frames) = channel.losses();
        served.lost_messages += messages;
        served.lost_frames += frames;
    }
    Ok(served)
}

fn wrong_bytes(handling: Handling, message: &Message<UdpPeer>, buffer: &mut Vec<u8>) -> u64 {
    let pattern = Pattern::of(message.number());
    match handling {
        Handling::InPlace => {
            let mut offset = 0;
            let wrong = message.segments().map(|bytes| {
                let wrong = pattern.wrong_bytes(offset, bytes);
                offset += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                wrong
            });
            wrong.sum()
        }
        Handling::CopiedOut => {
            buffer.resize(message.len() as usize, 0);
            message.copy_to(0, buffer);
            pattern.wrong_bytes(0, buffer)
        }
    }
}

pub const ANSWER_BYTES: u32 = 8;
