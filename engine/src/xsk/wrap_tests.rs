//! A queue as its counters pass 2^32, against the simulated NIC: the indices of
//! its four rings, which wrap there, and everything that is counted, which goes on.
//!
//! A kernel's rings start at zero, and it would take 2^32 frames to get one there.
//! The simulated NIC's start just below.

use super::{SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::kernel::RingCapacity;
use crate::memory::{Amount, Limits, Umem, UmemConfig};

const RING: u32 = 64;

fn queue() -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(&UmemConfig::new(256)).expect("a small UMEM");
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(128)),
            ..Limits::default()
        },
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    };
    let (queue, nic) = Xsk::simulated(&umem, &config).expect("a simulated queue");
    (umem, queue, nic)
}

/// Every ring is behind the wrap.
#[track_caller]
fn assert_wrapped(nic: &SimulatedNic) {
    let indices = nic.indices();
    assert!(indices.iter().all(|index| *index < 1 << 31), "{indices:x?}");
}

/// Every ring is before the wrap.
#[track_caller]
fn assert_before(nic: &SimulatedNic) {
    let indices = nic.indices();
    assert!(
        indices.iter().all(|index| *index > u32::MAX - RING),
        "{indices:x?}"
    );
}

#[test]
fn frames_go_round_one_by_one_across_the_wrap_of_all_four_rings() {
    let (umem, mut queue, mut nic) = queue();
    assert_before(&nic);

    for number in 0..u64::from(4 * RING) {
        let bytes = number.to_be_bytes();
        assert!(nic.deliver(&bytes), "frame {number}");
        let frame = queue.receive(RING).next().expect("delivered");
        assert_eq!(frame[..], bytes);
        queue.transmit(frame).expect("an empty TX ring");
        queue.wake().expect("nothing to wake");
        let mut tx = queue.tx();
        assert_eq!((tx.in_flight(), tx.pending(), tx.room()), (1, 1, RING - 1));
        assert_eq!(nic.transmitted().as_deref(), Some(&bytes[..]));
        assert_eq!(queue.tx().pending(), 0);
        queue.recycle();
        let (rx, mut tx) = queue.split();
        assert_eq!((tx.in_flight(), tx.room()), (0, RING));
        assert_eq!(rx.charged(), RING, "as many are posted as before");
    }

    assert_wrapped(&nic);
    let (rx, tx) = queue.split();
    let (received, sent) = (rx.counters(), tx.counters());
    let all = u64::from(4 * RING);
    assert_eq!(
        (received.frames, sent.frames, sent.completed),
        (all, all, all)
    );
    assert_eq!((queue.violations(), umem.audit().transmit), (0, 0));
    assert!(umem.audit().is_balanced());
}

#[test]
fn full_rings_are_full_at_every_place_around_the_wrap() {
    let (umem, mut queue, mut nic) = queue();

    for round in 0..2 * RING {
        // One further each round, so that the wrap meets every slot of a full ring.
        for number in 0..RING {
            assert!(nic.deliver(&[0; 60]), "round {round}, frame {number}");
        }
        assert!(
            !nic.deliver(&[0; 60]),
            "the fill ring is empty, the RX ring full"
        );
        let frames: Vec<_> = queue.receive(2 * RING).collect();
        assert_eq!(frames.len(), RING as usize, "round {round}");
        for frame in frames {
            queue.transmit(frame).expect("a free slot");
        }
        let mut more = umem.allocate().expect("a free chunk");
        more.grow_back(1).expect("room");
        let refused = queue.transmit(more);
        assert!(matches!(refused, Err(TransmitError::RingFull(_))));
        drop(refused);
        queue.wake().expect("nothing to wake");
        assert_eq!(queue.tx().pending(), RING);
        while nic.transmitted_blank().is_some() {}
        // The completion ring is full, and the TX ring is empty.
        let mut tx = queue.tx();
        assert_eq!((tx.in_flight(), tx.room(), tx.pending()), (RING, 0, 0));
        queue.recycle();
        assert_eq!(queue.tx().room(), RING);
        // One step that is no multiple of a ring.
        assert!(nic.deliver(&[1; 60]));
        let frame = queue.receive(1).next().expect("delivered");
        queue.transmit(frame).expect("an empty TX ring");
        queue.wake().expect("nothing to wake");
        assert_eq!(nic.transmitted_blank(), Some(60));
        queue.recycle();
    }

    assert_wrapped(&nic);
    assert_eq!(queue.violations(), 0);
    assert!(umem.audit().is_balanced());
}

#[test]
fn counts_go_on_beyond_two_to_the_32() {
    let (umem, mut queue, mut nic) = queue();
    // As if as many had gone through before.
    let before = u64::from(u32::MAX) - 10;
    queue.count_as_forwarded(before);

    for _ in 0..2 * RING {
        assert!(nic.deliver(&[0; 60]));
        let frame = queue.receive(RING).next().expect("delivered");
        queue.transmit(frame).expect("an empty TX ring");
        queue.wake().expect("nothing to wake");
        assert_eq!(queue.tx().in_flight(), 1);
        assert_eq!(queue.with_kernel(), u64::from(RING - 1));
        assert!(nic.transmitted().is_some());
        queue.recycle();
        assert_eq!(queue.tx().in_flight(), 0);
        assert_eq!(queue.with_kernel(), u64::from(RING));
    }

    let (rx, mut tx) = queue.split();
    let all = before + u64::from(2 * RING);
    let (received, sent) = (rx.counters(), tx.counters());
    assert_eq!(
        (received.frames, sent.frames, sent.completed),
        (all, all, all)
    );
    assert_eq!(tx.room(), RING);
    assert!(umem.audit().is_balanced());
}
