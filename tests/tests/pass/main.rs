//! Frames that an application passes to the kernel's stack: they arrive there as if
//! they had just come in, once, and never come up again.

mod arrival;
mod example;
mod pair;
mod sight;
mod sources;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wharf::{Application, Attach, Batch, Engine, EngineBuilder, Outbox, Summary};
use wharf_testbed::{Entered, Pair};
use wharf_tests::{assert_conserved, in_both_modes, unanswered};

/// Passes every frame, and counts them.
#[derive(Clone, Default)]
struct PassAll(Arc<AtomicU64>);

impl Application for PassAll {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            self.0.fetch_add(1, Ordering::Relaxed);
            out.pass(frame);
        }
    }
}

/// An engine on the server's interface, with this thread in the server.
fn on_server(pair: &Pair, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = pair.server().enter().expect("the host lives");
    let builder = Engine::builder().interface("eth0").attach(attach);
    (inside, builder.frames(8192).passing())
}

/// Stops an engine whose application passed all that it got, and nothing was lost.
fn stop(engine: Engine, passed: u64) -> Summary {
    let summary = engine.stop();
    assert_conserved(&summary);
    summary.outcome.as_ref().expect("it was asked to stop");
    let totals = summary.stats.totals();
    assert_eq!(totals.drops.total(), 0, "{totals:?}");
    assert_eq!(
        (totals.frames_in, totals.frames_passed_by_application),
        (passed, passed),
        "{totals:?}"
    );
    summary
}

/// Frames to the server that nobody answers.
fn unanswered_frames(pair: &Pair, count: u32) -> Vec<Vec<u8>> {
    let flow = unanswered(pair.udp_flow(4000, 9));
    let frames = (0..count).map(|number| flow.frame(&number.to_ne_bytes()));
    frames.collect()
}
