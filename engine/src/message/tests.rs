//! Messages from one end to the other, without a NIC: in any order, with fragments that
//! get lost, come twice, or are none.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::memory::frame::Frame;
use crate::memory::{Umem, UmemConfig};

/// Headers of an EtherType of our own.
const HEADERS: [u8; 14] = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5";

fn umem(chunks: u32) -> Umem {
    Umem::new(&UmemConfig::new(chunks)).expect("memory for a UMEM")
}

/// The byte of a message at an offset.
fn byte(number: u64, offset: usize) -> u8 {
    let number = usize::try_from(number).expect("small");
    u8::try_from((number * 31 + offset * 7 + offset / 251) % 256).expect("a byte")
}

fn pattern(number: u64) -> impl FnMut(u32, &mut [u8]) {
    move |offset, bytes| {
        for (place, to) in (offset as usize..).zip(bytes) {
            assert_eq!(*to, 0, "the memory is zeroed");
            *to = byte(number, place);
        }
    }
}

fn scatter(
    number: u64,
    len: u32,
    frame_bytes: u32,
) -> Scatter<[u8; 14], impl FnMut(u32, &mut [u8])> {
    let layout = Layout::new(frame_bytes, 14).expect("room for payload");
    Scatter::new(number, len, &layout, HEADERS, pattern(number)).expect("the headers fit")
}

fn frames(umem: &Umem, number: u64, len: u32, frame_bytes: u32) -> Vec<Frame> {
    let mut scatter = scatter(number, len, frame_bytes);
    let mut frames = Vec::new();
    while let Some(frame) = scatter.next_frame(umem).expect("free chunks") {
        frames.push(frame);
    }
    frames
}

fn copy(umem: &Umem, frame: &Frame) -> Frame {
    let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
    let mut copies = bytes.chunks(3840).map(|bytes| {
        let mut copy = umem.allocate().expect("a free chunk");
        let len = u32::try_from(bytes.len()).expect("short");
        copy.grow_back(len).expect("room").copy_from_slice(bytes);
        copy
    });
    let mut frame = copies.next().expect("frames have bytes");
    copies.for_each(|part| frame.append(part).expect("of one UMEM"));
    frame
}

#[track_caller]
fn assert_intact<P>(message: &Message<P>, number: u64, len: u32) {
    assert_eq!((message.number(), message.len()), (number, len));
    let bytes: Vec<u8> = message.segments().flatten().copied().collect();
    assert_eq!(bytes.len(), len as usize);
    let wrong = (0..).zip(&bytes).find(|(at, is)| **is != byte(number, *at));
    assert_eq!(wrong, None);
}

/// What was counted is all that was received.
#[track_caller]
fn assert_accounted<P: Clone + Eq + std::hash::Hash>(reassembler: &mut Reassembler<P>) {
    reassembler.abandon();
    let counters = reassembler.counters();
    let all = counters.completed_fragments
        + counters.lost_fragments
        + counters.duplicates
        + counters.late
        + counters.malformed
        + counters.too_large;
    assert_eq!(counters.fragments, all, "{counters:?}");
    assert_eq!(
        (reassembler.incomplete(), reassembler.held_chunks()),
        (0, 0)
    );
}

fn received<P>(reception: Reception<P>) -> Option<Message<P>> {
    match reception {
        Reception::Complete(message) => Some(message),
        _ => None,
    }
}

#[test]
fn message_of_any_size_arrives_in_frames_of_one_chunk_and_of_several() {
    let umem = umem(8192);
    for frame_bytes in [100, 1514, 3514, 9014, 40_000] {
        for len in [0, 1, 61, 62, 63, 1476, 4096, 100_000, 262_144] {
            let mut reassembler = Reassembler::new(ReassemblyConfig::default());
            let mut message = None;
            for frame in frames(&umem, 3, len, frame_bytes) {
                assert_eq!(frame[..14], HEADERS);
                assert!(frame.total_len() <= frame_bytes);
                assert!(message.is_none(), "it is complete with its last");
                message = received(reassembler.receive(frame, 14, (), Instant::now()));
            }

            assert_intact(&message.expect("whole"), 3, len);
            assert_accounted(&mut reassembler);
        }
    }
    assert_eq!(umem.audit().pool, 8192);
}

