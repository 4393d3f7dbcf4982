//! Several xsks on one queue, against the simulated NIC: one fill ring and one
//! completion ring serve all, and everyone's frames are their own.

use proptest::prelude::*;

use super::{SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::XskErrorKind;
use crate::kernel::RingCapacity;
use crate::kernel::XskIndex;
use crate::memory::frame::Frame;
use crate::memory::{Amount, Limits, Umem, UmemConfig};

const RING: u32 = 64;
const CHUNKS: u32 = 512;

fn config(xsks: u8) -> XskConfig {
    XskConfig {
        xsks,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("a small UMEM")
}

/// Two xsks of a queue, each with its NIC.
fn two(config: &XskConfig) -> (Umem, [(Xsk, SimulatedNic); 2]) {
    let umem = umem();
    let (queue, nic) = Xsk::simulated(&umem, config).expect("a simulated queue");
    let shared = nic.share().expect("one more xsk");
    (umem, [(queue, nic), shared])
}

fn made(umem: &Umem, byte: u8) -> Frame {
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(1).expect("room")[0] = byte;
    frame
}

#[test]
fn each_xsk_receives_its_own_frames_from_one_fill_ring() {
    let (umem, [(mut first, mut first_nic), (mut second, mut second_nic)]) = two(&config(2));
    for byte in 0..RING {
        let byte = u8::try_from(byte).expect("few");
        assert!(first_nic.deliver(&[byte, 1]) && second_nic.deliver(&[byte, 2]));
    }

    let received = |queue: &mut Xsk| -> Vec<_> {
        let batch = queue.receive(RING);
        let xsk = batch.xsk();
        batch.map(|frame| (xsk, frame[0], frame[1])).collect()
    };

    let of = |xsk: u8| (0..64).map(|byte| (XskIndex(xsk), byte, xsk + 1)).collect();
    let expected: [Vec<_>; 2] = [of(0), of(1)];
    assert_eq!([received(&mut first), received(&mut second)], expected);
    let discarded = [&mut first, &mut second].map(|queue| queue.rx().discarded());
    assert_eq!(discarded, [64, 64], "each counts its own");
    assert!(umem.audit().is_balanced());
}

#[test]
fn either_xsk_takes_the_completions_of_both() {
    let (umem, [(mut first, mut first_nic), (mut second, mut second_nic)]) = two(&config(2));
    for byte in 0..3 {
        first.transmit(made(&umem, byte)).expect("an empty ring");
    }
    second.transmit(made(&umem, 9)).expect("an empty ring");
    first.wake().expect("nothing to wake");
    second.wake().expect("nothing to wake");
    assert_eq!(first_nic.transmitted().as_deref(), Some(&[0][..]));
    assert_eq!(second_nic.transmitted().as_deref(), Some(&[9][..]));
    assert_eq!(first_nic.transmitted().as_deref(), Some(&[1][..]));

    let taken = second.tx().complete();

    assert_eq!(taken, 3);
    let (mut first, second) = (first.tx(), second.tx());
    assert_eq!((first.in_flight(), second.in_flight()), (1, 0));
    let completed = (first.counters().completed, second.counters().completed);
    assert_eq!(completed, (2, 1));
    assert_eq!((first.complete(), umem.audit().transmit), (0, 1));
}

#[test]
fn completion_ring_holds_the_frames_of_all() {
    let (umem, [(mut first, mut first_nic), (mut second, mut second_nic)]) = two(&config(2));
    for _ in 0..RING {
        first.transmit(made(&umem, 1)).expect("a free slot");
        second.transmit(made(&umem, 2)).expect("a free slot");
    }
    first.wake().expect("nothing to wake");
    second.wake().expect("nothing to wake");

    let sent = std::iter::from_fn(|| first_nic.transmitted_blank()).count()
        + std::iter::from_fn(|| second_nic.transmitted_blank()).count();

    assert_eq!(sent, 2 * RING as usize);
    first.recycle();
    let rooms = [first, second].map(|mut queue| queue.tx().room());
    assert_eq!(rooms, [RING, RING]);
}

#[test]
fn greedy_xsk_leaves_the_other_its_half_of_the_queue() {
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(RING)),
            floor: Some(Amount::Frames(16)),
            ..Limits::default()
        },
        ..config(2)
    };
    let (umem, [(mut first, mut first_nic), (mut second, mut second_nic)]) = two(&config);
    assert_eq!(umem.audit().fill, RING);
    let mut hoard = Vec::new();
    for _ in 0..4 * RING {
        first_nic.deliver(b"more");
        first.recycle();
        hoard.extend(first.receive(RING));
    }

    assert_eq!(hoard.len(), 24, "half of the limit less the floor");
    let mut modest = Vec::new();
    for _ in 0..2 * RING {
        second_nic.deliver(b"to the other");
        second.recycle();
        modest.extend(second.receive(RING));
    }
    second.recycle();
    assert_eq!(modest.len(), 24, "the other half");
    assert_eq!(umem.audit().fill, 16, "the floor");
    assert_eq!([first.rx().held(), second.rx().held()], [24, 24]);
    hoard.clear();
    assert!(second_nic.deliver(b"to the other"));
    assert_eq!(second.receive(RING).count(), 0, "it has its half");
    first.recycle();
    assert!(first_nic.deliver(b"more"));
    assert_eq!(first.receive(RING).count(), 1);
    assert_eq!(first.rx().charged(), second.rx().charged());
}

