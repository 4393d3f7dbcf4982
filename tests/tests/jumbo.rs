//! Frames that do not fit a chunk, on a real kernel: an MTU of 9000 between
//! queues and packet sockets, both ways. From queue to queue they are among the
//! kernel's own [scenarios](wharf_tests::scenario).

use std::thread;
use std::time::{Duration, Instant};

use wharf::{
    Amount, Attach, BindReport, Frame, Interface, Limits, MultiBuffer, NicQueue, QueueIndex,
    RingCapacity, TransmitError, Umem, UmemConfig, Xsk, XskConfig, XskError, XskErrorKind,
};
use wharf_testbed::{Pacer, PacketSocket, Pair, Testbed, require_privileges};
use wharf_tests::scenario::{End, EndConfig, Medium, Side, Track, TrackOptions};
use wharf_tests::{SOON, in_both_modes, wait_until};

in_both_modes! {
    frames_of_all_sizes_are_received_whole_and_in_order,
    frames_of_all_sizes_are_sent_whole_and_in_order,
    frame_in_the_most_chunks_arrives_and_one_more_is_refused,
    detached_frame_of_9000_bytes_is_attached_again_and_sent,
}

/// The least there are, so that they wrap and fill up within frames.
const RING: u32 = 64;
const CHUNKS: u32 = 512;
const MTU: u32 = 9000;
/// Bytes of the longest frame, without a VLAN tag.
const LONGEST: usize = 9014;
/// Bytes of a frame that a chunk takes.
const USABLE: usize = 4096 - 256;

