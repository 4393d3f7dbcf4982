//! Limits and policies, against the simulated NIC: what the application holds and what
//! is in transmit is known to the chunk, nothing is lost in silence, and reception goes
//! on as soon as something is given back.

use super::{SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::kernel::RingCapacity;
use crate::kernel::sys::if_xdp::XDP_PKT_CONTD;
use crate::memory::frame::Frame;
use crate::memory::{Amount, LimitPolicy, Limits, LimitsError, Umem, UmemConfig};
use crate::xsk::{MultiBuffer, XskErrorKind};

const RING: u32 = 64;

fn frames(frames: u32) -> Option<Amount> {
    Some(Amount::Frames(frames))
}

fn config(limits: Limits) -> XskConfig {
    XskConfig {
        limits,
        multi_buffer: MultiBuffer::Always,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(256)).expect("a small UMEM")
}

fn limited(limits: Limits) -> (Umem, Xsk, SimulatedNic) {
    let umem = umem();
    let (xsk, nic) = Xsk::simulated(&umem, &config(limits)).expect("a simulated xsk");
    (umem, xsk, nic)
}

fn held(most: u32, policy: LimitPolicy) -> Limits {
    Limits {
        held: frames(most),
        policy,
        ..Limits::default()
    }
}

/// Delivers frames with the numbers from `first` on.
fn deliver(nic: &mut SimulatedNic, first: u32, count: u32) {
    for number in first..first + count {
        assert!(nic.deliver(&number.to_be_bytes()), "frame {number}");
    }
}

fn numbers(frames: &[Frame]) -> Vec<u32> {
    let number = |frame: &Frame| u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    frames.iter().map(number).collect()
}

#[test]
fn newest_frames_beyond_the_held_limit_are_dropped_and_counted() {
    let (umem, mut xsk, mut nic) = limited(held(8, LimitPolicy::DropNewest));
    deliver(&mut nic, 0, 20);

    let mut hoard: Vec<_> = xsk.receive(RING).collect();

    assert_eq!(numbers(&hoard), (0..8).collect::<Vec<_>>());
    let counters = xsk.rx_counters();
    assert_eq!((counters.frames, counters.throttled), (8, 12));
    assert_eq!((counters.limited, counters.held_back), (1, 0));
    assert_eq!((xsk.usage().held, xsk.usage().is_limited), (8, true));
    xsk.recycle();
    deliver(&mut nic, 20, 2);
    hoard.truncate(7);
    hoard.extend(xsk.receive(RING));
    assert_eq!(numbers(&hoard), (0..7).chain([20]).collect::<Vec<_>>());
    assert_eq!(xsk.rx_counters().throttled, 13);
    assert!(umem.audit().is_balanced());
}

#[test]
fn frames_under_backpressure_wait_in_order_and_are_counted_once() {
    let (umem, mut xsk, mut nic) = limited(held(8, LimitPolicy::Backpressure));
    deliver(&mut nic, 0, 20);

    let mut hoard: Vec<_> = xsk.receive(RING).collect();
    for _ in 0..3 {
        assert_eq!(xsk.receive(RING).count(), 0);
    }

    let counters = xsk.rx_counters();
    assert_eq!((counters.frames, counters.held_back), (8, 12));
    assert_eq!((counters.limited, counters.throttled), (1, 0));
    let mut seen = numbers(&hoard);
    while !hoard.is_empty() {
        hoard.remove(0);
        let next: Vec<_> = xsk.receive(RING).collect();
        assert_eq!(
            next.len(),
            usize::from(seen.len() < 20),
            "as soon as one is let go"
        );
        seen.extend(numbers(&next));
        hoard.extend(next);
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert_eq!(xsk.rx_counters().held_back, 12);
    assert_eq!((xsk.usage().held, xsk.usage().is_limited), (0, false));
    assert!(umem.audit().is_balanced());
}

#[test]
fn backpressure_leaves_the_floor_to_the_kernel() {
    let limits = Limits {
        chunks: frames(RING),
        floor: frames(16),
        ..held(8, LimitPolicy::Backpressure)
    };
    let (umem, mut xsk, mut nic) = limited(limits);
    deliver(&mut nic, 0, RING);
    assert!(!nic.deliver(b"more"), "all chunks wait in the RX ring");

    let hoard: Vec<_> = xsk.receive(RING).collect();
    assert_eq!(xsk.receive(RING).count(), 0, "the others wait");
    xsk.recycle();

    assert_eq!((hoard.len(), xsk.rx_counters().throttled), (8, 16));
    deliver(&mut nic, RING, 16);
    for _ in 0..3 {
        assert_eq!(xsk.receive(RING).count(), 0);
        xsk.recycle();
    }
    assert_eq!(
        xsk.rx_counters().throttled,
        32,
        "the kernel has its floor again"
    );
    drop(hoard);
    let first: Vec<_> = xsk.receive(RING).collect();
    assert_eq!(
        numbers(&first),
        (40..48).collect::<Vec<_>>(),
        "the oldest left"
    );
    assert!(umem.audit().is_balanced());
}

#[test]
fn frames_beyond_the_limit_are_copied_out_and_their_chunks_go_back() {
    let (umem, mut xsk, mut nic) = limited(held(8, LimitPolicy::CopyOut));
    deliver(&mut nic, 0, 20);

    let mut hoard: Vec<_> = xsk.receive(RING).collect();

    assert_eq!(numbers(&hoard), (0..20).collect::<Vec<_>>());
    let counters = xsk.rx_counters();
    assert_eq!((counters.frames, counters.copied_out), (20, 12));
    assert_eq!((counters.throttled, counters.limited), (0, 1));
    assert_eq!(xsk.usage().held, 8, "copies take no chunks");
    assert_eq!(umem.audit().copies.application, 12);
    hoard.remove(0);
    xsk.recycle();
    deliver(&mut nic, 20, 1);
    hoard.extend(xsk.receive(RING));
    assert_eq!(xsk.rx_counters().copied_out, 13, "until an eighth is free");
    hoard.remove(0);
    deliver(&mut nic, 21, 1);
    hoard.extend(xsk.receive(RING));
    assert_eq!((xsk.rx_counters().copied_out, xsk.usage().held), (13, 7));
    assert_eq!(numbers(&hoard), (2..22).collect::<Vec<_>>());
    let copy = hoard.remove(10);
    xsk.transmit(copy).expect("a copy is sent like any other");
    xsk.publish();
    assert_eq!(xsk.usage().held, 7);
    drop(hoard);
    assert_eq!(xsk.usage().held, 0);
    assert_eq!(xsk.rx().discarded(), 21);
    assert!(umem.audit().is_balanced());
}

#[test]
fn frames_that_cannot_be_copied_are_dropped_and_counted() {
    let umem = Umem::new(&UmemConfig {
        copies: Some(5),
        ..UmemConfig::new(256)
    });
    let umem = umem.expect("a small UMEM");
    let limits = held(8, LimitPolicy::CopyOut);
    let (mut xsk, mut nic) = Xsk::simulated(&umem, &config(limits)).expect("a simulated xsk");
    let mut hoard = Vec::new();
    for _ in 0..4 {
        deliver(&mut nic, 0, 20);
        hoard.extend(xsk.receive(RING));
        xsk.recycle();
    }

    let counters = xsk.rx_counters();
    assert_eq!(counters.frames + counters.throttled, 80);
    assert_eq!(counters.frames, 8 + counters.copied_out);
    assert!(
        counters.copied_out >= 5 && counters.throttled > 0,
        "{counters:?}"
    );
    assert_eq!(hoard.len() as u64, counters.frames);
    drop(hoard);
    assert!(umem.audit().is_balanced());
}

#[test]
fn application_that_hovers_at_its_limit_gets_frames_all_the_time() {
    for policy in LimitPolicy::ALL {
        let (_umem, mut xsk, mut nic) = limited(held(8, policy));
        deliver(&mut nic, 0, 8);
        let mut hoard: Vec<_> = xsk.receive(RING).collect();
        for number in 8..200 {
            hoard.remove(0);
            deliver(&mut nic, number, 1);
            hoard.extend(xsk.receive(RING));
            xsk.recycle();

            assert_eq!(hoard.len(), 8, "{policy}, frame {number}");
        }
        assert_eq!(
            xsk.rx_counters().limited,
            0,
            "{policy}: it got all that there were"
        );
    }
}

#[test]
fn limit_that_is_met_again_and_again_is_counted_once() {
    for policy in LimitPolicy::ALL {
        let (_umem, mut xsk, mut nic) = limited(held(32, policy));
        deliver(&mut nic, 0, 40);
        let mut hoard: Vec<_> = xsk.receive(RING).collect();
        for number in 40..60 {
            hoard.remove(0);
            nic.deliver(&u32::to_be_bytes(number));
            nic.deliver(&u32::to_be_bytes(number));
            hoard.extend(xsk.receive(RING));
            xsk.recycle();
        }
        let reached = xsk.rx_counters().limited;
        // Copies let an eighth after the other go.
        let most = if policy == LimitPolicy::CopyOut {
            20 / 4
        } else {
            1
        };
        assert!((1..=most).contains(&reached), "{policy}: {reached}");

        hoard.clear();
        while xsk.receive(RING).count() > 0 {}
        deliver(&mut nic, 0, 1);
        assert_eq!(xsk.receive(RING).count(), 1);
        assert!(!xsk.usage().is_limited, "{policy}");
        deliver(&mut nic, 0, 33);
        hoard.extend(xsk.receive(RING));
        assert_eq!(xsk.rx_counters().limited, reached + 1, "{policy}");
    }
}

#[test]
fn frames_are_held_until_they_are_sent_dropped_or_come_back() {
    let (umem, mut xsk, mut nic) = limited(held(8, LimitPolicy::DropNewest));
    deliver(&mut nic, 0, 8);
    let mut hoard: Vec<_> = xsk.receive(RING).collect();

    let detached = hoard.remove(0).detach();
    assert_eq!(xsk.usage().held, 8, "detached frames are");
    xsk.transmit(hoard.remove(0)).expect("an empty ring");
    xsk.publish();
    assert_eq!(xsk.usage().held, 7, "sent frames are not");
    assert_eq!((xsk.usage().in_transmit, xsk.usage().charged), (1, RING));
    drop(detached);
    assert_eq!(xsk.usage().held, 7, "it has not been collected");
    xsk.recycle();
    assert_eq!(xsk.usage().held, 6);
    hoard.truncate(1);
    assert_eq!(xsk.usage().held, 1);
    assert_eq!(nic.transmitted().as_deref(), Some(&1_u32.to_be_bytes()[..]));
    xsk.recycle();
    assert_eq!((xsk.usage().in_transmit, xsk.usage().held), (0, 1));
    assert!(umem.audit().is_balanced());
}

#[test]
fn end_of_a_frame_under_way_is_not_held_back() {
    for policy in LimitPolicy::ALL {
        let (umem, mut xsk, mut nic) = limited(held(2, policy));
        for _ in 0..2 {
            assert!(nic.deliver_part(b"a part", XDP_PKT_CONTD));
        }
        assert_eq!(xsk.receive(RING).count(), 0);
        assert!(nic.deliver_part(b"the end", 0));

        let frame: Vec<_> = xsk.receive(RING).collect();

        let counters = xsk.rx_counters();
        assert_eq!(counters.frames + counters.throttled, 1, "{policy}");
        if policy == LimitPolicy::Backpressure {
            assert_eq!(frame[0].total_len(), 19, "it came whole");
            assert_eq!(xsk.usage().held, 3);
        }
        drop(frame);
        assert_eq!(xsk.usage().held, 0, "{policy}");
        assert!(umem.audit().is_balanced());
    }
}

#[test]
fn frames_beyond_the_limit_in_transmit_come_back() {
    let limits = Limits {
        in_transmit: frames(5),
        ..Limits::default()
    };
    let (umem, mut xsk, mut nic) = limited(limits);
    assert_eq!((xsk.tx().room(), xsk.tx().most_chunks()), (1, 5));
    deliver(&mut nic, 0, 12);
    let mut waiting: Vec<_> = xsk.receive(RING).collect();
    waiting.reverse();
    let mut sent = 0;
    while let Some(frame) = waiting.pop() {
        match xsk.transmit(frame) {
            Ok(()) => sent += 1,
            Err(TransmitError::InTransmit(frame)) => {
                assert_eq!((sent % 5, xsk.usage().in_transmit), (0, 5));
                waiting.push(frame);
                xsk.publish();
                while nic.transmitted_blank().is_some() {}
                xsk.recycle();
                assert_eq!(xsk.usage().in_transmit, 0);
            }
            Err(error) => panic!("{error}"),
        }
    }

    assert_eq!(sent, 12);
    let raised = Limits {
        in_transmit: None,
        ..limits
    };
    xsk.set_limits(&raised).expect("the usual limits");
    assert_eq!(xsk.limits().in_transmit, RING);
    assert!(umem.audit().is_balanced());
}

#[test]
fn lower_limits_hold_from_then_on() {
    let (umem, mut xsk, mut nic) = limited(Limits::default());
    assert_eq!(xsk.limits().chunks, 256);
    deliver(&mut nic, 0, 40);
    let mut hoard: Vec<_> = xsk.receive(RING).collect();
    xsk.transmit(hoard.remove(0)).expect("an empty ring");
    let lower = Limits {
        chunks: frames(60),
        floor: frames(20),
        in_transmit: frames(1),
        ..held(30, LimitPolicy::DropNewest)
    };

    xsk.set_limits(&lower).expect("they fit");

    let limits = xsk.limits();
    assert_eq!((limits.chunks, limits.floor), (60, 20));
    assert_eq!((limits.held, limits.in_transmit), (30, 1));
    let refused = xsk
        .transmit(hoard.remove(0))
        .expect_err("one is in transmit");
    assert!(matches!(refused, TransmitError::InTransmit(_)), "{refused}");
    drop(refused);
    deliver(&mut nic, 40, 20);
    assert_eq!(xsk.receive(RING).count(), 0, "more than 30 are held");
    hoard.clear();
    xsk.recycle();
    assert_eq!(xsk.usage().charged, 60, "no more than the limit");
    xsk.set_limits(&Limits::default())
        .expect("the usual limits");
    xsk.recycle();
    assert_eq!(umem.audit().fill, RING);
}

#[test]
fn limits_that_do_not_fit_change_nothing() {
    let (umem, mut xsk, _nic) = limited(held(8, LimitPolicy::Backpressure));
    let before = xsk.limits();
    for (limits, error) in [
        (
            Limits {
                chunks: frames(257),
                ..Limits::default()
            },
            "more than the 256 chunks of the UMEM",
        ),
        (
            Limits {
                floor: frames(60),
                chunks: frames(60),
                ..Limits::default()
            },
            "leaves none of the 60 chunks",
        ),
        (held(0, LimitPolicy::DropNewest), "must not be 0"),
    ] {
        let refused = xsk.set_limits(&limits).expect_err("they do not fit");

        assert!(refused.to_string().contains(error), "{refused}");
        assert_eq!(xsk.limits(), before);
        let bound = Xsk::simulated(&umem, &config(limits)).expect_err("they do not fit");
        assert!(matches!(bound.kind(), XskErrorKind::Limits(_)), "{bound}");
    }
    assert_eq!(xsk.limits(), before, "no xsk came of it");
}

#[test]
fn floor_above_the_share_of_a_queue_is_refused() {
    let (umem, mut first, _nic) = limited(Limits::default());
    let high = Limits {
        floor: frames(60),
        ..Limits::default()
    };
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Xsk::simulated(&umem, &config(Limits::default())).expect("a share"));
    }
    let refused = first.set_limits(&high).expect_err("256 / 5 are less");

    let error = LimitsError::FloorTakesAll {
        floor: 60,
        chunks: 51,
    };
    assert_eq!(refused, error);
    let bound = Xsk::simulated(&umem, &config(high)).expect_err("256 / 6 are less");
    assert!(matches!(bound.kind(), XskErrorKind::Limits(_)), "{bound}");
    drop(others);
    assert_eq!(first.set_limits(&high), Ok(()));
}

