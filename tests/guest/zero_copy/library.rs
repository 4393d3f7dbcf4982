//! The library: queues, and an engine in the test's own process.

use wharf::{
    Application, Attach, Batch, ChunkSize, CopyMode, Engine, Interface, InterfaceId, Mode,
    NicQueue, Outbox, QueueIndex, RingCapacity, Umem, UmemConfig, XskConfig,
};
use wharf_tests::assert_nothing_dropped;

use crate::end::{End, RING, carry, flow, frames};
use crate::require_guest;

#[test]
fn queues_carry_frames_intact_in_zero_copy() {
    require_guest();
    let (mut one, mut two) = (End::bind("eth0"), End::bind("eth1"));
    let sent = frames(flow(), 5000);

    let there = carry(&mut one, &mut two, &sent, |frame| assert_eq!(frame[11], 0));
    let back = carry(&mut two, &mut one, &sent, |frame| assert_eq!(frame[11], 0));

    for checker in [there, back] {
        assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
    }
    one.assert_settled();
    two.assert_settled();
}

/// Marks every frame and sends it out of the other interface.
struct Cross;

impl Application for Cross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for mut frame in batch {
            frame[11] = MARK;
            out.send(frame, to);
        }
    }
}

/// The last byte of the source address, once the application had the frame.
const MARK: u8 = 0xee;

#[test]
fn engine_forwards_in_zero_copy_and_accounts_for_every_frame() {
    require_guest();
    let (mut near, mut far) = (End::bind("eth0"), End::bind("eth3"));
    let engine = Engine::builder()
        .interface("eth1")
        .interface("eth2")
        .mode(Mode::ZeroCopy)
        .attach(Attach::Native)
        .queues(1)
        .cpus([0])
        .frames(2048)
        .ring_size(RingCapacity::new(RING).expect("a power of two"))
        .start(|_| Cross)
        .expect("it starts");
    for worker in &engine.report().workers {
        for queue in &worker.queues {
            assert_eq!(queue.got, CopyMode::ZeroCopy, "{queue:?}");
        }
    }
    let sent = frames(flow(), 5000);

    let there = carry(&mut near, &mut far, &sent, |frame| {
        assert_eq!(frame[11], MARK)
    });
    let back = carry(&mut far, &mut near, &sent, |frame| {
        assert_eq!(frame[11], MARK)
    });
    let summary = engine.stop();

    for checker in [there, back] {
        assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
    }
    assert_nothing_dropped(&summary);
    let totals = summary.stats.totals();
    assert_eq!((totals.rx_frames, totals.tx_frames), (10_000, 10_000));
    near.assert_settled();
    far.assert_settled();
}

#[test]
fn chunks_across_usual_pages_are_refused_in_zero_copy_and_copied_if_that_will_do() {
    require_guest();
    let interface = Interface::by_name("eth0").expect("the guest has it");
    let index = QueueIndex::new(0).expect("small");
    let bind = |mode| {
        let umem = UmemConfig {
            chunk_size: ChunkSize::unaligned(3000).expect("a chunk size"),
            ..UmemConfig::new(RING)
        };
        let umem = Umem::new(&umem).expect("there is memory");
        let config = XskConfig {
            mode,
            ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
        };
        NicQueue::new(&umem, &interface, index).bind(&config)
    };

    let refused = bind(Mode::ZeroCopy).expect_err("the pages need not be neighbours");
    let (_queue, report) = bind(Mode::Auto).expect("copy mode takes them");

    assert!(refused.to_string().contains("--huge-pages"), "{refused}");
    assert_eq!(report.got, CopyMode::Copy);
    let fallback = report.fallback.expect("it says why");
    assert!(fallback.contains("lie across pages"), "{fallback}");
}
