//! How an engine ends: stopped, dropped, by a panic, with frames on their way.

use super::*;

in_both_modes! {
    engine_under_traffic_stops_in_bounded_time_and_accounts_for_every_frame,
    panic_in_receive_stops_the_engine_and_is_reported,
}

fn engine_under_traffic_stops_in_bounded_time_and_accounts_for_every_frame(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let engine = builder.start(|_| Cross).expect("it starts");
    let arrived_before = wire
        .server_interface()
        .counters()
        .expect("it counts")
        .rx_packets;
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 200_000);
    wait_for_frames_in(&engine, 20_000);

    let summary = stop(engine);

    drop(stream);
    assert_conserved(&summary);
    summary.outcome.as_ref().expect("it was asked to stop");
    let totals = summary.stats.totals();
    let arrived = wire
        .server_interface()
        .counters()
        .expect("it counts")
        .rx_packets
        - arrived_before;
    assert_eq!(
        arrived, totals.tx_frames,
        "what it says it sent is what arrived"
    );
    assert_eq!(
        totals.drops.get(DropReason::TxUnfinished),
        0,
        "there was time to finish"
    );
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

/// Panics at the frame of this number.
struct PanicAt(u64);

impl Application for PanicAt {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            self.0 -= 1;
            assert!(self.0 > 0, "this frame\nis one too many");
            out.send(frame, InterfaceId(1));
        }
    }
}

fn panic_in_receive_stops_the_engine_and_is_reported(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let engine = builder
        .promiscuous()
        .start(|_| PanicAt(500))
        .expect("it starts");
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 20_000);

    wait_until("the engine notices", SOON, || {
        !engine.wait(Duration::from_millis(10))
    });
    let summary = stop(engine);

    drop(stream);
    assert_conserved(&summary);
    assert!(
        summary.stats.totals().tx_frames >= 400,
        "those before were sent"
    );
    let error = summary
        .outcome
        .expect_err("it did not stop because it was asked to");
    let Error::ApplicationPanicked { worker: 0, message } = &error else {
        panic!("not a panic of worker 0: {error}");
    };
    assert_eq!(message, "this frame is one too many");
    assert!(error.to_string().contains("worker 0"), "{error}");
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

#[test]
fn panic_while_the_application_is_made_fails_the_start() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);

    let started = builder.cpus([0, 1]).promiscuous().start(|context| {
        assert!(context.worker != 1, "no application for worker 1");
        Reflect
    });

    let error = started.expect_err("there is no application");
    let Error::ApplicationPanicked { worker: 1, message } = &error else {
        panic!("not a panic of worker 1: {error}");
    };
    assert_eq!(message, "no application for worker 1");
    assert_no_program(wire.left());
    assert_no_program(wire.right());
    // And the queues are free at once.
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let engine = builder.start(|_| Cross).expect("it starts");
    assert_conserved(&stop(engine));
}

/// A payload that panics when it is dropped, as often as it takes.
struct Relentless;

impl Drop for Relentless {
    fn drop(&mut self) {
        std::panic::panic_any(Self);
    }
}

/// Panics with [`Relentless`] where it is told to.
enum PanicsIn {
    Receive,
    Idle,
    Drop,
}

impl Application for PanicsIn {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            out.send(frame, InterfaceId(1));
            if matches!(self, Self::Receive) {
                std::panic::panic_any(Relentless);
            }
        }
    }

    fn idle(&mut self, _: &mut Outbox<'_>) -> Idle {
        if matches!(self, Self::Idle) {
            std::panic::panic_any(Relentless);
        }
        Idle::Sleep
    }
}

impl Drop for PanicsIn {
    fn drop(&mut self) {
        if matches!(self, Self::Drop) {
            std::panic::panic_any(Relentless);
        }
    }
}

#[test]
fn panic_whose_payload_panics_when_dropped_leaves_the_audit() {
    if !require_privileges() {
        return;
    }
    for panics_in in [|| PanicsIn::Receive, || PanicsIn::Idle, || PanicsIn::Drop] {
        let wire = Testbed::wire().expect("a wire");
        let (_inside, builder) = on_wire(&wire, Attach::Auto);
        let engine = builder
            .promiscuous()
            .start(move |_| panics_in())
            .expect("it starts");
        let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
        let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..10).collect();
        sender.send_batch(&frames).expect("the link takes them");
        wait_until("frames come in or it ends", SOON, || {
            frames_in(&engine) >= 10 || !engine.wait(Duration::ZERO)
        });

        let summary = stop(engine);

        assert_conserved(&summary);
        let error = summary.outcome.as_ref().expect_err("it panicked");
        assert!(
            matches!(error, Error::ApplicationPanicked { worker: 0, .. }),
            "{error}"
        );
        assert_no_program(wire.left());
    }
}

/// Captured by a closure.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        std::panic::panic_any(Relentless);
    }
}

#[test]
fn closure_that_panics_when_dropped_leaves_the_audit() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let captured = PanicsInDrop;
    let engine = builder.start(move |_| {
        let _ = &captured;
        Cross
    });

    let summary = stop(engine.expect("it starts"));

    assert_conserved(&summary);
    summary.outcome.expect_err("the closure panicked");
}

#[test]
fn dropped_engine_leaves_nothing() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);

    drop(builder.promiscuous().start(|_| Cross).expect("it starts"));

    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

/// Sends frames across, a few at a time and slowly.
struct Slow;

impl Application for Slow {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        // Stands for work; nothing is assumed of how long it takes.
        std::thread::sleep(Duration::from_millis(1));
        batch
            .take(4)
            .for_each(|frame| out.send(frame, InterfaceId(1)));
    }
}

#[test]
fn frames_that_have_arrived_are_handled_before_the_engine_stops() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let engine = builder.start(|_| Slow).expect("it starts");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..400).collect();

    sender.send_batch(&frames).expect("the link takes them");
    wait_for_frames_in(&engine, 400);
    let summary = stop(engine);

    assert_nothing_dropped(&summary);
    assert_eq!(summary.stats.totals().tx_frames, 400);
}