fn config(multi_buffer: MultiBuffer) -> XskConfig {
    XskConfig {
        multi_buffer,
        limits: Limits {
            chunks: Some(Amount::Frames(CHUNKS / 2)),
            ..Limits::default()
        },
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("there is memory")
}

fn bind(
    umem: &Umem,
    interface: &Interface,
    multi_buffer: MultiBuffer,
) -> Result<(Xsk, BindReport), XskError> {
    let queue = QueueIndex::new(0).expect("a small index");
    NicQueue::new(umem, interface, queue).bind(&config(multi_buffer))
}

/// Queue 0 of one end, for frames in several chunks.
fn end(track: &Track, side: Side) -> End {
    let usual = EndConfig::new(track);
    let end = EndConfig {
        umem: UmemConfig::new(CHUNKS),
        queue: XskConfig {
            mode: usual.queue.mode,
            ..config(MultiBuffer::Auto)
        },
        ..usual
    };
    let end = End::bind_with(track, side, &end);
    let program = end.steering.report();
    assert!(program.multi_buffer, "this kernel is not that old");
    assert!(end.report.multi_buffer, "the MTU calls for it");
    end
}

/// Takes what has come, for as long as there is something.
fn take(end: &mut End, received: &mut Vec<Vec<u8>>) {
    end.xsk.recycle();
    for frame in end.xsk.receive(RING) {
        received.push(content(&frame));
    }
}

fn content(frame: &Frame) -> Vec<u8> {
    let bytes: Vec<u8> = frame.segments().flatten().copied().collect();
    assert_eq!(frame.total_len() as usize, bytes.len());
    bytes
}

/// `None` says that the case is skipped.
fn track(attach: Attach) -> Option<Track> {
    let options = TrackOptions {
        mtu: MTU,
        queues: 1,
    };
    Track::with(Medium::veth(attach), options)
}

fn pair(track: &Track) -> &Pair {
    track.pair().expect("a veth pair")
}

/// Frames of all lengths, those around the ends of chunks among them.
fn some_frames(track: &Track, count: u64) -> Vec<Vec<u8>> {
    let flow = track.flow(4000);
    let headers = 42;
    let edges = [
        USABLE - 1,
        USABLE,
        USABLE + 1,
        2 * USABLE,
        LONGEST - 1,
        LONGEST,
    ];
    let one = |sequence: u64| {
        let place = usize::try_from(sequence).expect("few");
        let length = match edges.get(place % 16) {
            Some(edge) => edge - headers,
            None => 16 + place * 977 % (LONGEST - headers - 16),
        };
        flow.sequenced(1, length, sequence..sequence + 1)
    };
    (0..count).flat_map(one).collect()
}

#[track_caller]
fn assert_same(received: &[Vec<u8>], sent: &[Vec<u8>]) {
    for (place, (found, frame)) in received.iter().zip(sent).enumerate() {
        assert!(
            found == frame,
            "frame {place} of {} bytes has {}",
            frame.len(),
            found.len()
        );
    }
    assert_eq!(received.len(), sent.len());
}

fn frames_of_all_sizes_are_received_whole_and_in_order(attach: Attach) {
    let Some(track) = track(attach) else { return };
    let mut server = end(&track, Side::Far);
    let sender = PacketSocket::sender(pair(&track).client_interface()).expect("a socket");
    let sent = some_frames(&track, 2000);
    let deadline = Instant::now() + SOON;
    let mut received = Vec::new();

    // By bursts that fit the rings, and the next when all of one is here.
    for (number, burst) in sent.chunks(8).enumerate() {
        sender.send_batch(burst).expect("the link takes them");
        while received.len() < number * 8 + burst.len() {
            assert!(Instant::now() < deadline, "{} came", received.len());
            take(&mut server, &mut received);
            thread::yield_now();
        }
    }

    assert_same(&received, &sent);
    let counters = server.xsk.rx().counters();
    let bytes: usize = sent.iter().map(Vec::len).sum();
    assert_eq!((counters.frames, counters.bytes), (2000, bytes as u64));
    server.assert_settled();
}

fn frames_of_all_sizes_are_sent_whole_and_in_order(attach: Attach) {
    let Some(track) = track(attach) else { return };
    let mut receiver = PacketSocket::open(pair(&track).server_interface()).expect("a socket");
    let mut client = end(&track, Side::Near);
    let made = some_frames(&track, 1000);

    for (place, bytes) in made.iter().enumerate() {
        // As received frames lie in chunks, and in chunks of odd sizes.
        let piece = [USABLE, 701, 3333][place % 3];
        let frame = client.make_in(piece, bytes);
        client.transmit(frame);
    }
    client.flush();

    let received = receiver.receive_count(made.len(), SOON).expect("it is up");
    assert_same(&received, &made);
    let counters = client.xsk.tx().counters();
    let bytes: usize = made.iter().map(Vec::len).sum();
    assert_eq!((counters.frames, counters.bytes), (1000, bytes as u64));
    client.assert_settled();
}

fn frame_in_the_most_chunks_arrives_and_one_more_is_refused(attach: Attach) {
    let Some(track) = track(attach) else { return };
    let mut receiver = PacketSocket::open(pair(&track).server_interface()).expect("a socket");
    let mut client = end(&track, Side::Near);
    let most = client.xsk.tx().most_chunks() as usize;
    assert_eq!(most, 18, "in copy mode");
    let flow = track.flow(4000);
    let frames: Vec<_> = flow.sequenced(1, 8500, 0..3).collect();
    let piece = frames[0].len().div_ceil(most);

    let first = client.make_in(piece, &frames[0]);
    assert_eq!(first.chunks() as usize, most);
    client.transmit(first);
    let mut one_more = client.make_in(piece, &frames[1]);
    let end = client.make_in(60, &[7; 60]);
    one_more.append(end).expect("a sensible end");
    let refused = client.xsk.transmit(one_more);
    let last = client.make_in(piece, &frames[2]);
    client.transmit(last);
    client.flush();

    assert!(
        matches!(refused, Err(TransmitError::TooManyChunks(_))),
        "{refused:?}"
    );
    drop(refused);
    let received = receiver.receive_count(3, Duration::from_millis(500));
    let received = received.expect("it is up");
    assert_same(&received, &[frames[0].clone(), frames[2].clone()]);
    client.assert_settled();
}

fn detached_frame_of_9000_bytes_is_attached_again_and_sent(attach: Attach) {
    let Some(track) = track(attach) else { return };
    let mut socket = PacketSocket::open(pair(&track).client_interface()).expect("a socket");
    let mut server = end(&track, Side::Far);
    let sent = some_frames(&track, 6);
    socket.send_batch(&sent).expect("the link takes them");
    let mut detached = Vec::new();
    wait_until("all come", SOON, || {
        server.xsk.recycle();
        detached.extend(server.xsk.receive(RING).map(Frame::detach));
        detached.len() == sent.len()
    });

    let returned = thread::spawn(move || {
        let inverted = |byte: &mut u8| *byte ^= 0xff;
        for frame in &mut detached {
            // The addresses stay.
            let bytes = frame.segments_mut().flat_map(|segment| segment.iter_mut());
            bytes.skip(14).for_each(inverted);
        }
        detached
    });
    for frame in returned.join().expect("no panic") {
        let frame = server.umem.attach(frame).expect("its own UMEM");
        server.transmit(frame);
    }
    server.flush();

    let received = socket.receive_count(6, SOON).expect("it is up");
    let inverted = |frame: &Vec<u8>| {
        let (head, rest) = frame.split_at(14);
        let rest = rest.iter().map(|byte| byte ^ 0xff);
        head.iter().copied().chain(rest).collect::<Vec<u8>>()
    };
    assert_same(&received, &sent.iter().map(inverted).collect::<Vec<_>>());
    server.assert_settled();
}

#[test]
fn frames_beyond_the_mtu_are_lost_one_by_one_and_counted() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let _inside = pair.client().enter().expect("the host lives");
    let interface = Interface::by_name("eth0").expect("it exists");
    let umem = umem();
    let (mut queue, report) = bind(&umem, &interface, MultiBuffer::Always).expect("it binds");
    assert!(report.multi_buffer);
    for _ in 0..5 {
        let mut frame = umem.allocate().expect("a free chunk");
        frame.grow_back(1000).expect("room");
        for _ in 0..3 {
            let mut end = umem.allocate().expect("a free chunk");
            end.grow_back(1000).expect("room");
            frame.append(end).expect("a sensible end");
        }
        queue.transmit(frame).expect("room");
    }

    wait_until("the kernel takes them", SOON, || {
        queue.wake().expect("the interface is up");
        queue.recycle();
        queue.tx().in_flight() == 0
    });

    let sent = queue.tx().counters();
    assert_eq!((sent.completed, sent.dropped_by_kernel), (5, 5), "{sent:?}");
    let audit = umem.audit();
    assert!(audit.is_balanced() && audit.transmit == 0, "{audit:?}");
}

