//! Interfaces that change under a running engine, and what it says of that. Those
//! that go away are in `interface_lost`.

mod carrier;
mod down;
mod mtu;
mod said;

use std::cell::RefCell;
use std::time::Duration;

use wharf::{
    Application, Attach, Batch, DropReason, Engine, EngineBuilder, Event, InterfaceId, Outbox,
    Summary,
};
use wharf_testbed::{Entered, Testbed, Wire, require_privileges};
use wharf_tests::{Forward, SOON, Stream, assert_balanced, in_both_modes, quiet_flow, wait_until};

/// Sends every frame out of the other interface.
#[derive(Clone)]
struct Cross;

impl Application for Cross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for frame in batch {
            out.send(frame, to);
        }
    }
}

/// A wire; `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// An engine between the two interfaces of a wire, and what it said so far.
struct Run {
    engine: Engine,
    events: RefCell<Vec<Event>>,
    _inside: Entered,
}

impl Run {
    fn start(wire: &Wire, attach: Attach) -> Self {
        Self::start_with(wire, attach, |builder| builder, Cross)
    }

    fn start_with<A: Application + Clone + Send + Sync + 'static>(
        wire: &Wire,
        attach: Attach,
        with: impl FnOnce(EngineBuilder) -> EngineBuilder,
        application: A,
    ) -> Self {
        let inside = wire.forwarder().enter().expect("the host lives");
        let builder = Engine::builder()
            .interface("left")
            .interface("right")
            .attach(attach)
            .frames(8192)
            .promiscuous();
        let engine = with(builder).start(move |_| application.clone());
        Self {
            engine: engine.expect("it starts"),
            events: RefCell::default(),
            _inside: inside,
        }
    }

    /// What happened to an interface so far, as labels.
    fn labels(&self, interface: usize) -> Vec<&'static str> {
        let mut events = self.events.borrow_mut();
        events.extend(self.engine.events());
        let of_it = events.iter();
        let of_it = of_it.filter(|event| event.interface == InterfaceId(interface));
        of_it.map(|event| event.kind.label()).collect()
    }

    fn wait_for_labels(&self, interface: usize, labels: &[&str]) {
        wait_until("it is said", SOON, || {
            assert!(self.engine.wait(Duration::ZERO), "it goes on");
            self.labels(interface).len() >= labels.len()
        });
        assert_eq!(self.labels(interface), labels);
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.engine.stats().totals().drops.get(reason)
    }

    /// Waits until frames are dropped for a reason that were not before.
    fn wait_for_drops(&self, reason: DropReason) {
        let before = self.dropped(reason);
        wait_until("frames are dropped", SOON, || {
            self.dropped(reason) > before + 100
        });
    }

    fn wait_for_traffic(&self) {
        let sent = || self.engine.stats().totals().tx_frames;
        let before = sent();
        wait_until("traffic flows", SOON, || sent() > before + 500);
    }

    /// Stops it after a good run, and everything is accounted for.
    #[track_caller]
    fn stop(self) -> Summary {
        let summary = self.engine.stop();
        assert_balanced(&summary);
        if let Err(error) = &summary.outcome {
            panic!("it failed: {error}");
        }
        summary
    }
}

/// Frames from the client to the server that nobody answers.
fn stream(wire: &Wire) -> Stream {
    Stream::start(wire.client_interface(), quiet_flow(wire, 4000), 20_000)
}
