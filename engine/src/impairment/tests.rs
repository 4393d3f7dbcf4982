//! Impaired wires on simulated interfaces, whose clock the tests move.

use std::time::Duration;

use super::*;
use crate::{
    ChunkSize, DropReason, InterfaceId, MultiBuffer, RingCapacity, SimulatedNic, SimulatedWorker,
    Summary, Umem, UmemConfig, XskConfig,
};

const A: InterfaceId = InterfaceId(0);
const B: InterfaceId = InterfaceId(1);

struct Bed {
    impairments: Impairments,
    worker: SimulatedWorker<ImpairedWire>,
    nics: Vec<SimulatedNic>,
}

fn bed_of(umem: &UmemConfig, ring: u32, from_a: &str) -> Bed {
    let umem = Umem::new(umem).expect("memory for a UMEM");
    let config = |interface| XskConfig {
        interface,
        multi_buffer: MultiBuffer::Always,
        ..XskConfig::new(RingCapacity::new(ring).expect("a power of two"))
    };
    let impairments = Impairments::new();
    let (worker, nics) = SimulatedWorker::new_with(&umem, &[config(A), config(B)], |context| {
        impairments.wire(context)
    })
    .expect("two xsks");
    let bed = Bed {
        impairments,
        worker,
        nics,
    };
    if !from_a.is_empty() {
        bed.set(A, from_a);
    }
    bed
}

fn bed(from_a: &str) -> Bed {
    bed_of(&UmemConfig::new(2048), 256, from_a)
}

impl Bed {
    fn set(&self, from: InterfaceId, text: &str) {
        let impairment = (!text.is_empty()).then(|| text.parse().expect(text));
        self.impairments
            .set(from, impairment)
            .expect("there is memory");
    }

    /// Delivers frames of these numbers.
    fn deliver(&mut self, from: InterfaceId, numbers: impl IntoIterator<Item = u8>) {
        for number in numbers {
            assert!(self.nics[from.0].deliver(&[number; 60]));
        }
        self.run();
    }

    /// Moves the clock, and runs until nothing is left to do.
    fn advance(&mut self, milliseconds: u64) {
        self.worker.advance(Duration::from_millis(milliseconds));
        self.run();
    }

    fn run(&mut self) {
        let ran = (0..1000).find(|_| !self.worker.round());
        assert!(ran.is_some(), "it comes to rest");
    }

    /// The frames that were sent on an interface, by their first bytes.
    fn sent(&mut self, to: InterfaceId) -> Vec<u8> {
        let nic = &mut self.nics[to.0];
        std::iter::from_fn(|| nic.transmitted().map(|bytes| bytes[0])).collect()
    }

    fn counts(&self) -> ImpairmentCounts {
        self.impairments.counts(A)
    }

    fn finish(mut self) -> Summary {
        self.run();
        let impairments = self.impairments.clone();
        drop(self.nics);
        let summary = self.worker.finish();
        assert!(summary.is_conserved(), "{summary}");
        assert_eq!(impairments.counts(A).held, 0);
        summary
    }
}

#[test]
fn frames_leave_after_their_delay_in_order() {
    let mut bed = bed("delay 20ms");

    bed.deliver(A, [1, 2]);
    bed.advance(10);
    bed.deliver(A, [3]);

    assert_eq!((bed.sent(B), bed.counts().held), (vec![], 3));
    bed.advance(9);
    assert_eq!(bed.sent(B), [0; 0]);
    bed.advance(1);
    assert_eq!((bed.sent(B), bed.counts().held), (vec![1, 2], 1));
    bed.advance(10);
    assert_eq!(bed.sent(B), [3]);
    bed.finish();
}

#[test]
fn directions_are_impaired_for_themselves() {
    let mut bed = bed("delay 20ms");

    bed.deliver(A, [1]);
    bed.deliver(B, [2]);

    assert_eq!((bed.sent(A), bed.sent(B)), (vec![2], vec![]));
    bed.set(B, "delay 5ms");
    bed.deliver(B, [3]);
    bed.advance(5);
    assert_eq!((bed.sent(A), bed.sent(B)), (vec![3], vec![]));
    bed.finish();
}

#[test]
fn lost_frames_are_counted_for_what_they_were_lost_for() {
    let mut bed = bed("delay 1ms loss 100%");
    bed.deliver(A, 0..10);
    bed.set(A, "delay 1ms limit 4");
    bed.deliver(A, 0..10);
    bed.advance(1);

    assert_eq!(bed.sent(B), [0, 1, 2, 3]);
    let counts = bed.counts();
    assert_eq!((counts.lost, counts.over_limit), (10, 6));
    let drops = bed.finish().stats.totals().drops;
    assert_eq!(drops.get(DropReason::ImpairedLoss), 10);
    assert_eq!(drops.get(DropReason::ImpairedLimit), 6);
    assert_eq!(drops.total(), 16);
}

#[test]
fn copies_are_frames_of_their_own() {
    let mut bed = bed("duplicate 100%");

    bed.deliver(A, [1, 2]);

    assert_eq!(bed.sent(B), [1, 1, 2, 2]);
    assert_eq!(bed.counts().duplicated, 2);
    let totals = bed.finish().stats.totals();
    assert_eq!((totals.frames_made, totals.tx_frames), (2, 4));
}