#[test]
fn flood_that_overruns_the_rings_leaves_whole_frames_and_every_chunk() {
    let Some(track) = track(Attach::Native) else {
        return;
    };
    let mut server = end(&track, Side::Far);
    let sender = PacketSocket::sender(pair(&track).client_interface()).expect("a socket");
    let sent = some_frames(&track, 4000);
    let mut received = Vec::new();

    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut pacer = Pacer::per_second(4000).burst(100);
            let frames = sent.iter().cloned();
            sender.send_paced(&mut pacer, frames).expect("it is up");
        });
        while !flood.is_finished() {
            take(&mut server, &mut received);
            thread::sleep(Duration::from_millis(2));
        }
    });
    wait_until("all that came is taken", SOON, || {
        take(&mut server, &mut received);
        !server.xsk.rx().has_frames()
    });

    assert!(!received.is_empty());
    let mut expected = sent.iter();
    for frame in &received {
        assert!(expected.any(|sent| sent == frame), "whole, and in order");
    }
    server.assert_settled();
}

#[test]
fn queue_for_frames_in_one_chunk_is_refused_on_a_large_mtu() {
    let Some(track) = track(Attach::Native) else {
        return;
    };
    let _inside = track.enter(Side::Far);
    let interface = Interface::by_name("eth0").expect("it exists");

    let error = bind(&umem(), &interface, MultiBuffer::Never).expect_err("an MTU of 9000");

    let text = error.to_string();
    assert!(matches!(error.kind(), XskErrorKind::MtuTooLarge { .. }));
    for needle in ["MTU of 9000", "lower the MTU to 3822", "multi-buffer auto"] {
        assert!(text.contains(needle), "{text}");
    }
}

#[test]
fn queues_that_share_a_umem_do_as_its_first() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.right().set_mtu(MTU).expect("veth takes it");
    let _inside = wire.forwarder().enter().expect("the host lives");
    let [left, right] = ["left", "right"].map(|name| Interface::by_name(name).expect("it exists"));

    let shared = umem();
    let first = bind(&shared, &left, MultiBuffer::Auto).expect("it binds");
    let error = bind(&shared, &right, MultiBuffer::Auto).expect_err("needs several chunks");
    assert!(!first.1.multi_buffer);
    assert!(matches!(error.kind(), XskErrorKind::SharedOneChunk { .. }));

    drop(first);
    let shared = umem();
    let first = bind(&shared, &left, MultiBuffer::Always).expect("it binds");
    let second = bind(&shared, &right, MultiBuffer::Auto).expect("it shares");
    assert!(first.1.multi_buffer && second.1.multi_buffer);
}