#[test]
fn sixteen_megabytes_are_a_message_too() {
    let umem = umem(6000);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let len = 16 << 20;
    let all = frames(&umem, 1, len, 3840);

    let reverse = all.into_iter().rev();
    let message = reverse
        .filter_map(|frame| received(reassembler.receive(frame, 14, (), Instant::now())))
        .next();

    assert_intact(&message.expect("whole"), 1, len);
}

#[test]
fn message_may_be_read_from_any_offset() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let message = frames(&umem, 5, 30_000, 9014)
        .into_iter()
        .find_map(|frame| received(reassembler.receive(frame, 14, (), Instant::now())))
        .expect("whole");

    for offset in [0, 1, 3801, 3802, 8975, 8976, 8977, 29_999, 30_000, u32::MAX] {
        let mut bytes = [0; 5000];
        let copied = message.copy_to(offset, &mut bytes);

        let expected = 30_000_usize.saturating_sub(offset as usize).min(5000);
        assert_eq!(copied, expected, "{offset}");
        let wrong = bytes[..copied]
            .iter()
            .zip(offset as usize..)
            .find(|(is, at)| **is != byte(5, *at));
        assert_eq!(wrong, None, "{offset}");
    }
    assert_eq!(message.copy_to(0, &mut []), 0);
}

#[test]
fn scatter_goes_on_where_no_chunk_was_free() {
    let umem = umem(4);
    let mut scatter = scatter(9, 40_000, 9014);
    let mut reassembler = Reassembler::new(ReassemblyConfig {
        most_chunks: 64,
        ..ReassemblyConfig::default()
    });
    // Detached and attached again, as if it had travelled.
    let elsewhere = umem_elsewhere();
    let mut message = None;
    let held = umem.allocate().expect("a free chunk");
    let one_more = umem.allocate().expect("a free chunk");

    assert_eq!(
        scatter.next_frame(&umem).expect_err("two are free"),
        NoChunk
    );
    assert_eq!(umem.audit().pool, 2, "and free again");
    drop((held, one_more));
    while let Some(frame) = scatter.next_frame(&umem).expect("free chunks") {
        let frame = copy(&elsewhere, &frame);
        message = received(reassembler.receive(frame, 14, (), Instant::now()));
    }

    assert!(scatter.is_done());
    assert_intact(&message.expect("whole"), 9, 40_000);
}

fn umem_elsewhere() -> Umem {
    umem(64)
}

#[test]
fn received_message_goes_on_in_its_own_frames() {
    let umem = umem(16);
    let mut first = Reassembler::new(ReassemblyConfig::default());
    let message = frames(&umem, 1, 20_000, 9014)
        .into_iter()
        .find_map(|frame| received(first.receive(frame, 14, "a", Instant::now())))
        .expect("whole");
    let held = umem.audit().application + umem.audit().parts;

    let mut onward: Scatter<_, FromBytes<[u8; 0]>> =
        Scatter::of_message(2, message, HEADERS).expect("headers fit where others were");
    assert_eq!((onward.remaining(), onward.message_len()), (3, 20_000));
    let mut second = Reassembler::new(ReassemblyConfig::default());
    let mut again = None;
    while let Some(frame) = onward.next_frame(&umem).expect("none is needed") {
        assert_eq!(frame[..14], HEADERS);
        again = received(second.receive(frame, 14, "b", Instant::now()));
    }

    let again = again.expect("whole");
    assert_eq!((again.number(), *again.peer()), (2, "b"));
    let bytes: Vec<u8> = again.segments().flatten().copied().collect();
    assert!(bytes.iter().zip(0..).all(|(is, at)| *is == byte(1, at)));
    assert_eq!(umem.audit().application + umem.audit().parts, held);
    let refused = Scatter::<_, FromBytes<[u8; 0]>>::of_message(3, again, [0; 2000]);
    let (kept, error) = refused.expect_err("there is no such headroom");
    assert_eq!(kept.len(), 20_000);
    assert!(
        error.to_string().contains("UmemConfig::headroom"),
        "{error}"
    );
}

