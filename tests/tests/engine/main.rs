//! The engine on veth: traffic through applications, an orderly end however it
//! comes, and books that balance to the last frame.

mod end;
mod frames;
mod hooks;
mod loss;
mod queues;
mod setup;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wharf::{
    Application, Attach, Batch, DropReason, Engine, EngineBuilder, Error, Frame, Idle, InterfaceId,
    Outbox, QueueIndex, RingCapacity, Summary, Wait,
};
use wharf_testbed::{
    Entered, Pacer, PacketSocket, Pair, SERVER_IPV4, SequencedPayload, Testbed, UdpFrame, Wire,
    require_privileges,
};
use wharf_tests::{
    SOON, Stream, assert_conserved, assert_no_program, assert_nothing_dropped, in_both_modes,
    quiet_flow, unanswered, wait_until,
};

/// Sends every frame back where it came from.
struct Reflect;

impl Application for Reflect {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            // UDP and IPv4 checksums stay right when both ends trade places.
            swap(&mut frame, 26, 30, 4);
            swap(&mut frame, 34, 36, 2);
            out.send_back(frame);
        }
    }
}

fn swap(frame: &mut Frame, one: usize, other: usize, len: usize) {
    for place in 0..len {
        frame.swap(one + place, other + place);
    }
}

/// Sends every frame out of the other interface.
struct Cross;

impl Application for Cross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for frame in batch {
            out.send(frame, to);
        }
    }
}

/// An engine on the server's interface, with this thread in the server.
fn on_server(pair: &Pair, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = pair.server().enter().expect("the host lives");
    // Fewer ring entries than frames, so that some are left to allocate.
    let ring = RingCapacity::new(1024).expect("a power of two");
    let builder = Engine::builder()
        .interface("eth0")
        .attach(attach)
        .frames(4096)
        .ring_size(ring);
    (inside, builder)
}

/// An engine between the two interfaces of a wire.
fn on_wire(wire: &Wire, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = wire.forwarder().enter().expect("the host lives");
    let builder = Engine::builder().interface("left").interface("right");
    (inside, builder.attach(attach).frames(8192))
}

/// Frames that the XDP programs have steered to the engine so far.
fn frames_in(engine: &Engine) -> u64 {
    engine.stats().totals().frames_in
}

fn wait_for_frames_in(engine: &Engine, count: u64) {
    wait_until("frames come in", SOON, || frames_in(engine) >= count);
}

/// Stops the engine, which must not take long.
fn stop(engine: Engine) -> Summary {
    let started = Instant::now();
    let summary = engine.stop();
    let elapsed = started.elapsed();
    assert!(
        elapsed < Duration::from_secs(3),
        "stopping took {elapsed:?}"
    );
    summary
}
