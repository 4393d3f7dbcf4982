//! How queues share the chunks of their UMEM, against the simulated NIC.

use super::{SimulatedNic, Xsk, XskConfig};
use crate::kernel::RingCapacity;
use crate::memory::{Amount, Frame, Limits, Umem, UmemConfig};

const CHUNKS: u32 = 1024;

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("there is memory")
}

fn bind(umem: &Umem, limits: Limits) -> (Xsk, SimulatedNic) {
    bind_with(1024, umem, limits)
}

fn bind_with(ring: u32, umem: &Umem, limits: Limits) -> (Xsk, SimulatedNic) {
    let config = XskConfig {
        limits,
        ..XskConfig::new(RingCapacity::new(ring).expect("a power of two"))
    };
    Xsk::simulated(umem, &config).expect("there is memory")
}

fn chunks(chunks: u32) -> Limits {
    Limits {
        chunks: Some(Amount::Frames(chunks)),
        ..Limits::default()
    }
}

fn limit(xsk: &(Xsk, SimulatedNic)) -> u32 {
    xsk.0.limits().chunks
}

/// Receives what there is, gives it back, and posts what the queue may have.
fn turn_over((xsk, nic): &mut (Xsk, SimulatedNic), frames: u32) {
    for _ in 0..frames {
        nic.deliver(b"a packet of bytes");
        xsk.receive(1).for_each(drop);
        xsk.recycle();
    }
}

#[test]
fn greedy_queue_leaves_a_modest_one_its_share() {
    let umem = umem();
    let mut greedy = bind(&umem, Limits::default());
    let mut modest = bind(&umem, Limits::default());
    turn_over(&mut greedy, 600);
    modest.0.recycle();
    let mut hoard: Vec<Frame> = Vec::new();
    let mut received = 0;

    for _ in 0..4 * CHUNKS {
        greedy.1.deliver(b"kept for ever");
        greedy.0.recycle();
        hoard.extend(greedy.0.receive(64));
        // It lets go of all that it gets, but not at once.
        assert!(modest.1.deliver(b"a packet of bytes"), "it has chunks");
        let frames: Vec<_> = modest.0.receive(64).collect();
        received += frames.len();
        modest.0.recycle();
    }

    assert_eq!(received, 4 * CHUNKS as usize, "none is lost");
    assert_eq!(modest.0.rx_counters().throttled, 0);
    assert!(greedy.0.rx_counters().throttled > 0);
    assert!(greedy.0.usage().charged <= CHUNKS / 2);
    hoard.clear();
    assert!(umem.audit().is_balanced());
}

#[test]
fn queues_that_appear_leave_chunks_for_those_that_follow() {
    let umem = umem();
    umem.set_an_eighth_aside();
    umem.expect_queues(2);
    let old = [(); 2].map(|()| bind(&umem, Limits::default()));
    assert_eq!(umem.audit().pool, 128, "the rest is posted");

    umem.expect_queues(2);

    assert_eq!(old.each_ref().map(limit), [224, 224]);
    let new = [(); 2].map(|()| bind(&umem, Limits::default()));
    assert_eq!(
        new.each_ref().map(limit),
        [64, 64],
        "from the eighth that is not shared"
    );
}

#[test]
fn queues_that_appear_together_get_the_same() {
    let umem = Umem::new(&UmemConfig::new(4096)).expect("there is memory");
    umem.set_an_eighth_aside();
    umem.expect_queues(2);
    let mut all = Vec::from([(); 2].map(|()| bind(&umem, Limits::default())));

    for half in [768, 384] {
        umem.expect_queues(3);
        let new = [(); 3].map(|()| bind(&umem, Limits::default()));

        assert_eq!(new.each_ref().map(limit), [half / 3; 3]);
        all.extend(new);
    }
}

#[test]
fn queues_that_were_expected_and_do_not_come_leave_their_share() {
    let umem = umem();
    umem.expect_queues(4);
    let here = bind(&umem, Limits::default());
    assert_eq!(limit(&here), CHUNKS / 4);

    umem.expect_queues(0);

    assert_eq!(limit(&here), CHUNKS);
}