#[test]
fn held_chunks_are_those_of_the_ledger_whatever_is_done() {
    let (umem, mut xsk, mut nic) = limited(held(40, LimitPolicy::Backpressure));
    let (mut other, mut other_nic) =
        Xsk::simulated(&umem, &config(held(20, LimitPolicy::DropNewest))).expect("a share");
    let (mut hoard, mut away) = (Vec::new(), Vec::new());
    let mut random = 7_u64;
    for step in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let choice = random >> 20;
        match choice % 12 {
            0 | 1 => drop(nic.deliver(&[7; 60])),
            2 => drop(nic.deliver(&[7; 9000])),
            3 => drop(other_nic.deliver(&[7; 5000])),
            4 => hoard.extend(
                xsk.receive(16)
                    .take(usize::try_from(choice % 7).expect("small")),
            ),
            5 => hoard.extend(other.receive(RING)),
            6 if !hoard.is_empty() => drop(hoard.swap_remove(0)),
            7 => {
                if let Some(Err(error)) = hoard.pop().map(|frame| xsk.transmit(frame)) {
                    hoard.push(error.into_frame());
                }
            }
            8 => away.extend(hoard.pop().map(Frame::detach)),
            9 => {
                if let Some(Ok(frame)) = away.pop().map(|frame| umem.attach(frame)) {
                    hoard.push(frame);
                }
            }
            10 => away.truncate(2),
            _ => {
                if let Some(tail) = hoard.pop()
                    && let Some(head) = hoard.last_mut()
                {
                    let _ = head.append(tail);
                }
            }
        }
        xsk.recycle();
        other.recycle();
        xsk.publish();
        if step % 3 == 0 {
            while nic.transmitted_blank().is_some() {}
        }
        for xsk in [&xsk, &other] {
            let id = xsk.id();
            let ledger = &umem.shared().ledger;
            assert_eq!(xsk.usage().held, ledger.count_held(id), "step {step}");
        }
        assert!(umem.audit().is_balanced());
    }
}
