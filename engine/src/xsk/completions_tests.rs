//! Transmissions that are reported when they end, against the simulated NIC: each once,
//! whatever the kernel does.

mod properties;

use super::{Completion, MultiBuffer, Outcome, SimulatedNic, TransmitError, Xsk, XskConfig};
use crate::kernel::{ChunkSize, RingCapacity};
use crate::memory::{Frame, Umem, UmemConfig};

const RING: u32 = 64;
const CHUNKS: u32 = 256;

fn config() -> XskConfig {
    XskConfig {
        multi_buffer: MultiBuffer::Always,
        xsks: 2,
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn xsk_of(config: &XskConfig) -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(&UmemConfig::new(CHUNKS)).expect("a small UMEM");
    let (xsk, nic) = Xsk::simulated(&umem, config).expect("a simulated xsk");
    (umem, xsk, nic)
}

fn xsk() -> (Umem, Xsk, SimulatedNic) {
    xsk_of(&config())
}

/// A frame of the bytes, in chunks of so many each.
fn made(umem: &Umem, bytes: &[u8], per_chunk: usize) -> Frame {
    let mut chunks = bytes.chunks(per_chunk).map(|part| {
        let mut frame = umem.allocate().expect("a free chunk");
        let len = u32::try_from(part.len()).expect("a chunk");
        frame.grow_back(len).expect("room").copy_from_slice(part);
        frame
    });
    let mut frame = chunks.next().expect("some bytes");
    chunks.for_each(|end| frame.append(end).expect("of the same UMEM"));
    frame
}

fn small(umem: &Umem) -> Frame {
    made(umem, b"a frame of bytes", 64)
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    frame.segments().flatten().copied().collect()
}

/// What can be read now: cookies and outcomes.
fn read(xsk: &Xsk) -> Vec<(u64, Outcome)> {
    let read = |completion: Completion| (completion.cookie, completion.outcome);
    xsk.completions().map(read).collect()
}

fn sent(cookies: impl IntoIterator<Item = u64>) -> Vec<(u64, Outcome)> {
    cookies
        .into_iter()
        .map(|cookie| (cookie, Outcome::Sent))
        .collect()
}

#[track_caller]
fn assert_all_returned(umem: &Umem) {
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    let out = (
        audit.application,
        audit.parts,
        audit.transmit,
        audit.stranded,
    );
    assert_eq!(out, (0, 0, 0, 0), "{audit:?}");
}

#[test]
fn cookie_is_reported_once_when_the_kernel_is_done() {
    let (umem, mut xsk, mut nic) = xsk();
    xsk.transmit_tagged(small(&umem), 7).expect("room");
    xsk.publish();
    xsk.recycle();
    assert_eq!((read(&xsk), xsk.outstanding()), (vec![], 1));

    assert!(nic.transmitted().is_some());
    xsk.recycle();

    assert_eq!((read(&xsk), xsk.outstanding()), (sent([7]), 0));
    xsk.recycle();
    assert_eq!(read(&xsk), []);
    assert_all_returned(&umem);
}

#[test]
fn frames_with_and_without_cookies_go_out_and_are_counted_alike() {
    let (umem, mut xsk, mut nic) = xsk();
    // Received and made ones, across the end of the ring, runs of all lengths.
    for round in 0..40_u64 {
        assert!(nic.deliver(b"received"));
        let received = xsk.receive(1).next().expect("delivered");
        let frames = [small(&umem), received, small(&umem), small(&umem)];
        for (cookie, frame) in (round * 4..).zip(frames) {
            if cookie % 3 == 0 {
                xsk.transmit(frame).expect("room");
            } else {
                xsk.transmit_tagged(frame, cookie).expect("room");
            }
        }
        xsk.publish();
        assert_eq!(std::iter::from_fn(|| nic.transmitted()).count(), 4);
        xsk.recycle();
        let expected = (round * 4..round * 4 + 4).filter(|cookie| cookie % 3 != 0);
        assert_eq!(read(&xsk), sent(expected));
    }

    let counters = xsk.tx_counters();
    let counted = (
        counters.frames,
        counters.completed,
        counters.made,
        counters.bytes,
    );
    assert_eq!(counted, (160, 160, 120, 40 * (3 * 16 + 8)));
    assert_eq!((xsk.in_flight(), xsk.violations()), (0, 0));
    assert_all_returned(&umem);
}

#[test]
fn cookie_used_again_while_outstanding_is_reported_as_often_as_used() {
    let (umem, mut xsk, mut nic) = xsk();
    for cookie in [5, 5, 6, 5] {
        xsk.transmit_tagged(small(&umem), cookie).expect("room");
    }
    xsk.publish();

    assert_eq!(std::iter::from_fn(|| nic.transmitted()).count(), 4);
    xsk.recycle();

    assert_eq!(read(&xsk), sent([5, 5, 6, 5]));
}

#[test]
fn frame_comes_back_as_it_was_and_is_sent_again() {
    let (umem, mut xsk, mut nic) = xsk();
    let bytes: Vec<u8> = (0..=255).cycle().take(1700).collect();
    for per_chunk in [100, 1000, 1700] {
        let mut frame = made(&umem, &bytes, per_chunk);
        frame.shrink_front(14).expect("it is longer");
        let before = bytes_of(&frame);
        let chunks = frame.chunks();
        xsk.transmit_returning(frame, 1).expect("room");
        for _ in 0..3 {
            xsk.publish();
            assert_eq!(nic.transmitted().as_ref(), Some(&before));
            xsk.recycle();
            let completion = xsk.completions().next().expect("it is back");
            assert_eq!((completion.cookie, completion.outcome), (1, Outcome::Sent));
            let frame = completion.frame.expect("it returns");
            assert_eq!((bytes_of(&frame), frame.chunks()), (before.clone(), chunks));
            xsk.transmit_returning(frame, 1).expect("room");
        }
        xsk.publish();
        nic.transmitted();
        xsk.recycle();
        assert_eq!(xsk.completions().count(), 1);
    }
    assert_eq!((xsk.in_flight(), xsk.violations()), (0, 0));
    assert_all_returned(&umem);
}

#[test]
fn received_frame_that_comes_back_is_charged_no_more_and_counts_as_made() {
    let (umem, mut xsk, mut nic) = xsk();
    assert!(nic.deliver(b"received"));
    let frame = xsk.receive(1).next().expect("delivered");
    xsk.transmit_returning(frame, 1).expect("room");
    xsk.publish();
    nic.transmitted();
    xsk.recycle();

    let audit = umem.audit();
    assert_eq!((audit.application, audit.made, audit.held()), (1, 1, 0));
    let frame = xsk.completions().next().and_then(|it| it.frame);
    xsk.transmit(frame.expect("it returns")).expect("room");

    assert_eq!(xsk.tx_counters().made, 1);
    xsk.publish();
    nic.transmitted();
    xsk.recycle();
    assert_all_returned(&umem);
}

#[test]
fn frame_comes_back_when_the_kernel_is_done_with_its_last_chunk_in_any_order() {
    let (umem, mut xsk, mut nic) = xsk();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let frame = made(&umem, &[9; 48], 16);
        xsk.transmit_returning(frame, 3).expect("room");
        xsk.publish();
        let chunks: Vec<_> = std::iter::from_fn(|| nic.take_transmitted()).collect();
        for (done, chunk) in (1..).zip(order) {
            assert_eq!(xsk.completions().len(), 0, "{order:?}: {done} of 3");
            assert!(nic.inject_completion(chunks[chunk]));
            xsk.recycle();
        }
        let completion = xsk.completions().next().expect("the frame is back");
        assert_eq!(completion.frame.map(|frame| frame.chunks()), Some(3));
    }
    assert_eq!((xsk.in_flight(), xsk.violations()), (0, 0));
    assert_all_returned(&umem);
}

