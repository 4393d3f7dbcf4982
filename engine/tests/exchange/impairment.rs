//! Impaired wires exchanged between workers, and frames discarded through another's outbox.

use std::mem::swap;
use std::time::Duration;

use wharf::impairment::{ImpairedWire, Impairments};
use wharf::{
    Application, Batch, Discard, DropReason, Frame, InterfaceId, Outbox, RingCapacity,
    SimulatedNic, SimulatedWorker, Umem, UmemConfig, XskConfig,
};

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(512)).expect("memory for a UMEM")
}

fn configs() -> [XskConfig; 2] {
    [0, 1].map(|interface| XskConfig {
        interface: InterfaceId(interface),
        ..XskConfig::new(RingCapacity::new(64).expect("a power of two"))
    })
}

fn worker(
    umem: &Umem,
    impairments: &Impairments,
) -> (SimulatedWorker<ImpairedWire>, Vec<SimulatedNic>) {
    let wire = SimulatedWorker::new_with(umem, &configs(), |context| impairments.wire(context));
    wire.expect("two xsks")
}

#[test]
fn held_frames_of_exchanged_wires_are_refused_and_go_home() {
    let umems = [umem(), umem()];
    let impairments = Impairments::new();
    let delay = "delay 1ms".parse().expect("good words");
    (impairments.set(InterfaceId(0), Some(delay))).expect("there is memory");
    let (mut one, mut nics) = worker(&umems[0], &impairments);
    let (mut other, _nics) = worker(&umems[1], &impairments);
    assert!(nics[0].deliver(&[1; 60]));
    one.round();
    assert_eq!(impairments.counts(InterfaceId(0)).held, 1);

    swap(one.application(), other.application());
    other.stop();
    other.advance(Duration::from_millis(1));
    for _ in 0..10 {
        one.round();
        other.round();
    }

    assert_eq!(impairments.counts(InterfaceId(0)).held, 0);
    let refused = other.finish().stats.totals().drops;
    assert_eq!(refused.get(DropReason::TxRefused), 1);
    drop(one);
    for umem in &umems {
        let audit = umem.audit();
        assert!(audit.is_balanced() && audit.application == 0, "{audit:?}");
    }
}

/// Discards the frames that it was given.
struct Discards(Vec<Frame>);

impl Application for Discards {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        batch.for_each(|frame| out.discard(frame, InterfaceId(9), Discard::Limit));
        for frame in self.0.drain(..) {
            out.discard(frame, InterfaceId(1), Discard::Loss);
        }
    }
}

#[test]
fn discarded_frame_goes_back_to_its_own_memory() {
    let (mine, others) = (umem(), umem());
    let foreign = others.allocate().expect("a free chunk");
    let discards = Discards(vec![foreign]);
    let (mut worker, mut nics) =
        SimulatedWorker::new(&mine, &configs(), discards).expect("two xsks");
    assert!(nics[0].deliver(&[1; 60]));

    worker.round();

    let drops = worker.finish().stats.totals().drops;
    assert_eq!(drops.get(DropReason::ImpairedLoss), 1);
    assert_eq!(
        drops.get(DropReason::ImpairedLimit),
        1,
        "whatever the interface"
    );
    assert_eq!(drops.get(DropReason::Application), 0);
    for umem in [&mine, &others] {
        let audit = umem.audit();
        assert!(audit.is_balanced() && audit.application == 0, "{audit:?}");
    }
}
