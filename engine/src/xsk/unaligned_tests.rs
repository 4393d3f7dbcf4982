//! Queues of unaligned chunks, and of chunks with headroom.

use super::{SimulatedNic, Xsk, XskConfig};
use crate::kernel::{ChunkSize, RingCapacity};
use crate::memory::{Umem, UmemConfig};

const RING: u32 = 64;
const CHUNKS: u32 = 256;

fn queue(bytes: u32, headroom: u32) -> (Umem, Xsk, SimulatedNic) {
    let umem = Umem::new(&UmemConfig {
        chunk_size: ChunkSize::unaligned(bytes).expect("a chunk size"),
        headroom,
        ..UmemConfig::new(CHUNKS)
    });
    let umem = umem.expect("a small UMEM");
    let config = XskConfig::new(RingCapacity::new(RING).expect("a power of two"));
    let (queue, nic) = Xsk::simulated(&umem, &config).expect("a simulated queue");
    (umem, queue, nic)
}

/// Bytes that say where they belong.
#[expect(clippy::cast_possible_truncation, reason = "any byte will do")]
fn pattern(seed: u32, len: u32) -> Vec<u8> {
    (0..len)
        .map(|place| (seed * 31 + place * 7) as u8)
        .collect()
}

#[test]
fn frames_of_all_lengths_go_in_and_out_of_chunks_of_odd_sizes() {
    for bytes in [2049, 3000, 4001, 4096] {
        let (umem, mut queue, mut nic) = queue(bytes, 0);
        let most = umem.receivable();
        assert_eq!(most, bytes - 256);
        for (seed, len) in [1, 2, 60, 1514, most - 1, most]
            .into_iter()
            .cycle()
            .take(600)
            .zip(0..)
        {
            let (len, sent) = (seed, pattern(len, seed));
            assert!(nic.deliver(&sent), "{bytes}: {len}");
            let frame = queue.receive(1).next().expect("delivered");
            assert_eq!(&*frame, sent, "{bytes}: {len}");
            queue.transmit(frame).expect("an empty TX ring");
            queue.wake().expect("nothing to wake");
            assert_eq!(nic.transmitted(), Some(sent), "{bytes}: {len}");
            queue.recycle();
        }
        assert!(!nic.deliver(&pattern(0, most + 1)), "it fits no chunk");
        assert_eq!(queue.violations(), 0);
        assert!(umem.audit().is_balanced());
    }
}

#[test]
fn frame_may_begin_and_end_anywhere_in_its_chunk() {
    let (umem, mut queue, mut nic) = queue(4001, 0);
    for (front, back) in [(256, 3745), (0, 3745), (256, 1), (1, 1), (255, 3744)] {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_back(back).expect("room").fill(0xbb);
        frame.grow_front(front).expect("headroom").fill(0xff);
        let expected = frame.to_vec();

        queue.transmit(frame).expect("an empty TX ring");
        queue.wake().expect("nothing to wake");

        assert_eq!(nic.transmitted(), Some(expected));
        queue.recycle();
    }
    assert_eq!((queue.violations(), umem.audit().transmit), (0, 0));
}

#[test]
fn completion_that_lost_bit_zero_frees_the_right_chunk() {
    // Copy mode from 6.18 to 7.3: the bit is the chunk's, not the offset's.
    let (umem, mut queue, mut nic) = queue(4001, 0);
    for chunk in u64::from(RING)..u64::from(2 * RING) {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_front(256).expect("headroom");
        queue.transmit(frame).expect("a free slot");
        // The frame is at the first byte of its chunk.
        assert!(nic.inject_completion((chunk * 4002) & !1));
    }
    queue.wake().expect("nothing to wake");

    queue.recycle();

    assert_eq!((queue.violations(), umem.audit().transmit), (0, 0));
    assert!(umem.audit().is_balanced());
}

#[test]
fn senseless_descriptors_never_become_frames() {
    let (umem, mut queue, mut nic) = queue(3000, 0);
    let at = |chunk: u64, offset: u64| (chunk * 3000) | (offset << 48);
    // In turn: a chunk that was not posted, beyond the UMEM, an offset that leaves
    // the chunk, one that ends behind the UMEM, a length that leaves the chunk,
    // nonsense, and a length that overflows.
    for (addr, len) in [
        (at(200, 256), 60),
        (at(256, 256), 60),
        (at(1, 3000), 60),
        (at(255, 0xffff), 60),
        (at(1, 256), 2745),
        (u64::MAX, 60),
        (at(2, 256), u32::MAX),
    ] {
        assert!(nic.inject_received(addr, len));
    }

    assert_eq!(queue.receive(RING).count(), 0);

    assert_eq!(queue.violations(), 7);
    let audit = umem.audit();
    assert_eq!(audit.quarantined, 2, "those with a length that leaves them");
    assert!(audit.is_balanced());
}

#[test]
fn senseless_completions_free_nothing() {
    let (umem, mut queue, mut nic) = queue(3001, 0);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(4).expect("room");
    queue.transmit(frame).expect("an empty TX ring");
    let sent = u64::from(RING) * 3002;

    for addr in [
        sent + 3002,
        sent | 3001 << 48,
        sent - 2,
        sent | 0xffff << 48,
        u64::MAX,
    ] {
        assert!(nic.inject_completion(addr));
    }
    queue.recycle();

    assert_eq!((queue.violations(), umem.audit().transmit), (5, 1));
    assert!(nic.inject_completion(sent | 256 << 48));
    queue.recycle();
    assert_eq!((queue.violations(), umem.audit().transmit), (5, 0));
}

#[test]
fn received_frame_has_the_headroom_that_was_asked_for() {
    let (umem, mut queue, mut nic) = queue(4001, 300);
    assert_eq!(umem.receivable(), 4001 - 556);
    assert!(nic.deliver(b"packet"));

    let mut frame = queue.receive(1).next().expect("delivered");
    let made = umem.allocate().expect("a free chunk");

    assert_eq!((frame.headroom(), made.headroom()), (556, 556));
    frame.grow_front(556).expect("headroom").fill(b'h');
    assert!(frame.grow_front(1).is_err());
    queue.transmit(frame).expect("an empty TX ring");
    queue.wake().expect("nothing to wake");
    let sent = nic.transmitted().expect("sent");
    assert_eq!((sent.len(), &sent[556..]), (562, &b"packet"[..]));
    assert!(!nic.deliver(&pattern(0, 4001 - 555)), "it fits no chunk");
}

#[test]
fn published_frames_are_with_the_nic_without_a_wakeup() {
    let (umem, mut queue, mut nic) = queue(3000, 0);
    let mut frame = umem.allocate().expect("a free chunk");
    frame.grow_back(4).expect("room").copy_from_slice(b"sent");
    queue.transmit(frame).expect("an empty TX ring");
    assert_eq!(nic.transmitted(), None, "not published yet");

    queue.publish();

    assert_eq!(nic.transmitted().as_deref(), Some(&b"sent"[..]));
    assert_eq!(queue.tx().counters().wakeups, 0);
}
