//! `wharf bench stress`: many messages over many sockets at once, every byte verified, as
//! in the thread about `MSG_ZEROCOPY` for RDS, whose open problem were corrupt payloads
//! with 8 sockets and 64 messages each.
//!
//! ```text
//!   client thread                                   server thread
//!   8 sockets ── message of 1 MiB, in fragments ──► verifies every byte
//!             ◄── answer of 8 bytes: wrong bytes ──
//!             ◄── grants: frames received so far ── (and the other way)
//! ```
//!
//! A message counts when its answer has come and its completion was reported. It is handled in
//! place, or copied out: written into a heap buffer and copied into frames, copied out of
//! frames and verified in a heap buffer.

mod client;
mod plan;
mod result;
mod server;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::channel::ChannelPlan;
use super::ends::End;
use super::header::Header;
use super::output::Output;
use super::testbed::Bed;
use crate::args::{HandlingArg, StressArgs};
use crate::exit::Failure;
use client::Ready;
use plan::{Handling, Plan};
use result::StressRow;

/// Runs it; fails where a message got lost or damaged.
pub fn run(
    arguments: &StressArgs,
    output: &mut Output,
    stop: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let plan = Plan {
        channel: ChannelPlan {
            frame_bytes: arguments.mtu + ETHERNET_HEADER_BYTES,
            window: arguments.window,
            side_by_side: SIDE_BY_SIDE,
            most_bytes: arguments.size.0,
        },
        handling: Handling::InPlace,
        sockets: arguments.sockets,
        depth: arguments.depth,
        messages: arguments.messages,
        size_bytes: arguments.size.0,
    };
    plan.channel.layout()?;
    let handlings = handlings(arguments.handling);
    let alone = |handling| Plan {
        handling,
        sockets: 1,
        depth: 1,
        messages: arguments.messages.min(ALONE_MESSAGES),
        ..plan
    };
    let together = |handling| Plan { handling, ..plan };
    let plans = handlings.iter().map(|handling| alone(*handling));
    let plans = plans.chain(handlings.iter().map(|handling| together(*handling)));

    let mut is_described = false;
    for plan in plans {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let bed = Bed::new(plan.sockets, arguments.mtu)?;
        let row = measure(&bed, &plan, stop, |ready| {
            if std::mem::replace(&mut is_described, true) {
                return Ok(());
            }
            let header = Header {
                mtu_bytes: arguments.mtu,
                queues: arguments.sockets as usize,
                ..Header::of_xsks("stress", Some(&ready.attach), ready.xsks)
            };
            output.header(&header)
        })?;
        output.row(&row)?;
        if let Some(reason) = row.failure() {
            return Err(Failure::Run(reason));
        }
    }
    Ok(())
}

fn handlings(argument: HandlingArg) -> &'static [Handling] {
    match argument {
        HandlingArg::Both => &[Handling::InPlace, Handling::CopiedOut],
        HandlingArg::InPlace => &[Handling::InPlace],
        HandlingArg::CopiedOut => &[Handling::CopiedOut],
    }
}

/// One run: a thread at each end.
fn measure(
    bed: &Bed,
    plan: &Plan,
    stop: &AtomicBool,
    describe: impl FnOnce(Ready) -> Result<(), Failure>,
) -> Result<StressRow, Failure> {
    let attach = |interface: &str| End::attach(interface, plan.sockets);
    let client = bed.on_client(|| attach(bed.interface()))?;
    let server = bed.on_server(|| attach(bed.interface()))?;
    let is_over = &AtomicBool::new(false);
    let (bound, ready) = mpsc::channel();
    let (client, server) = (&client, &server);
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            bed.on_server(|| server::run(server, bed.macs(), plan, is_over, &bound))
        });
        // Without a server, only its reason is of interest.
        let asking = match ready.recv() {
            Ok(()) => bed.on_client(|| client::run(client, bed.macs(), plan, stop, describe)),
            Err(_) => Err(Failure::Run("the server did not start".to_owned())),
        };
        is_over.store(true, Ordering::Relaxed);
        let served = serving
            .join()
            .map_err(|_| Failure::Run("the server's thread panicked".to_owned()))?;
        // What the server failed of is the cause of what the client did.
        Ok(StressRow::of(plan, &served?, &asking?))
    })
}

/// Of a frame, beside the MTU.
const ETHERNET_HEADER_BYTES: u32 = 14;
/// Messages of a socket whose fragments are mixed.
const SIDE_BY_SIDE: usize = 4;
/// Enough for percentiles of one message at a time.
const ALONE_MESSAGES: u64 = 1000;
