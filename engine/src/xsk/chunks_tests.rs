//! Frames in several chunks, against the simulated NIC: put together, taken
//! apart, and conserved whatever happens to them on the way.
#![expect(
    clippy::cast_possible_truncation,
    reason = "any byte will do to identify a frame"
)]

mod properties;

use super::{SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::kernel::RingCapacity;
use crate::kernel::sys::if_xdp::XDP_PKT_CONTD;
use crate::memory::frame::{AppendError, Frame};
use crate::memory::{Amount, Limits, Umem, UmemConfig};
use crate::xsk::MultiBuffer;

const RING: u32 = 64;
const CHUNKS: u32 = 256;
/// Bytes of a received frame that a chunk takes.
const USABLE: usize = 4096 - 256;

fn config() -> XskConfig {
    XskConfig {
        multi_buffer: MultiBuffer::Always,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn queue_of(config: &XskConfig) -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("a small UMEM");
    let (queue, nic) = Xsk::simulated(&umem, config).expect("a simulated queue");
    (umem, queue, nic)
}

fn queue() -> (Umem, Xsk, SimulatedNic) {
    queue_of(&config())
}

/// Bytes that say where they belong.
fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let byte = |at: usize| seed.wrapping_add((at % 251) as u8);
    (0..len).map(byte).collect()
}

fn content(frame: &Frame) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// A frame in as many chunks as there are lengths.
fn made(umem: &Umem, lengths: &[u32]) -> Frame {
    let one = |len: u32| {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_back(len).expect("room").fill(len as u8);
        frame
    };
    let mut lengths = lengths.iter().copied();
    let mut frame = one(lengths.next().expect("at least one"));
    lengths.for_each(|len| frame.append(one(len)).expect("a sensible end"));
    frame
}

#[track_caller]
fn assert_all_returned(umem: &Umem) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    let out = (audit.held(), audit.made, audit.parts, audit.transmit);
    assert_eq!(out, (0, 0, 0, 0), "{audit:?}");
}

#[test]
fn frame_in_several_chunks_is_one_frame_with_all_bytes() {
    let (umem, mut queue, mut nic) = queue();
    let sent = bytes(7, 9014);
    assert!(nic.deliver(b"before") && nic.deliver(&sent) && nic.deliver(b"behind"));

    let frames: Vec<_> = queue.receive(RING).collect();

    assert_eq!(frames.len(), 3);
    let frame = &frames[1];
    assert_eq!(
        (frame.chunks(), frame.total_len(), frame.is_contiguous()),
        (3, 9014, false)
    );
    assert_eq!(&**frame, &sent[..USABLE], "the slice is the first chunk's");
    assert_eq!(content(frame), sent);
    assert_eq!(frame.tailroom(), 4096 - 256 - (9014 - 2 * 3840));
    let counters = queue.rx().counters();
    assert_eq!((counters.frames, counters.bytes), (3, 9014 + 12));
    assert_eq!(umem.audit().parts, 2);
    drop(frames);
    assert_all_returned(&umem);
    assert_eq!(queue.rx().discarded(), 3, "frames, not chunks");
}

#[test]
fn frame_whose_descriptors_come_one_by_one_waits_for_the_last() {
    let (umem, mut queue, mut nic) = queue();

    assert!(nic.deliver_part(b"ab", XDP_PKT_CONTD));
    assert_eq!(queue.receive(RING).count(), 0);
    assert!(nic.deliver_part(b"cd", XDP_PKT_CONTD));
    assert_eq!(queue.receive(RING).count(), 0);
    assert!(nic.deliver_part(b"e", 0) && nic.deliver(b"next"));

    let frames: Vec<_> = queue.receive(RING).map(|frame| content(&frame)).collect();
    assert_eq!(frames, [&b"abcde"[..], b"next"]);
    assert_all_returned(&umem);
    queue.recycle();
    assert_eq!(umem.audit().fill, RING, "every chunk was posted again");
}

#[test]
fn frame_is_taken_whole_however_few_are_asked_for() {
    let (_umem, mut queue, mut nic) = queue();
    let sent = bytes(1, 3 * USABLE);
    assert!(nic.deliver(&sent) && nic.deliver(b"next"));

    let first: Vec<_> = queue.receive(1).map(|frame| content(&frame)).collect();
    let second: Vec<_> = queue.receive(1).map(|frame| content(&frame)).collect();

    assert_eq!((first, second), (vec![sent], vec![b"next".to_vec()]));
}