#[test]
fn completions_nobody_reads_refuse_more_and_no_other_frames() {
    let config = XskConfig {
        completions: Some(3),
        ..config()
    };
    let (umem, mut xsk, mut nic) = xsk_of(&config);
    (0..3).for_each(|cookie| xsk.transmit_tagged(small(&umem), cookie).expect("room"));

    for _ in 0..2 {
        let refused = xsk.transmit_tagged(small(&umem), 3).map_err(|error| {
            assert!(
                matches!(error, TransmitError::CompletionsFull(_)),
                "{error}"
            );
        });
        assert!(refused.is_err());
        assert!(xsk.transmit_returning(small(&umem), 3).is_err());
        xsk.transmit(small(&umem)).expect("it needs no place");
        xsk.publish();
        while nic.transmitted().is_some() {}
        xsk.recycle();
    }
    assert_eq!(xsk.completions().next().map(|it| it.cookie), Some(0));
    xsk.transmit_tagged(small(&umem), 3)
        .expect("a place is free");
    assert!(xsk.transmit_tagged(small(&umem), 4).is_err());
    assert_eq!((xsk.outstanding(), xsk.completions().len()), (1, 2));
}

#[test]
fn no_place_at_all_refuses_every_cookie() {
    let config = XskConfig {
        completions: Some(0),
        ..config()
    };
    let (umem, mut xsk, _nic) = xsk_of(&config);

    assert!(xsk.transmit_tagged(small(&umem), 0).is_err());
    assert_eq!((xsk.outstanding(), xsk.completions().len()), (0, 0));
}

