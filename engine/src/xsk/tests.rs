//! An xsk against the simulated NIC: ownership, conservation and what the
//! ledger does with descriptors that no kernel should post.

use std::rc::Rc;

use proptest::prelude::*;

use super::layouts::{any_addr, any_layout, chunk_of};
use super::{SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::kernel::interface_id::InterfaceId;
use crate::kernel::{QueueIndex, RingCapacity};
use crate::memory::frame::Frame;
use crate::memory::{Amount, Limits, Umem, UmemConfig};

const RING: u32 = 64;

fn config() -> XskConfig {
    XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
}

fn queue(frames: u32) -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(&UmemConfig::new(frames)).expect("a small UMEM");
    let (queue, nic) = Xsk::simulated(&umem, &config()).expect("a simulated queue");
    (umem, queue, nic)
}

#[test]
fn received_frame_has_the_bytes_and_is_owned() {
    let (umem, mut queue, mut nic) = queue(256);
    assert!(nic.deliver(b"first") && nic.deliver(b"second"));

    let frames: Vec<Frame> = queue.receive(RING).collect();

    assert_eq!(frames.len(), 2);
    assert_eq!((&*frames[0], &*frames[1]), (&b"first"[..], &b"second"[..]));
    let audit = umem.audit();
    assert_eq!((audit.application, audit.fill), (2, RING - 2));
    drop(frames);
    assert!(umem.audit().is_balanced());
    assert_eq!(umem.audit().application, 0);
}

/// Frames hold their UMEM by a count that is changed once a batch: one that is too
/// high keeps the memory for ever.
#[test]
fn memory_goes_with_the_last_that_holds_it() {
    let (umem, mut queue, mut nic) = queue(256);
    let memory = Rc::downgrade(umem.shared());
    for _ in 0..4 {
        for byte in 0..16 {
            assert!(nic.deliver(&[byte]));
        }
        let (mut rx, mut tx) = queue.split();
        // Some are sent, some are dropped, some stay in the ring.
        for (number, frame) in rx.receive(RING).take(12).enumerate() {
            if number % 3 == 0 {
                tx.transmit(frame).expect("room");
            }
        }
        let made = umem.allocate().expect("a free chunk");
        assert!(tx.transmit(made).is_err(), "it is empty");
        queue.wake().expect("nothing to wake");
        while nic.transmitted().is_some() {}
        queue.recycle();
    }
    std::mem::forget(queue.receive(RING));
    let kept = queue.receive(1).next().expect("some are left");
    let detached = queue.receive(1).next().expect("some are left").detach();

    drop((umem, nic, queue));

    assert!(memory.upgrade().is_some(), "a frame holds it");
    drop(kept);
    assert!(memory.upgrade().is_none(), "nothing holds it");
    drop(detached);
}

/// In the middle of a row too, which the busy path takes without a look at anything
/// else.
#[test]
fn frames_to_an_interface_that_is_down_are_returned() {
    let (umem, xsk, mut nic) = queue(256);
    let (mut rx, mut tx) = xsk.into_halves();
    for byte in 0..6 {
        assert!(nic.deliver(&[byte]));
    }
    let mut batch = rx.receive(RING);
    let mut send = |tx: &mut super::TxHalf| tx.transmit(batch.next().expect("six"));
    send(&mut tx).expect("room");
    send(&mut tx).expect("room");

    tx.set_down(true);
    let refused = send(&mut tx).expect_err("it is down");
    assert!(matches!(refused, TransmitError::LinkDown(_)), "{refused}");
    drop(refused);
    assert!(send(&mut tx).is_err());
    assert_eq!((tx.room(), tx.in_flight()), (0, 2));
    tx.set_down(false);
    send(&mut tx).expect("it is up");
    send(&mut tx).expect("it is up");

    assert_eq!(tx.room(), RING - 4);
    tx.wake().expect("nothing to wake");
    let sent: Vec<_> = std::iter::from_fn(|| nic.transmitted()).collect();
    assert_eq!(sent, [[0], [1], [4], [5]]);
    drop(batch);
    assert_eq!(rx.discarded(), 2);
    tx.complete();
    assert_eq!((tx.counters().frames, tx.counters().completed), (4, 4));
    assert!(umem.audit().is_balanced());
}