#[test]
fn xsk_that_stays_goes_on_whichever_was_dropped() {
    for dropped in 0..2 {
        let (umem, xsks) = two(&config(2));
        let mut xsks = Vec::from(xsks);
        let (mut gone, mut gone_nic) = xsks.remove(dropped);
        let (mut queue, mut nic) = xsks.remove(0);
        // One frame that nobody takes, and one that is being sent.
        assert!(gone_nic.deliver(b"unread"));
        gone.transmit(made(&umem, 1)).expect("an empty ring");
        gone.wake().expect("nothing to wake");

        drop(gone);

        let audit = umem.audit();
        assert_eq!((audit.transmit, audit.stranded), (0, 1), "{audit:?}");
        assert_eq!(audit.fill, 2 * RING - 1, "the unread one's chunk is free");
        gone_nic.transmitted_blank();
        queue.recycle();
        let audit = umem.audit();
        assert_eq!((audit.stranded, audit.fill), (0, 2 * RING), "{audit:?}");
        for byte in 0..200_u8 {
            assert!(nic.deliver(&[byte]));
            let frame = queue.receive(1).next().expect("delivered");
            assert_eq!(frame[0], byte);
            queue.transmit(frame).expect("room");
            queue.wake().expect("nothing to wake");
            assert_eq!(nic.transmitted(), Some(vec![byte]));
            queue.recycle();
        }
        assert_eq!(queue.violations(), 0);
        drop((queue, nic, gone_nic));
        let audit = umem.audit();
        assert_eq!((audit.stranded, audit.fill), (2 * RING, 0), "{audit:?}");
        assert!(audit.is_balanced());
    }
}

#[test]
fn freed_number_is_the_next_ones() {
    let (_umem, [(first, nic), (second, _)]) = two(&config(2));
    assert_eq!(second.index(), XskIndex(1));

    drop(first);
    let (third, _) = nic.share().expect("one more xsk");

    assert_eq!(third.index(), XskIndex(0));
}

#[test]
fn queue_has_no_more_xsks_than_it_was_made_for() {
    let (_umem, [(first, nic), (second, _)]) = two(&config(2));

    let refused = nic.share().expect_err("it has two");

    assert!(matches!(
        refused.kind(),
        XskErrorKind::NoMoreXsks { xsks: 2, .. }
    ));
    assert!(refused.to_string().contains("XskConfig::xsks"), "{refused}");
    drop((first, second));
}

#[test]
fn queue_whose_xsks_are_all_gone_is_not_shared() {
    let (_umem, [(first, nic), (second, _)]) = two(&config(3));
    drop((first, second));

    let refused = nic.share().expect_err("there is nothing to share");

    assert!(matches!(refused.kind(), XskErrorKind::NotBound));
}

#[test]
fn faults_of_the_shared_rings_are_counted_once() {
    let (_umem, [(mut first, mut nic), (mut second, _)]) = two(&config(2));
    assert!(nic.inject_completion(u64::MAX));
    assert!(nic.inject_received(u64::MAX, 1));

    second.recycle();
    first.recycle();
    first.receive(RING).for_each(drop);

    assert_eq!((first.violations(), second.violations()), (1, 1));
}

#[derive(Clone, Debug)]
enum Operation {
    Deliver,
    Receive(u32),
    Send(usize),
    Make,
    Drop(usize),
    Wake,
    Complete(usize),
    Recycle,
    InjectReceived(u64, u32),
    InjectCompletion(u64),
    /// Drops the xsk, or shares the queue once more when there is room.
    Replace,
}