#[test]
fn frame_goes_out_whole_and_counts_once() {
    let (umem, mut queue, mut nic) = queue();
    let sent = bytes(3, 9014);
    assert!(nic.deliver(&sent));
    let mut frame = queue.receive(RING).next().expect("delivered");
    frame.grow_front(4).expect("headroom").fill(9);

    queue.transmit(frame).expect("an empty TX ring");
    queue.wake().expect("nothing to wake");

    let tx = queue.tx();
    assert_eq!((tx.in_flight(), tx.counters().frames), (1, 1));
    assert_eq!(tx.counters().bytes, 9018);
    assert_eq!(umem.audit().transmit, 3);
    let out = nic.transmitted().expect("sent");
    assert_eq!((&out[..4], &out[4..]), (&[9; 4][..], &sent[..]));
    queue.recycle();
    let tx = queue.tx();
    assert_eq!((tx.in_flight(), tx.counters().completed), (0, 1));
    assert_all_returned(&umem);
    assert_eq!(queue.rx().charged(), RING);
}

#[test]
fn full_tx_ring_takes_all_of_a_frame_or_nothing() {
    let (umem, mut queue, mut nic) = queue();
    for _ in 0..RING - 2 {
        queue.transmit(made(&umem, &[60])).expect("a free slot");
    }

    let refused = queue.transmit(made(&umem, &[60, 60, 60]));

    let Err(TransmitError::RingFull(frame)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((frame.chunks(), umem.audit().transmit), (3, RING - 2));
    queue
        .transmit(made(&umem, &[1000, 1]))
        .expect("two free slots");
    queue.wake().expect("nothing to wake");
    let sent: Vec<_> = std::iter::from_fn(|| nic.transmitted()).collect();
    assert_eq!(sent.len(), RING as usize - 1, "one of them in two chunks");
    assert_eq!(sent.last().map(Vec::len), Some(1001));
    queue.recycle();
    queue.transmit(frame).expect("an empty ring");
}

#[test]
fn sent_chunks_that_are_not_collected_hold_back_a_frame_in_more() {
    let (umem, mut queue, mut nic) = queue();
    for _ in 0..RING / 3 {
        let frame = made(&umem, &[60, 60, 60]);
        queue.transmit(frame).expect("free slots");
    }
    queue.wake().expect("nothing to wake");
    while nic.transmitted().is_some() {}

    // The TX ring is empty, but the completion ring has one slot left.
    let refused = queue.transmit(made(&umem, &[60, 60]));

    assert!(matches!(refused, Err(TransmitError::RingFull(_))));
    queue.recycle();
    let frame = refused.map_err(TransmitError::into_frame);
    let frame = frame.expect_err("refused");
    queue.transmit(frame).expect("all has been collected");
}

#[test]
fn frame_in_more_chunks_than_the_kernel_takes_is_given_back() {
    let (umem, mut queue, _nic) = queue();
    let most = queue.tx().most_chunks();
    assert_eq!(most, 18);

    let refused = queue.transmit(made(&umem, &[100; 19]));

    let Err(error @ TransmitError::TooManyChunks(_)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("19 chunks"), "{error}");
    assert_eq!(umem.audit().transmit, 0);
    let mut frame = error.into_frame();
    frame.shrink_back(100).expect("longer");
    assert_eq!(frame.chunks(), 18);
    queue.transmit(frame).expect("18 are taken");
    assert_eq!(queue.tx().room(), (RING - 18) / 18);
}

#[test]
fn queue_for_frames_in_one_chunk_refuses_others() {
    let config = XskConfig {
        multi_buffer: MultiBuffer::Never,
        ..config()
    };
    let (umem, mut queue, mut nic) = queue_of(&config);

    assert!(!nic.deliver(&[0; 9000]));
    let refused = queue.transmit(made(&umem, &[60, 60]));

    assert!(matches!(refused, Err(TransmitError::TooManyChunks(_))));
}

#[test]
fn first_chunk_without_its_ethernet_header_is_given_back() {
    let (umem, mut queue, _nic) = queue();

    let short = queue.transmit(made(&umem, &[13, 60]));
    let mut emptied = made(&umem, &[20, 60]);
    emptied.shrink_front(20).expect("as many");
    let empty = queue.transmit(emptied);

    assert!(matches!(short, Err(TransmitError::ShortFirstChunk(_))));
    assert!(matches!(empty, Err(TransmitError::Empty(_))));
    drop((short, empty));
    assert_all_returned(&umem);
}

#[test]
fn frame_with_a_senseless_descriptor_is_dropped_whole_and_counted_once() {
    for broken in 0..3 {
        let (umem, mut queue, mut nic) = queue();
        for part in 0..3 {
            let options = if part < 2 { XDP_PKT_CONTD } else { 0 };
            if part == broken {
                // Of the chunk that is next in the fill ring, which stays there.
                let addr = umem_addr(&umem, part);
                assert!(nic.inject_descriptor(addr, 5000, options));
            } else {
                assert!(nic.deliver_part(b"part", options));
            }
        }
        assert!(nic.deliver(b"next"));

        let received: Vec<_> = queue.receive(RING).map(|frame| content(&frame)).collect();

        // The NIC uses the chunk that it returned for the delivery behind it.
        let counters = queue.rx().counters();
        assert_eq!(counters.invalid, 1 + u64::from(broken == 2), "{broken}");
        assert_eq!(received.len(), usize::from(broken != 2), "{broken}");
        assert_eq!(umem.audit().quarantined, 1);
        assert_all_returned(&umem);
        queue.recycle();
        assert_eq!(umem.audit().fill, RING, "{broken}: nothing is lost");
    }
}

/// The first bytes of the chunk that was posted as number `position`.
fn umem_addr(umem: &Umem, position: u32) -> u64 {
    u64::from(position) * u64::from(umem.chunk_size()) + 256
}

#[test]
fn frame_without_an_end_is_dropped_and_what_follows_it_comes_through() {
    let (umem, mut queue, mut nic) = queue();
    for _ in 0..100 {
        assert!(nic.deliver_part(b"x", XDP_PKT_CONTD));
        assert_eq!(queue.receive(RING).count(), 0);
        queue.recycle();
    }
    assert!(nic.deliver_part(b"x", 0) && nic.deliver(b"next"));

    let received: Vec<_> = queue.receive(RING).map(|frame| content(&frame)).collect();

    assert_eq!(received, [b"next"]);
    assert_eq!(queue.rx().counters().invalid, 1, "one frame");
    queue.recycle();
    assert_eq!(umem.audit().fill, RING);
    assert_all_returned(&umem);
}

#[test]
fn frame_cut_off_by_the_end_of_its_queue_leaves_nothing_behind() {
    let (umem, mut queue, mut nic) = queue();
    assert!(nic.deliver_part(b"ab", XDP_PKT_CONTD) && nic.deliver_part(b"cd", XDP_PKT_CONTD));
    assert_eq!(queue.receive(RING).count(), 0);

    drop(queue);

    assert_all_returned(&umem);
    assert_eq!(umem.audit().stranded, RING - 2);
}

#[test]
fn hoarding_application_loses_whole_frames() {
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(RING)),
            floor: Some(Amount::Frames(16)),
            ..Limits::default()
        },
        ..config()
    };
    let (umem, mut queue, mut nic) = queue_of(&config);
    let mut hoard = Vec::new();
    let sent = bytes(1, 2 * USABLE + 100);
    for _ in 0..2 * RING {
        nic.deliver(&sent);
        queue.recycle();
        hoard.extend(queue.receive(RING));
    }

    let counters = queue.rx().counters();
    assert_eq!(
        counters.frames + counters.throttled,
        u64::from(2 * RING),
        "{counters:?}"
    );
    assert!(counters.throttled > 0);
    assert!(hoard.iter().all(|frame| content(frame) == sent));
    assert!(
        umem.audit().fill >= 13,
        "the floor, less what one frame may take"
    );
    drop(hoard);
    queue.recycle();
    assert_eq!(umem.audit().fill, RING);
    assert_all_returned(&umem);
}