#[test]
fn peeking_reads_nothing() {
    let (umem, mut xsk, mut nic) = xsk();
    (1..4).for_each(|cookie| xsk.transmit_tagged(small(&umem), cookie).expect("room"));
    xsk.publish();
    while nic.transmitted().is_some() {}
    xsk.recycle();

    let completions = xsk.completions();
    assert_eq!(completions.peek(), Some((1, Outcome::Sent)));
    assert_eq!(completions.peek_all().collect::<Vec<_>>(), sent(1..4));
    assert_eq!(completions.len(), 3);

    assert_eq!(read(&xsk), sent(1..4));
    assert_eq!(xsk.completions().peek(), None);
}

#[test]
fn xsk_that_drops_reports_what_it_did_not_finish() {
    let (umem, mut xsk, mut nic) = xsk();
    let queue = xsk.completion_queue();
    xsk.transmit_tagged(small(&umem), 1).expect("room");
    xsk.transmit_returning(made(&umem, &[1; 64], 16), 2)
        .expect("room");
    xsk.publish();
    // The first chunk of four is back, and one of those is the kernel's for good.
    assert_eq!(nic.transmitted().map(|bytes| bytes.len()), Some(16));
    let returned = nic.take_transmitted().expect("sent");
    assert!(nic.inject_completion(returned));
    xsk.transmit_tagged(small(&umem), 3).expect("room");
    xsk.transmit_returning(small(&umem), 4).expect("room");

    drop(xsk);

    let all: Vec<_> = queue
        .completions()
        .map(|it| {
            (
                it.cookie,
                it.outcome,
                it.frame.map(|frame| bytes_of(&frame)),
            )
        })
        .collect();
    let unpublished = b"a frame of bytes".to_vec();
    let expected = [
        (1, Outcome::Sent, None),
        (4, Outcome::Aborted, Some(unpublished)),
        (3, Outcome::Aborted, None),
        (2, Outcome::Aborted, None),
    ];
    assert_eq!(all, expected);
    let completions = queue.completions();
    assert_eq!((completions.outstanding(), completions.len()), (0, 0));
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    // With those of the fill ring.
    assert_eq!((audit.parts, audit.transmit), (0, 0), "{audit:?}");
    assert_eq!(audit.stranded, 3 + RING * 2);
}

#[test]
fn xsk_that_ended_drops_as_any_other() {
    let (umem, mut xsk, mut nic) = xsk();
    let queue = xsk.completion_queue();
    for cookie in 0..4 {
        xsk.transmit_tagged(small(&umem), cookie).expect("room");
    }
    xsk.publish();
    assert!(nic.transmitted().is_some());
    xsk.transmit_tagged(small(&umem), 4).expect("room");
    xsk.transmit(small(&umem)).expect("room");

    for _ in 0..2 {
        xsk.tx().0.end();
        let counters = xsk.tx_counters();
        assert_eq!((counters.frames, counters.completed), (6, 1));
        assert_eq!((xsk.in_flight(), xsk.outstanding()), (5, 0));
    }
    let refused = xsk.transmit_tagged(small(&umem), 5);
    assert!(matches!(refused, Err(TransmitError::ReceiveOnly(_))));
    drop((refused, xsk, nic));

    assert_eq!(queue.completions().count(), 5);
    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.transmit), (0, 0), "{audit:?}");
}