fn operation() -> impl Strategy<Value = Operation> {
    let addr = || 0..u64::from(CHUNKS) * 4096;
    prop_oneof![
        6 => Just(Operation::Deliver),
        4 => (1_u32..16).prop_map(Operation::Receive),
        4 => any::<usize>().prop_map(Operation::Send),
        1 => Just(Operation::Make),
        1 => any::<usize>().prop_map(Operation::Drop),
        2 => Just(Operation::Wake),
        3 => (1_usize..8).prop_map(Operation::Complete),
        2 => Just(Operation::Recycle),
        1 => (addr(), 1_u32..4096).prop_map(|(addr, len)| Operation::InjectReceived(addr, len)),
        1 => addr().prop_map(Operation::InjectCompletion),
        1 => Just(Operation::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the application, a lying kernel and the order of drops do: chunks
    /// are conserved, no two frames share bytes, in-flight counts fit.
    #[test]
    fn nothing_breaks_conservation_among_xsks_of_one_queue(
        operations in prop::collection::vec((0_usize..3, operation()), 1..400),
    ) {
        let umem = umem();
        let first = Xsk::simulated(&umem, &config(3)).expect("a simulated queue");
        let second = first.1.share().expect("one more xsk");
        let mut xsks = vec![first, second];
        let mut frames: Vec<Frame> = Vec::new();

        for (which, operation) in operations {
            let count = xsks.len();
            let (queue, nic) = &mut xsks[which % count];
            match operation {
                Operation::Deliver => {
                    nic.deliver_blank(60);
                }
                Operation::Receive(max) => frames.extend(queue.receive(max)),
                Operation::Make => frames.extend(umem.allocate().map(|mut frame| {
                    frame.grow_back(60).expect("room");
                    frame
                })),
                Operation::Send(place) if !frames.is_empty() => {
                    let frame = frames.swap_remove(place % frames.len());
                    frames.extend(queue.transmit(frame).err().map(TransmitError::into_frame));
                }
                Operation::Drop(place) if !frames.is_empty() => {
                    frames.swap_remove(place % frames.len());
                }
                Operation::Send(_) | Operation::Drop(_) => {}
                Operation::Wake => queue.wake().expect("nothing to wake"),
                Operation::Complete(count) => {
                    for _ in 0..count {
                        nic.transmitted_blank();
                    }
                }
                Operation::Recycle => queue.recycle(),
                Operation::InjectReceived(addr, len) => {
                    nic.inject_received(addr, len);
                }
                Operation::InjectCompletion(addr) => {
                    nic.inject_completion(addr);
                }
                Operation::Replace if count < 3 => {
                    let more = nic.share().expect("it was made for three");
                    xsks.push(more);
                }
                Operation::Replace => {
                    xsks.swap_remove(which % count);
                }
            }
            let audit = umem.audit();
            prop_assert!(audit.is_balanced(), "{:?}", audit);
            prop_assert_eq!(audit.application as usize, frames.len());
            let in_flight: u32 = xsks.iter().map(|(queue, _)| queue.in_flight()).sum();
            prop_assert_eq!(audit.transmit, in_flight);
        }
        let mut starts: Vec<_> = frames.iter().map(|frame| frame.as_ptr().addr() / 4096).collect();
        starts.sort_unstable();
        starts.dedup();
        prop_assert_eq!(starts.len(), frames.len(), "a chunk has one owner");
        drop(xsks);
        let audit = umem.audit();
        prop_assert_eq!((audit.fill, audit.transmit), (0, 0));
        prop_assert!(audit.is_balanced(), "{:?}", audit);
    }
}

#[test]
fn half_that_stays_keeps_the_place_of_its_xsk() {
    let (_umem, [(_first, nic), (second, second_nic)]) = two(&config(2));
    let (receiver, sender) = second.into_halves();
    drop(receiver);

    let early = nic.share().expect_err("its frames need the rings");
    drop(sender);
    let (third, _third_nic) = nic.share().expect("one has gone");

    assert!(
        matches!(early.kind(), XskErrorKind::NoMoreXsks { xsks: 2, .. }),
        "{early}"
    );
    assert_eq!(
        third.index(),
        XskIndex(1),
        "no number beyond those asked for"
    );
    drop(second_nic);
}

#[test]
fn xsk_that_goes_takes_back_no_frame_of_another() {
    let (umem, [(mut first, mut nic), (mut second, mut second_nic)]) = two(&config(2));
    let frame = made(&umem, 1);
    let addr = frame.addr();
    first.transmit(frame).expect("an empty ring");
    // No kernel does this: it never saw the frame.
    assert!(nic.inject_completion(addr));
    assert_eq!(second.tx().complete(), 1);
    let again = made(&umem, 2);
    assert_eq!(again.addr(), addr, "the chunk freed last is used next");
    second.transmit(again).expect("an empty ring");
    second.publish();

    drop(first);

    assert_eq!(second.in_flight(), 1);
    assert_eq!(second_nic.transmitted().as_deref(), Some(&[2][..]));
    assert_eq!(second.tx().complete(), 1);
    assert_eq!((second.violations(), second.tx().in_flight()), (0, 0));
    assert!(umem.audit().is_balanced());
}