#[test]
fn chunks_of_a_frame_under_way_are_not_the_floor() {
    let config = XskConfig {
        limits: Limits {
            chunks: Some(Amount::Frames(RING)),
            floor: Some(Amount::Frames(16)),
            ..Limits::default()
        },
        xsks: 2,
        ..config()
    };
    // One xsk waits for the end of its frame, the other gets frames.
    let (umem, mut queue, mut nic) = queue_of(&config);
    let (mut other, mut other_nic) = nic.share().expect("one more xsk");
    for _ in 0..24 {
        assert!(nic.deliver_part(b"x", XDP_PKT_CONTD));
    }
    assert_eq!(queue.receive(RING).count(), 0);

    let mut hoard = Vec::new();
    for _ in 0..2 * RING {
        other_nic.deliver(b"a frame");
        hoard.extend(other.receive(RING));
        other.recycle();
    }

    assert_eq!(umem.audit().fill, 16, "{:?}", umem.audit());
    drop(hoard);
}

#[test]
fn frame_grows_and_shrinks_at_its_own_ends() {
    let (umem, ..) = queue();
    let mut frame = made(&umem, &[100, 50, 20]);

    frame.grow_back(5).expect("room").copy_from_slice(b"close");
    assert_eq!((frame.total_len(), frame.len()), (175, 100));
    assert!(content(&frame).ends_with(b"close"));
    assert_eq!(frame.tailroom(), 4096 - 256 - 25);

    frame.shrink_back(25 + 50 + 10).expect("longer");
    assert_eq!((frame.chunks(), frame.total_len()), (1, 90));
    assert_eq!(umem.audit().parts, 0, "chunks without bytes went back");
    assert!(frame.shrink_back(91).is_err());

    let mut frame = made(&umem, &[10, 10]);
    assert!(frame.shrink_front(11).is_err(), "the first chunk has ten");
    frame.shrink_back(10).expect("as many as the last has");
    assert!(frame.is_contiguous());
}