#[test]
fn message_travels_to_another_thread_and_back() {
    let (umem, other) = (umem(16), umem_elsewhere());
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let message = frames(&umem, 1, 20_000, 9014)
        .into_iter()
        .find_map(|frame| received(reassembler.receive(frame, 14, 7, Instant::now())))
        .expect("whole");

    let mut detached = message.detach();
    let detached = std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            detached
                .segments_mut()
                .flatten()
                .for_each(|byte| *byte ^= 0xff);
            detached
        });
        worker.join().expect("no panic")
    });

    let detached = detached.attach(&other).expect_err("of another UMEM");
    let message = detached.attach(&umem).expect("of this UMEM");
    let bytes: Vec<u8> = message.segments().flatten().copied().collect();
    assert!(bytes.iter().zip(0..).all(|(is, at)| *is == !byte(1, at)));
    assert_eq!((*message.peer(), message.number()), (7, 1));
    drop(message.detach());
    assert_eq!(umem.audit().pool, 16);
}

#[test]
fn what_never_came_is_reported_once_with_its_bytes() {
    let umem = umem(64);
    let config = ReassemblyConfig {
        time_limit: Duration::from_millis(10),
        ..ReassemblyConfig::default()
    };
    let mut reassembler = Reassembler::new(config);
    let begin = Instant::now();
    let mut all = frames(&umem, 4, 1000, 138);
    let late = all.remove(9);
    let twice = copy(&umem, &all[0]);
    for (index, frame) in all.into_iter().enumerate() {
        if ![2, 3, 7].contains(&index) {
            assert!(matches!(
                reassembler.receive(frame, 14, "peer", begin),
                Reception::Held
            ));
        }
    }
    let reception = reassembler.receive(twice, 14, "peer", begin);
    assert!(matches!(reception, Reception::Duplicate));
    assert_eq!(reassembler.next_expiry(), Some(begin + config.time_limit));

    reassembler.expire(begin + Duration::from_millis(9));
    assert_eq!(reassembler.take_lost(), None);
    reassembler.expire(begin + Duration::from_millis(10));

    let lost = reassembler.take_lost().expect("it is reported");
    assert_eq!((lost.peer, lost.number, lost.len), ("peer", 4, 1000));
    assert_eq!(lost.missing, [200..400, 700..800, 900..1000]);
    assert_eq!(lost.reason, LostReason::TimedOut);
    assert_eq!(reassembler.take_lost(), None);
    assert_eq!(reassembler.next_expiry(), None);
    let reception = reassembler.receive(late, 14, "peer", begin);
    assert!(matches!(reception, Reception::Late));
    assert_accounted(&mut reassembler);
    assert_eq!(umem.audit().pool, 64);
}

#[test]
fn fragments_of_a_completed_message_begin_no_new_one() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let all = frames(&umem, 4, 200, 138);
    let copies: Vec<_> = all.iter().map(|frame| copy(&umem, frame)).collect();
    let message = all
        .into_iter()
        .find_map(|frame| received(reassembler.receive(frame, 14, 0, Instant::now())));
    assert!(message.is_some());

    for frame in copies {
        let reception = reassembler.receive(frame, 14, 0, Instant::now());
        assert!(matches!(reception, Reception::Late));
    }

    assert_eq!(
        (reassembler.incomplete(), reassembler.counters().late),
        (0, 2)
    );
}

