//! Interfaces that go away under a running engine, each in another way.

use std::time::{Duration, Instant};

use wharf::{Application, Attach, Batch, Engine, Error, InterfaceId, OnLinkDown, Outbox};
use wharf_testbed::{Host, Testbed, Wire, require_privileges};
use wharf_tests::{
    SOON, Stream, assert_balanced, assert_no_program, in_both_modes, quiet_flow, wait_until,
};

in_both_modes! {
    deleted_interface_ends_the_engine_with_its_name,
    interface_set_down_ends_the_engine_with_its_name,
    interface_moved_away_ends_the_engine_with_its_name,
    sending_interface_deleted_ends_the_engine_with_its_name,
    sending_interface_set_down_ends_the_engine_with_its_name,
    interface_deleted_while_it_is_down_ends_the_engine_with_its_name,
    interface_moved_away_while_it_is_down_ends_the_engine_with_its_name,
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

/// Runs an engine under traffic while `lose` happens to the wire. It must end
/// with [`Error::InterfaceLost`], which says `what` happened to `lost`.
fn assert_lost(attach: Attach, lost: &str, what: &str, lose: impl FnOnce(&mut Wire)) {
    // Whatever it does about one that is down, if it is not there any more.
    let on_link_down = match what {
        REMOVED => OnLinkDown::Wait,
        _ => OnLinkDown::End,
    };
    if !require_privileges() {
        return;
    }
    let mut wire = Testbed::wire().expect("a wire");
    let inside = wire.forwarder().enter().expect("the host lives");
    let engine = Engine::builder()
        .interface("left")
        .interface("right")
        .frames(8192)
        .attach(attach)
        .on_link_down(on_link_down)
        .promiscuous()
        .start(|_| Cross)
        .expect("it starts");
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 50_000);
    wait_until("traffic flows", SOON, || {
        engine.stats().totals().tx_frames > 1000
    });

    let started = Instant::now();
    lose(&mut wire);
    // Some of them take the kernel a while, which is no fault of the engine.
    let patience = started.elapsed() + Duration::from_secs(2);
    wait_until("the engine notices", patience, || {
        !engine.wait(Duration::from_millis(10))
    });
    let stopping = Instant::now();
    let summary = engine.stop();

    let elapsed = stopping.elapsed();
    assert!(
        elapsed < Duration::from_secs(3),
        "stopping took {elapsed:?}"
    );
    drop(stream);
    assert_balanced(&summary);
    match summary.outcome.expect_err("an interface is lost") {
        Error::InterfaceLost {
            interface,
            what: how,
        } => {
            assert_eq!((interface.as_str(), how), (lost, what));
        }
        other => panic!("another error: {other}"),
    }
    drop(inside);
    // What is left of the wire is clean, wherever it is now.
    for interface in [wire.left(), wire.right()] {
        if interface.status().is_ok() {
            assert_no_program(interface);
        }
    }
}

const REMOVED: &str = "deleted or moved to another network namespace";

fn deleted_interface_ends_the_engine_with_its_name(attach: Attach) {
    assert_lost(attach, "left", REMOVED, |wire| {
        wire.client_link().delete().expect("it can be deleted");
    });
}

fn sending_interface_deleted_ends_the_engine_with_its_name(attach: Attach) {
    assert_lost(attach, "right", REMOVED, |wire| {
        wire.server_link().delete().expect("it can be deleted");
    });
}

fn interface_set_down_ends_the_engine_with_its_name(attach: Attach) {
    assert_lost(attach, "left", "set down", |wire| {
        wire.left().set_down().expect("it can be set down");
    });
}

fn sending_interface_set_down_ends_the_engine_with_its_name(attach: Attach) {
    assert_lost(attach, "right", "set down", |wire| {
        wire.right().set_down().expect("it can be set down");
    });
}

fn interface_moved_away_ends_the_engine_with_its_name(attach: Attach) {
    let Some(elsewhere) = require_privileges().then(|| Host::new("elsewhere").expect("a host"))
    else {
        return;
    };
    assert_lost(attach, "left", REMOVED, |wire| {
        wire.client_link_mut()
            .far_mut()
            .move_to(&elsewhere)
            .expect("it can be moved");
    });
}

fn interface_deleted_while_it_is_down_ends_the_engine_with_its_name(attach: Attach) {
    assert_lost(attach, "right", REMOVED, |wire| {
        wire.right().set_down().expect("it can be set down");
        wire.server_link().delete().expect("it can be deleted");
    });
}

fn interface_moved_away_while_it_is_down_ends_the_engine_with_its_name(attach: Attach) {
    let Some(elsewhere) = require_privileges().then(|| Host::new("elsewhere").expect("a host"))
    else {
        return;
    };
    assert_lost(attach, "right", REMOVED, |wire| {
        wire.right().set_down().expect("it can be set down");
        wire.server_link_mut()
            .far_mut()
            .move_to(&elsewhere)
            .expect("it can be moved");
    });
}