#[test]
fn frames_left_in_a_batch_come_again() {
    let (_umem, mut queue, mut nic) = queue(256);
    for byte in 0..4 {
        assert!(nic.deliver(&[byte]));
    }

    let first: Vec<u8> = queue.receive(RING).take(1).map(|frame| frame[0]).collect();
    let rest: Vec<u8> = queue.receive(RING).map(|frame| frame[0]).collect();

    assert_eq!((first, rest), (vec![0], vec![1, 2, 3]));
}

#[test]
fn frame_goes_out_changed_and_its_chunk_comes_home() {
    let (umem, mut queue, mut nic) = queue(256);
    nic.deliver(b"destinsourceXX");
    let mut frame = queue.receive(1).next().expect("delivered");
    frame.swap_mac_addresses();
    frame
        .grow_front(4)
        .expect("headroom")
        .copy_from_slice(b"head");

    queue.transmit(frame).expect("an empty TX ring");
    queue.wake().expect("nothing to wake");

    assert_eq!(umem.audit().transmit, 1);
    assert_eq!(
        nic.transmitted().as_deref(),
        Some(&b"headsourcedestinXX"[..])
    );
    queue.recycle();
    assert_eq!(umem.audit().transmit, 0);
    assert!(umem.audit().is_balanced());
}

#[test]
fn full_tx_ring_gives_the_frame_back() {
    let (umem, mut queue, _nic) = queue(256);
    let made = || {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_back(1).expect("room");
        frame
    };
    for _ in 0..RING {
        queue.transmit(made()).expect("a free slot");
    }

    let refused = queue.transmit(made());

    assert!(matches!(refused, Err(TransmitError::RingFull(_))));
    drop(refused);
    assert_eq!(umem.audit().transmit, RING);
    assert!(umem.audit().is_balanced());
}

#[test]
fn sent_frames_that_are_not_collected_hold_back_more() {
    let (umem, mut queue, mut nic) = queue(256);
    for _ in 0..RING {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_back(1).expect("room");
        queue.transmit(frame).expect("a free slot");
    }
    queue.wake().expect("nothing to wake");
    while nic.transmitted().is_some() {}

    // The TX ring is empty, but the completion ring is full.
    assert_eq!(queue.tx().room(), 0);
    queue.recycle();
    assert_eq!(queue.tx().room(), RING);
}

#[test]
fn frame_of_another_umem_is_given_back() {
    let (_umem, mut queue, _nic) = queue(256);
    let other = Umem::new(&UmemConfig::new(1)).expect("a small UMEM");
    let mut frame = other.allocate().expect("a free chunk");
    frame.grow_back(1).expect("room");

    let refused = queue.transmit(frame);

    assert!(matches!(refused, Err(TransmitError::ForeignUmem(_))));
    drop(refused);
    assert_eq!(other.audit().pool, 1);
}

#[test]
fn empty_frame_is_given_back() {
    let (umem, mut queue, _nic) = queue(256);
    let frame = umem.allocate().expect("a free chunk");

    assert!(matches!(
        queue.transmit(frame),
        Err(TransmitError::Empty(_))
    ));
}

#[test]
fn senseless_descriptors_never_become_frames() {
    let (umem, mut queue, mut nic) = queue(256);
    let chunk = u64::from(umem.chunk_size());
    // Free chunk, beyond the UMEM, far beyond, and a length that leaves the
    // chunk, for a chunk that was posted (the first ones were).
    let free = chunk * 200;
    for (addr, len) in [
        (free, 60),
        (chunk * 256, 60),
        (u64::MAX, 60),
        (256, 4000),
        (chunk, u32::MAX),
    ] {
        assert!(nic.inject_received(addr, len));
    }

    assert_eq!(queue.receive(RING).count(), 0);

    assert_eq!(queue.violations(), 5);
    let audit = umem.audit();
    assert_eq!(audit.quarantined, 2, "the two that were posted");
    assert!(audit.is_balanced());
}

#[test]
fn frame_delivered_twice_is_one_frame() {
    let (umem, mut queue, mut nic) = queue(256);
    assert!(nic.deliver(b"once"));
    let frame = queue.receive(1).next().expect("delivered");
    let addr = 256; // The first chunk posted, with XDP's headroom.

    assert!(nic.inject_received(addr, 4));

    assert_eq!(queue.receive(1).count(), 0);
    assert_eq!((queue.violations(), &*frame), (1, &b"once"[..]));
    assert!(umem.audit().is_balanced());
}