#[test]
fn one_more_message_than_allowed_takes_the_room_of_the_oldest() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig {
        most_messages: 2,
        ..ReassemblyConfig::default()
    });
    let mut begun: Vec<_> = (0..4)
        .map(|number| frames(&umem, number, 200, 138))
        .collect();
    for frames in &mut begun {
        let _ = reassembler.receive(frames.remove(0), 14, (), Instant::now());
    }

    assert_eq!(reassembler.incomplete(), 2);
    let lost: Vec<_> = std::iter::from_fn(|| reassembler.take_lost()).collect();
    let numbers: Vec<_> = lost.iter().map(|lost| lost.number).collect();
    assert_eq!(numbers, [0, 1]);
    assert!(lost.iter().all(|lost| lost.reason == LostReason::Evicted));
    let ends: Vec<_> = begun
        .iter_mut()
        .map(|frames| reassembler.receive(frames.remove(0), 14, (), Instant::now()))
        .map(|reception| received(reception).is_some())
        .collect();
    assert_eq!(ends, [false, false, true, true]);
    assert_accounted(&mut reassembler);
}

#[test]
fn held_chunks_are_bounded_whatever_is_sent() {
    let umem = umem(512);
    for most_chunks in [1, 2, 3, 4, 7, 30] {
        let mut reassembler = Reassembler::new(ReassemblyConfig {
            most_chunks,
            ..ReassemblyConfig::default()
        });
        for number in 0..20 {
            for frame in frames(&umem, number, 18_000, 9014).into_iter().skip(1) {
                let _ = reassembler.receive(frame, 14, (), Instant::now());
                assert!(reassembler.held_chunks() <= most_chunks);
            }
            let audit = umem.audit();
            assert_eq!(audit.application + audit.parts, reassembler.held_chunks());
        }
        assert_accounted(&mut reassembler);
    }
}

#[test]
fn message_beyond_the_limits_is_refused_by_its_first_fragment() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig {
        most_bytes: 1000,
        most_chunks: 5,
        ..ReassemblyConfig::default()
    });

    for (len, frame_bytes) in [(1001, 1514), (600, 138)] {
        let first = frames(&umem, 1, len, frame_bytes).remove(0);
        let reception = reassembler.receive(first, 14, (), Instant::now());
        assert!(matches!(reception, Reception::TooLarge));
    }
    let fits = frames(&umem, 1, 1000, 1514).remove(0);
    let reception = reassembler.receive(fits, 14, (), Instant::now());
    assert!(received(reception).is_some());
    assert_accounted(&mut reassembler);
}

#[test]
fn malformed_frame_comes_back_as_it_was() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let mut cut = frames(&umem, 1, 200, 138).remove(0);
    cut.shrink_back(1).expect("it has bytes");
    let mut other = frames(&umem, 2, 200, 138).remove(0);
    other[13] = 0xb6;
    other[14] = b'X';
    let first = frames(&umem, 3, 300, 138).remove(0);
    let contradiction = frames(&umem, 3, 301, 138).remove(1);
    let _ = reassembler.receive(first, 14, (), Instant::now());

    for (frame, expected) in [
        (cut, Malformed::TooShort),
        (other, Malformed::NoFragment),
        (umem.allocate().expect("a free chunk"), Malformed::NoHeader),
        (contradiction, Malformed::Contradiction),
    ] {
        match reassembler.receive(frame, 14, (), Instant::now()) {
            Reception::Malformed(_, reason) => assert_eq!(reason, expected),
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }
    assert_eq!(reassembler.counters().malformed, 4);
    assert_accounted(&mut reassembler);
}

#[test]
fn padding_of_short_frames_is_no_payload() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let mut frame = frames(&umem, 1, 5, 1514).remove(0);
    // As NICs do up to 60 bytes.
    frame.grow_back(17).expect("room").fill(0xee);

    let message = received(reassembler.receive(frame, 14, (), Instant::now()));

    assert_intact(&message.expect("whole"), 1, 5);
}