#[test]
fn shares_are_even_once_what_was_posted_came_back() {
    let umem = umem();
    umem.set_an_eighth_aside();
    let mut first = bind(&umem, Limits::default());
    let others = [(); 2].map(|()| bind(&umem, Limits::default()));
    assert_eq!(limit(&first), 298, "it gets nothing more");
    assert!(others.iter().all(|other| limit(other) < 298));

    turn_over(&mut first, 600);
    umem.even_out();

    assert!(others.iter().all(|other| limit(other) == 298));
    assert_eq!((limit(&first), first.0.usage().charged), (298, 298));
}

#[test]
fn queue_that_lacks_its_share_asks_for_it_as_it_posts() {
    let umem = umem();
    let mut first = bind(&umem, Limits::default());
    let mut second = bind(&umem, Limits::default());
    assert_eq!(limit(&second), 64, "the first has it all");
    turn_over(&mut first, 600);

    second.0.recycle();
    second.0.recycle();

    assert_eq!((limit(&first), limit(&second)), (512, 512));
    assert_eq!(second.0.usage().charged, 512);
}

#[test]
fn queues_share_what_those_with_a_lower_limit_leave() {
    let umem = umem();
    let small = bind(&umem, chunks(100));
    let first = bind(&umem, chunks(124));
    assert_eq!([limit(&small), limit(&first)], [100, 124]);

    let usual = [(); 2].map(|()| bind_with(256, &umem, Limits::default()));

    assert_eq!([limit(&small), limit(&first)], [100, 124]);
    assert_eq!(usual.each_ref().map(limit), [400, 400]);
    drop(first);
    assert_eq!(usual.each_ref().map(limit), [462, 462]);
}

#[test]
fn queue_that_has_gone_gets_no_chunks_until_it_is_back() {
    let umem = umem();
    umem.set_an_eighth_aside();
    let first = bind(&umem, chunks(100));
    let second = bind(&umem, chunks(100));
    let second = (second.0.into_halves(), second.1);

    second.0.0.set_receives(false);
    umem.even_out();
    let second_limit = |second: &((super::RxHalf, super::TxHalf), SimulatedNic)| {
        let (rx, tx) = &second.0;
        rx.limits(tx).chunks
    };
    assert_eq!([limit(&first), second_limit(&second)], [100, 0]);
    let usual = bind(&umem, Limits::default());
    assert_eq!(limit(&usual), 696, "what lies there is of no use");

    second.0.0.set_receives(true);
    umem.even_out();
    assert_eq!([limit(&first), second_limit(&second)], [100, 100]);
    assert_eq!(limit(&usual), 696);
}

#[test]
fn queue_joins_others_whose_charges_a_lying_kernel_made_nonsense() {
    let umem = umem();
    let mut made: Vec<Frame> = std::iter::from_fn(|| umem.allocate()).collect();
    let mut liars = [(); 2].map(|()| bind(&umem, Limits::default()));
    assert_eq!(umem.audit().fill, 0, "nothing is charged");

    for (chunk, (xsk, nic)) in [0_u64, 8].into_iter().zip(&mut liars) {
        for (chunk, mut frame) in (chunk..).zip(made.drain(..8)) {
            frame.grow_back(60).expect("room").fill(1);
            xsk.transmit(frame).expect("a slot");
            // It never had the frame, and most are not even charged yet.
            assert!(nic.inject_completion(chunk * 4096));
        }
        assert_eq!(xsk.tx().complete(), 8);
    }
    let _new = bind(&umem, Limits::default());

    let usage = |(xsk, _): &mut (Xsk, SimulatedNic)| {
        xsk.publish();
        xsk.usage()
    };
    assert!(liars.iter_mut().map(usage).all(|usage| usage.charged == 0));
    assert!(umem.audit().is_balanced());
}