#[test]
fn nic_leaves_bytes_alone_that_an_injected_descriptor_made_the_applications() {
    let (_umem, mut queue, mut nic) = queue(256);
    assert!(
        nic.inject_received(256, 4),
        "the first chunk of the fill ring"
    );
    let frame = queue.receive(1).next().expect("a chunk that was posted");
    let before = frame.to_vec();

    assert!(!nic.deliver(b"EVIL"));

    assert_eq!(&*frame, before);
}

#[test]
fn nic_does_not_read_what_an_injected_completion_took_from_it() {
    let (umem, mut queue, mut nic) = queue(256);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(4).expect("room");
    queue.transmit(frame).expect("an empty TX ring");
    queue.wake().expect("nothing to wake");
    let addr = u64::from(RING) * u64::from(umem.chunk_size()) + 256;
    assert!(nic.inject_completion(addr));
    queue.recycle();

    assert_eq!(nic.transmitted(), None);
}

#[test]
fn failed_binds_do_not_use_up_the_umem() {
    let umem = Umem::new(&UmemConfig::new(256)).expect("a small UMEM");

    for _ in 0..300 {
        let member = umem.shared().new_xsk().expect("a name");
        umem.shared().forget_xsk(member);
    }

    assert!(Xsk::simulated(&umem, &config()).is_ok());
}

#[test]
fn senseless_completions_free_nothing() {
    let (umem, mut queue, mut nic) = queue(256);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(4).expect("room").copy_from_slice(b"mine");

    for addr in [
        0,
        u64::from(umem.chunk_size()) * 64 + 256,
        1 << 40,
        u64::MAX,
    ] {
        assert!(nic.inject_completion(addr));
    }
    queue.recycle();

    assert_eq!(queue.violations(), 4);
    assert_eq!((&*frame, umem.audit().application), (&b"mine"[..], 1));
    assert!(umem.audit().is_balanced());
}

#[test]
fn completion_that_lost_bit_zero_still_finds_its_chunk() {
    // Copy mode from 6.18 to 7.3 completes 0x1001 as 0x1000.
    let (umem, mut queue, mut nic) = queue(256);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(2).expect("room");
    frame.shrink_front(1).expect("two bytes");
    queue.transmit(frame).expect("an empty TX ring");
    let addr = u64::from(RING) * u64::from(umem.chunk_size()) + 256;

    assert!(nic.inject_completion(addr));
    queue.recycle();

    assert_eq!((queue.violations(), umem.audit().transmit), (0, 0));
}

#[test]
fn hoarding_application_leaves_the_floor_to_the_kernel() {
    let umem = Umem::new(&UmemConfig::new(256)).expect("a small UMEM");
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(RING)),
            floor: Some(Amount::Frames(16)),
            ..Limits::default()
        },
        ..config()
    };
    let (mut queue, mut nic) = Xsk::simulated(&umem, &config).expect("a simulated queue");
    let mut hoard = Vec::new();
    for _ in 0..4 * RING {
        nic.deliver(b"more");
        queue.recycle();
        hoard.extend(queue.receive(RING));
    }

    assert_eq!(hoard.len(), 48, "the limit less the floor");
    let received = queue.rx().counters();
    let dropped = u64::from(4 * RING) - 48;
    assert_eq!((received.frames, received.throttled), (48, dropped));
    queue.recycle();
    for _ in 0..16 {
        assert!(nic.deliver(b"more"), "the floor is in the fill ring");
    }
    hoard.clear();
    assert_eq!(queue.receive(RING).count(), 16);
    assert!(umem.audit().is_balanced());
}

#[test]
fn charges_of_one_queue_never_exceed_its_limit() {
    let umem = Umem::new(&UmemConfig::new(256)).expect("a small UMEM");
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(40)),
            ..Limits::default()
        },
        ..config()
    };
    let (mut queue, _nic) = Xsk::simulated(&umem, &config).expect("a simulated queue");

    queue.recycle();

    assert_eq!(queue.rx().charged(), 40);
    assert_eq!(umem.audit().fill, 40);
}

#[test]
fn frames_outlive_their_queue() {
    let (umem, mut queue, mut nic) = queue(256);
    nic.deliver(b"kept");
    let frame = queue.receive(1).next().expect("delivered");

    drop(queue);

    assert_eq!(&*frame, b"kept");
    let audit = umem.audit();
    assert_eq!((audit.stranded, audit.fill), (RING - 1, 0));
    drop(frame);
    assert!(umem.audit().is_balanced());
    drop((umem, nic));
}