#[test]
fn order_of_messages_is_swept_while_the_oldest_stays_incomplete() {
    let umem = umem(64);
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let mut stuck = frames(&umem, 0, 200, 138);
    let _ = reassembler.receive(stuck.remove(0), 14, (), Instant::now());

    for number in 1..5000 {
        for frame in frames(&umem, number, 200, 138) {
            let _ = reassembler.receive(frame, 14, (), Instant::now());
        }
    }

    assert_eq!(reassembler.counters().messages, 4999);
    assert!(reassembler.noted() < 200, "{}", reassembler.noted());
    let last = reassembler.receive(stuck.remove(0), 14, (), Instant::now());
    assert!(received(last).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Messages of several peers, their fragments in any order, some twice, some never.
    #[test]
    fn messages_arrive_in_whatever_order(
        sizes in proptest::collection::vec((0_u32..6000, 64_u32..5000), 1..8),
        seed in any::<u64>(),
        twice in 0_u64..4,
        never in 0_u64..3,
    ) {
        let umem = umem(4096);
        let mut random = seed;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below.max(1)
        };
        let mut wire = Vec::new();
        let mut whole = vec![true; sizes.len()];
        for (peer, (len, frame_bytes)) in sizes.iter().enumerate() {
            for frame in frames(&umem, peer as u64 % 3, *len, *frame_bytes) {
                if next(40) < never {
                    whole[peer] = false;
                    continue;
                }
                if next(10) < twice {
                    wire.push((peer, copy(&umem, &frame)));
                }
                wire.push((peer, frame));
            }
        }
        for at in (1..wire.len()).rev() {
            wire.swap(at, usize::try_from(next(at as u64 + 1)).expect("small"));
        }

        let mut reassembler = Reassembler::new(ReassemblyConfig::default());
        let mut complete = vec![false; sizes.len()];
        for (peer, frame) in wire {
            if let Some(message) = received(reassembler.receive(frame, 14, peer, Instant::now())) {
                prop_assert_eq!(*message.peer(), peer);
                prop_assert!(!complete[peer], "it is complete once");
                complete[peer] = true;
                assert_intact(&message, peer as u64 % 3, sizes[peer].0);
            }
        }

        prop_assert_eq!(&complete, &whole);
        assert_accounted(&mut reassembler);
        let mut lost = 0;
        while let Some(report) = reassembler.take_lost() {
            prop_assert!(!whole[report.peer] && !report.missing.is_empty());
            lost += 1;
        }
        // Of a message whose every fragment got lost, nobody knows.
        prop_assert!(lost <= whole.iter().filter(|whole| !**whole).count());
        drop(reassembler);
        prop_assert_eq!(umem.audit().pool, 4096);
    }

    /// Frames of any bytes, some of which are nearly fragments.
    #[test]
    fn no_frame_is_more_than_counted(
        frames in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200), 0_u32..70, 0_u8..3),
            1..60,
        ),
    ) {
        let umem = umem(256);
        let mut reassembler = Reassembler::new(ReassemblyConfig {
            most_messages: 3,
            most_chunks: 8,
            most_bytes: 4000,
            remembered: 4,
            ..ReassemblyConfig::default()
        });
        for (is_marked, mut bytes, header_bytes, small) in frames {
            if is_marked && let Some(front) = bytes.get_mut(header_bytes as usize..) {
                let small = [0, 0, 0, small, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 90, 0, 0, 0, 31];
                let header = [&b"WM\x01\x00"[..], &small].concat();
                let len = front.len().min(24);
                front[..len].copy_from_slice(&header[..len]);
            }
            let mut frame = umem.allocate().expect("a free chunk");
            let len = u32::try_from(bytes.len()).expect("short");
            frame.grow_back(len).expect("room").copy_from_slice(&bytes);

            let _ = reassembler.receive(frame, header_bytes, (), Instant::now());

            prop_assert!(reassembler.incomplete() <= 3 && reassembler.held_chunks() <= 8);
        }
        assert_accounted(&mut reassembler);
    }
}
