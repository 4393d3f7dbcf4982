//! `wharf bench backstore`: a block server of several threads over frames, as in the
//! thread about zero copy for tcmu, where requests of 256 KiB went from 3.6 to 10 GB/s, and
//! by 10 to 15 % where the store copies anyway.
//!
//! ```text
//!   client thread                        server: a thread per job
//!   jobs × depth requests ── write ──►  block := the frames that it came in
//!                         ◄── head ──
//!                         ── read ───►  sends the block's frames, which come back
//!   verifies every byte   ◄── block ──
//! ```

mod client;
mod plan;
mod request;
mod result;
mod server;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::channel::ChannelPlan;
use super::ends::End;
use super::header::Header;
use super::output::Output;
use super::testbed::Bed;
use crate::args::BackstoreArgs;
use crate::exit::Failure;
use client::Ready;
use plan::{Handling, Plan};
use result::BackstoreRow;

/// Runs it; fails where a block got lost or damaged.
pub fn run(
    arguments: &BackstoreArgs,
    output: &mut Output,
    stop: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let mut plan = Plan {
        channel: ChannelPlan {
            frame_bytes: arguments.mtu + ETHERNET_HEADER_BYTES,
            window: arguments.window,
            side_by_side: SIDE_BY_SIDE,
            most_bytes: 0,
        },
        handling: Handling::CopiedOut,
        jobs: arguments.jobs,
        depth: arguments.depth,
        requests: arguments.requests,
        size_bytes: arguments.size.0,
    };
    plan.channel.most_bytes = plan.message_bytes();
    plan.channel.layout()?;
    let mut baseline = None;
    for handling in Handling::ALL {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        plan.handling = handling;
        let bed = Bed::new(plan.jobs, arguments.mtu)?;
        let row = measure(&bed, &plan, stop, |ready| {
            if baseline.is_some() {
                return Ok(());
            }
            let header = Header {
                mtu_bytes: arguments.mtu,
                ..Header::of_xsks("backstore", Some(&ready.attach), ready.xsks)
            };
            output.header(&header)
        })?;
        let first = *baseline.get_or_insert(row.bytes_per_second());
        let row = row.against(first);
        output.row(&row)?;
        if let Some(reason) = row.failure() {
            return Err(Failure::Run(reason));
        }
    }
    Ok(())
}

/// One run: a client, and a thread per job of the server.
fn measure(
    bed: &Bed,
    plan: &Plan,
    stop: &AtomicBool,
    describe: impl FnOnce(Ready) -> Result<(), Failure>,
) -> Result<BackstoreRow, Failure> {
    let attach = |interface: &str| End::attach(interface, plan.jobs);
    let client = bed.on_client(|| attach(bed.interface()))?;
    let server = bed.on_server(|| attach(bed.interface()))?;
    let is_over = &AtomicBool::new(false);
    let (client, server) = (&client, &server);
    thread::scope(|scope| {
        let (bound, ready) = mpsc::channel();
        let serve = |job| {
            let bound = bound.clone();
            scope.spawn(move || {
                bed.on_server(|| server::run(server, job, bed.macs(), plan, is_over, bound))
            })
        };
        let serving: Vec<_> = (0..plan.jobs).map(serve).collect();
        drop(bound);
        let jobs = usize::try_from(plan.jobs).unwrap_or(usize::MAX);
        let asking = if ready.iter().take(jobs).count() == jobs {
            bed.on_client(|| client::run(client, bed.macs(), plan, stop, describe))
        } else {
            Err(Failure::Run("a job of the server did not start".to_owned()))
        };
        is_over.store(true, Ordering::Relaxed);
        let mut served = Vec::new();
        for thread in serving {
            let job = thread
                .join()
                .map_err(|_| Failure::Run("a thread of the server panicked".to_owned()))?;
            // What a job failed of is the cause of what the client did.
            served.push(job?);
        }
        Ok(BackstoreRow::of(plan, &served, &asking?))
    })
}

/// Of a frame, beside the MTU.
const ETHERNET_HEADER_BYTES: u32 = 14;
/// Messages of a job whose fragments are mixed.
const SIDE_BY_SIDE: usize = 2;