#[test]
fn frame_received_on_one_queue_leaves_on_another() {
    let (umem, mut near, mut near_nic) = queue(256);
    let (mut far, mut far_nic) = Xsk::simulated(&umem, &config()).expect("a second queue");
    near_nic.deliver(b"through");

    for frame in near.receive(RING) {
        far.transmit(frame).expect("an empty TX ring");
    }
    far.wake().expect("nothing to wake");

    assert_eq!(far_nic.transmitted().as_deref(), Some(&b"through"[..]));
    assert_eq!(near.rx().charged(), RING, "until it is completed");
    far.recycle();
    assert_eq!(near.rx().charged(), RING - 1);
    near.recycle();
    assert_eq!(near.rx().charged(), RING);
}

#[test]
fn batch_names_its_interface_and_queue() {
    let umem = Umem::new(&UmemConfig::new(256)).expect("a small UMEM");
    let config = XskConfig {
        interface: InterfaceId(3),
        ..config()
    };
    let (mut queue, _nic) = Xsk::simulated(&umem, &config).expect("a simulated queue");

    let batch = queue.receive(1);

    assert_eq!(batch.interface(), InterfaceId(3));
    assert_eq!(Ok(batch.queue()), QueueIndex::new(0));
}

#[derive(Clone, Debug)]
enum Operation {
    Deliver(u8),
    Receive(u32),
    Send(usize),
    Make,
    Drop(usize),
    Detach(usize),
    Wake,
    Complete(usize),
    Recycle,
    InjectReceived(u64, u32),
    InjectCompletion(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let addr = || any_addr(128);
    prop_oneof![
        6 => (1_u8..=255).prop_map(Operation::Deliver),
        4 => (1_u32..16).prop_map(Operation::Receive),
        4 => any::<usize>().prop_map(Operation::Send),
        1 => Just(Operation::Make),
        1 => any::<usize>().prop_map(Operation::Drop),
        1 => any::<usize>().prop_map(Operation::Detach),
        2 => Just(Operation::Wake),
        3 => (1_usize..8).prop_map(Operation::Complete),
        2 => Just(Operation::Recycle),
        1 => (addr(), prop_oneof![1_u32..4096, any::<u32>()]).prop_map(|(addr, len)| Operation::InjectReceived(addr, len)),
        1 => addr().prop_map(Operation::InjectCompletion),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the application and a lying kernel do: chunks are conserved, no
    /// two frames share bytes, and nobody panics.
    #[test]
    fn nothing_breaks_conservation(
        layout in any_layout(128),
        operations in prop::collection::vec(operation(), 1..300),
    ) {
        let umem = Umem::new(&layout).expect("a small UMEM");
        let (mut queue, mut nic) = Xsk::simulated(&umem, &config()).expect("a simulated queue");
        let mut frames: Vec<Frame> = Vec::new();
        let mut detached = Vec::new();

        for operation in operations {
            match operation {
                Operation::Deliver(byte) => {
                    nic.deliver(&[byte; 60]);
                }
                Operation::Receive(max) => frames.extend(queue.receive(max)),
                Operation::Make => {
                    if let Some(mut frame) = umem.allocate() {
                        frame.grow_back(60).expect("room");
                        frames.push(frame);
                    }
                }
                Operation::Send(which) if !frames.is_empty() => {
                    let frame = frames.swap_remove(which % frames.len());
                    frames.extend(queue.transmit(frame).err().map(TransmitError::into_frame));
                }
                Operation::Drop(which) if !frames.is_empty() => {
                    frames.swap_remove(which % frames.len());
                }
                Operation::Detach(which) if !frames.is_empty() => {
                    detached.push(frames.swap_remove(which % frames.len()).detach());
                }
                Operation::Send(_) | Operation::Drop(_) | Operation::Detach(_) => detached.clear(),
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
            }
            prop_assert!(umem.audit().is_balanced(), "{:?}", umem.audit());
        }
        let held = frames.len() + detached.len();
        let audit = umem.audit();
        prop_assert_eq!((audit.application + audit.detached) as usize, held);
        let mut starts: Vec<_> = frames.iter().map(|frame| chunk_of(&umem, frame)).collect();
        starts.extend(detached.iter().map(|frame| chunk_of(&umem, frame)));
        starts.sort_unstable();
        starts.dedup();
        prop_assert_eq!(starts.len(), held, "a chunk has one owner");
    }
}