#[test]
fn frames_are_sent_once_where_no_chunk_is_free_for_a_copy() {
    let mut bed = bed("delay 1ms duplicate 100%");
    let context = bed.worker.context().clone();
    let hoard: Vec<_> = std::iter::from_fn(|| context.umem.allocate()).collect();

    bed.deliver(A, [1]);
    bed.advance(1);

    assert_eq!(bed.sent(B), [1]);
    assert_eq!(
        (bed.counts().duplicated, bed.counts().not_duplicated),
        (0, 1)
    );
    drop((hoard, context));
    bed.finish();
}

#[test]
fn copies_of_frames_in_several_chunks_have_all_their_bytes() {
    let umem = UmemConfig {
        chunk_size: ChunkSize::new(2048).expect("a size"),
        ..UmemConfig::new(2048)
    };
    let mut bed = bed_of(&umem, 256, "duplicate 100% corrupt 100% seed 5");
    let bytes: Vec<u8> = (0..5000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();

    assert!(bed.nics[0].deliver(&bytes));
    bed.run();

    let mut sent = || bed.nics[1].transmitted().expect("a frame");
    for frame in [sent(), sent()] {
        assert_eq!(frame.len(), bytes.len());
        let changed = frame.iter().zip(&bytes).filter(|(one, other)| one != other);
        let bits = changed.map(|(one, other)| (one ^ other).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
    }
    assert_eq!(bed.counts().corrupted, 2);
    bed.finish();
}

#[test]
fn change_holds_for_frames_that_come_after_it() {
    let mut bed = bed("delay 20ms");

    bed.deliver(A, [1]);
    bed.set(A, "delay 5ms");
    bed.deliver(A, [2]);
    bed.set(A, "");
    bed.deliver(A, [3]);

    assert_eq!(bed.sent(B), [3]);
    bed.advance(5);
    assert_eq!(bed.sent(B), [2]);
    bed.advance(15);
    assert_eq!(bed.sent(B), [1]);
    bed.finish();
}

#[test]
fn what_is_due_waits_for_room_and_nothing_more_is_received() {
    let mut bed = bed("delay 1ms limit 400");
    // More than the TX ring has slots, as long as nobody sends.
    for round in 0..4 {
        bed.deliver(A, [round; 80]);
    }
    bed.worker.advance(Duration::from_millis(1));
    for _ in 0..50 {
        bed.worker.round();
    }
    // Room is counted in frames of the most chunks, so the last few slots stay free.
    let held = bed.counts().held;
    assert!((64..90).contains(&held), "{held}");
    assert!(bed.nics[0].deliver(&[9; 60]));
    for _ in 0..50 {
        bed.worker.round();
    }
    assert_eq!(bed.counts().held, held, "the new one stays in its ring");

    let mut sent = 0;
    for _ in 0..100 {
        sent += bed.sent(B).len();
        bed.worker.advance(Duration::from_millis(1));
        bed.worker.round();
    }

    assert_eq!(sent, 321);
    assert_eq!(bed.finish().stats.totals().drops.total(), 0);
}

#[test]
fn held_frames_are_sent_at_the_end() {
    let mut bed = bed("delay 1000s");
    bed.deliver(A, 0..100);
    assert_eq!(bed.counts().held, 100);

    bed.worker.stop();
    bed.deliver(A, 100..110);

    assert_eq!(bed.sent(B), (0..110).collect::<Vec<_>>());
    bed.run();
    let summary = bed.finish();
    assert_eq!(summary.stats.totals().tx_frames, 110);
    assert_eq!(summary.stats.totals().drops.total(), 0);
}

#[test]
fn rate_spaces_frames_and_its_line_outlives_pauses() {
    // 60 bytes at 480 kbit/s: a millisecond.
    let mut bed = bed("rate 480kbit");

    bed.deliver(A, [1, 2, 3]);

    for expected in [1, 2, 3] {
        bed.advance(1);
        assert_eq!(bed.sent(B), [expected]);
    }
    bed.advance(50);
    bed.deliver(A, [4]);
    assert_eq!(bed.sent(B), [0; 0]);
    bed.advance(1);
    assert_eq!(bed.sent(B), [4]);
    bed.finish();
}

#[test]
fn thousands_are_held_and_none_is_reordered() {
    let umem = UmemConfig::new(chunks_for(5000, 2));
    let mut bed = bed_of(&umem, 1024, "delay 50ms limit 5000");
    let (mut sent, mut next) = (Vec::new(), 0_u32);
    let mut read = |nic: &mut SimulatedNic| {
        while let Some(bytes) = nic.transmitted() {
            sent.push(u32::from_le_bytes(
                bytes[..4].try_into().expect("four bytes"),
            ));
        }
    };

    // 100,000 a second.
    for _ in 0..200 {
        for _ in 0..100 {
            assert!(bed.nics[0].deliver(&next.to_le_bytes().repeat(16)));
            next += 1;
        }
        bed.run();
        bed.advance(1);
        read(&mut bed.nics[1]);
    }
    assert_eq!(bed.counts().held, 4900);
    for _ in 0..60 {
        bed.advance(1);
        read(&mut bed.nics[1]);
    }

    assert_eq!(sent, (0..next).collect::<Vec<_>>());
    assert_eq!(bed.finish().stats.totals().drops.total(), 0);
}