#[test]
fn completions_that_nobody_reads_go_with_the_xsk() {
    let (umem, mut xsk, mut nic) = xsk();
    xsk.transmit_returning(small(&umem), 1).expect("room");
    xsk.publish();
    nic.transmitted();
    xsk.transmit_returning(made(&umem, &[1; 64], 16), 2)
        .expect("room");
    xsk.recycle();

    drop((xsk, nic));

    let audit = umem.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.parts, audit.transmit), (0, 0, 0));
}

#[test]
fn whichever_xsk_completes_reports_to_the_one_that_sent() {
    let (umem, mut xsk, mut nic) = xsk();
    let (mut other, mut other_nic) = nic.share().expect("made for two");
    xsk.transmit_tagged(small(&umem), 1).expect("room");
    other.transmit_tagged(small(&umem), 2).expect("room");
    xsk.transmit_returning(small(&umem), 3).expect("room");
    xsk.publish();
    other.publish();
    while nic.transmitted().is_some() || other_nic.transmitted().is_some() {}

    other.recycle();

    assert_eq!(read(&xsk), sent([1, 3]));
    assert_eq!(read(&other), sent([2]));
    xsk.transmit_tagged(small(&umem), 4).expect("room");
    xsk.publish();
    let late = nic.take_transmitted().expect("sent");
    let queue = xsk.completion_queue();
    drop(xsk);
    assert_eq!(queue.completions().peek(), Some((4, Outcome::Aborted)));
    // The chunk comes back, and the cookie does not.
    assert!(nic.inject_completion(late));
    other.recycle();
    assert_eq!((queue.completions().len(), read(&other)), (1, vec![]));
    assert_eq!(other.violations(), 0);
}

#[test]
fn unaligned_chunks_are_reported_and_come_back() {
    let mut layout = UmemConfig::new(CHUNKS);
    layout.chunk_size = ChunkSize::unaligned(3000).expect("a chunk size");
    let umem = Umem::new(&layout).expect("a small UMEM");
    let (mut xsk, mut nic) = Xsk::simulated(&umem, &config()).expect("a simulated xsk");

    for cookie in 0..8 {
        xsk.transmit_tagged(small(&umem), cookie).expect("room");
    }
    xsk.transmit_returning(made(&umem, &[3; 4000], 2000), 8)
        .expect("room");
    xsk.publish();
    while nic.transmitted().is_some() {}
    xsk.recycle();

    let all: Vec<_> = xsk.completions().collect();
    assert!(all.iter().map(|it| it.cookie).eq(0..9));
    let frame = all.into_iter().last().and_then(|it| it.frame);
    assert_eq!(frame.map(|frame| bytes_of(&frame)), Some(vec![3; 4000]));
    assert_all_returned(&umem);
}

#[test]
fn refused_frames_are_not_reported() {
    let (umem, mut xsk, _nic) = xsk();
    let (other, mut other_xsk, _other_nic) = self::xsk();

    let foreign = xsk.transmit_tagged(small(&other), 1);
    assert!(matches!(foreign, Err(TransmitError::ForeignUmem(_))));
    let empty = umem.allocate().expect("a free chunk");
    let empty = xsk.transmit_returning(empty, 2);
    assert!(matches!(empty, Err(TransmitError::Empty(_))));
    drop((foreign, empty));
    let fits = (0..).find(|&cookie| other_xsk.transmit_tagged(small(&other), cookie).is_err());

    assert_eq!(fits, Some(u64::from(RING)), "as many as the ring has slots");
    assert_eq!((xsk.outstanding(), other_xsk.outstanding()), (0, RING));
}