#[test]
fn segments_can_be_written_all_at_once() {
    let (umem, ..) = queue();
    let mut frame = made(&umem, &[4, 4, 2]);

    let all: Vec<&mut [u8]> = frame.segments_mut().collect();
    for (place, segment) in all.into_iter().enumerate() {
        segment.fill(place as u8);
    }

    assert_eq!(content(&frame), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
}

#[test]
fn frame_does_not_end_in_chunks_of_another_umem() {
    let (umem, ..) = queue();
    let (other, ..) = queue();
    let mut frame = made(&umem, &[20]);

    let foreign = frame.append(made(&other, &[20, 20]));
    let empty = frame.append(umem.allocate().expect("a free chunk"));

    assert!(matches!(foreign, Err(AppendError::ForeignUmem(_))));
    assert!(matches!(empty, Err(AppendError::Empty(_))));
    assert!(frame.is_contiguous());
    drop((foreign, empty, frame));
    assert_all_returned(&umem);
    assert_all_returned(&other);
}

#[test]
fn received_frame_that_ends_another_counts_as_dropped() {
    let (umem, mut queue, mut nic) = queue();
    assert!(nic.deliver(b"the head, at least 14") && nic.deliver(&bytes(1, 5000)));
    let mut frames = queue.receive(RING);
    let mut frame = frames.next().expect("delivered");
    let end = frames.next().expect("delivered");
    drop(frames);

    frame.append(end).expect("the same UMEM");

    assert_eq!((frame.chunks(), frame.total_len()), (3, 5021));
    assert_eq!(umem.audit().held(), 1);
    assert_eq!(queue.rx().discarded(), 1);
    queue.transmit(frame).expect("an empty ring");
    queue.wake().expect("nothing to wake");
    assert_eq!(nic.transmitted().map(|bytes| bytes.len()), Some(5021));
    queue.recycle();
    assert_all_returned(&umem);
}

#[test]
fn detached_frame_takes_all_its_chunks_along_and_home() {
    let (umem, mut queue, mut nic) = queue();
    let sent = bytes(5, 9014);
    assert!(nic.deliver(&sent) && nic.deliver(&sent));
    let mut frames = queue.receive(RING).map(Frame::detach);
    let (kept, dropped) = (frames.next(), frames.next());
    let (kept, dropped) = (kept.expect("delivered"), dropped.expect("delivered"));
    drop(frames);
    assert_eq!((umem.audit().detached, umem.audit().parts), (2, 4));

    let kept = std::thread::spawn(move || {
        drop(dropped);
        let mut kept = kept;
        for segment in kept.segments_mut() {
            segment.iter_mut().for_each(|byte| *byte ^= 0xff);
        }
        assert_eq!((kept.total_len(), kept.is_contiguous()), (9014, false));
        kept
    })
    .join()
    .expect("no panic");

    let frame = umem.attach(kept).expect("its own UMEM");
    let inverted: Vec<u8> = sent.iter().map(|byte| byte ^ 0xff).collect();
    assert_eq!(content(&frame), inverted);
    assert_eq!((umem.audit().detached, umem.audit().parts), (0, 2));
    queue.transmit(frame).expect("an empty ring");
    queue.wake().expect("nothing to wake");
    assert_eq!(nic.transmitted(), Some(inverted));
    queue.recycle();
    assert_all_returned(&umem);
    assert_eq!(queue.rx().discarded(), 1);
}

#[test]
fn xsks_of_a_queue_each_get_their_frames_whole() {
    let config = XskConfig {
        xsks: 2,
        ..config()
    };
    let (umem, mut first, mut first_nic) = queue_of(&config);
    let (mut second, mut second_nic) = first_nic.share().expect("one more xsk");
    // One frame begins on each, and neither is broken by the other's parts.
    assert!(first_nic.deliver_part(b"ab", XDP_PKT_CONTD));
    assert!(second_nic.deliver_part(b"AB", XDP_PKT_CONTD));
    assert_eq!(
        first.receive(RING).count() + second.receive(RING).count(),
        0
    );
    assert!(first_nic.deliver_part(b"cd", 0) && second_nic.deliver(&bytes(1, 20)));

    let received: Vec<_> = first.receive(RING).collect();
    assert_eq!(received.iter().map(content).collect::<Vec<_>>(), [b"abcd"]);
    let [frame] = second
        .receive(RING)
        .collect::<Vec<_>>()
        .try_into()
        .expect("one");
    assert_eq!(content(&frame)[..2], *b"AB");

    let long = made(&umem, &[60, 60, 60]);
    second.transmit(long).expect("an empty ring");
    second.wake().expect("nothing to wake");
    assert_eq!(second_nic.transmitted().map(|bytes| bytes.len()), Some(180));
    // The first takes the completions of both.
    assert_eq!(first.tx().complete(), 1, "one frame");
    assert_eq!(second.tx().in_flight(), 0);
    drop((received, frame));
    assert_all_returned(&umem);
}

#[test]
fn parts_in_flight_come_home_after_their_xsk_has_closed() {
    let config = XskConfig {
        xsks: 2,
        ..config()
    };
    let (umem, mut first, first_nic) = queue_of(&config);
    let (mut second, mut second_nic) = first_nic.share().expect("one more xsk");
    second
        .transmit(made(&umem, &[60, 60, 60]))
        .expect("an empty ring");
    second.wake().expect("nothing to wake");

    drop(second);
    assert_eq!(umem.audit().stranded, 3);
    for chunk in RING * 2..RING * 2 + 3 {
        assert!(second_nic.inject_completion(umem_addr(&umem, chunk)));
    }
    first.recycle();

    assert_eq!(umem.audit().stranded, 0);
    assert_eq!(first.violations(), 0);
    assert_all_returned(&umem);
}

#[test]
fn frames_that_were_never_published_come_home_as_the_queue_closes() {
    let (umem, mut queue, _nic) = queue();
    queue.transmit(made(&umem, &[60])).expect("an empty ring");
    queue.transmit(made(&umem, &[60, 1])).expect("room");
    queue.publish();
    queue.transmit(made(&umem, &[60])).expect("room");
    queue.transmit(made(&umem, &[60, 1, 1])).expect("room");
    let (rx, tx) = queue.into_halves();

    drop(tx);

    assert_eq!(umem.audit().stranded, 3, "what the kernel may have");
    assert_eq!(rx.charged(), RING);
    assert_all_returned(&umem);
}

#[test]
fn frame_whose_first_chunk_is_empty_is_refused_wherever_its_next_chunk_lies() {
    let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("a small UMEM");
    // Before the xsk has any of them: chunk 0 is among those that become ends.
    let mut frames: Vec<_> = (0..9).map(|_| made(&umem, &[20])).collect();
    let (mut queue, _nic) = Xsk::simulated(&umem, &config()).expect("a simulated queue");
    // The kind of frame that the sending half expects from here on.
    let plain = frames.pop().expect("nine");
    queue.transmit(plain).expect("an empty ring");
    frames.reverse();

    while let (Some(end), Some(mut frame)) = (frames.pop(), frames.pop()) {
        frame.append(end).expect("a sensible end");
        frame.shrink_front(20).expect("all of the first chunk");

        let refused = queue.transmit(frame);

        assert!(matches!(refused, Err(TransmitError::Empty(_))));
    }
    assert_eq!(queue.in_flight(), 1);
    drop((frames, queue));
    assert_all_returned(&umem);
}
