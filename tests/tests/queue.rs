//! Queues under an event loop of the test's own: receive, transmit, forward,
//! frames on other threads, and every order in which things may be dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wharf::{
    Amount, Attach, DetachedFrame, Frame, Interface, InterfaceId, Limits, NicQueue, QueueIndex,
    RingCapacity, Steering, SteeringConfig, TransmitError, Umem, UmemConfig, Verdict, Xsk,
    XskConfig,
};
use wharf_testbed::{FlowChecker, Pacer, PacketSocket, Pair, Testbed, require_privileges};
use wharf_tests::{
    SOON, assert_all_home, assert_no_program, in_both_modes, quiet_flow, send_within, unanswered,
    wait_until,
};

in_both_modes! {
    received_frames_are_those_sent_in_their_order,
    transmitted_frames_arrive_as_they_were_made,
    frames_are_forwarded_between_queues_that_share_a_umem,
    detached_frames_come_home_from_another_thread,
    detached_frames_are_attached_again_and_transmitted,
    frames_outlive_their_queue_and_the_next_one_binds_at_once,
    frames_and_queue_outlive_every_handle_of_their_umem,
    frame_grown_at_the_front_arrives_with_its_new_header,
}

/// Entries of every ring here.
const RING: u32 = 256;
/// Chunks of every UMEM: two queues can fill their rings.
const CHUNKS: u32 = 1024;

/// Frames on their way at once where none may be lost: those that wait in the RX
/// ring and those in the fill ring share it.
const WINDOW: usize = RING as usize / 2;

/// A steered queue. Fields drop in the order that the docs ask for: the program
/// first.
struct Steered {
    steering: Steering,
    queue: Xsk,
}

impl Steered {
    /// Queue 0 of `interface`, looked up in this thread's namespace.
    fn bind(umem: &Umem, interface: &str, id: usize, attach: Attach) -> Self {
        let interface = Interface::by_name(interface).expect("it exists");
        let steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect("it attaches");
        Self::bind_to(umem, steering, id)
    }

    /// Queue 0 of the interface whose program is there already.
    fn bind_to(umem: &Umem, mut steering: Steering, id: usize) -> Self {
        let config = XskConfig {
            interface: InterfaceId(id),
            limits: Limits {
                chunks: Some(Amount::Frames(CHUNKS / 2)),
                ..Limits::default()
            },
            ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
        };
        let index = QueueIndex::new(0).expect("a small index");
        let bound = NicQueue::new(umem, steering.interface(), index).bind(&config);
        let (queue, _) = bound.expect("it binds");
        steering.insert(&queue).expect("there is a slot");
        Self { steering, queue }
    }

    /// Receives `count` frames and hands each to `each`.
    fn receive(&mut self, count: usize, mut each: impl FnMut(Frame)) {
        let deadline = Instant::now() + SOON;
        let mut left = count;
        while left > 0 {
            assert!(
                Instant::now() < deadline,
                "{left} of {count} frames did not come"
            );
            self.queue.recycle();
            let batch = self
                .queue
                .receive(u32::try_from(left).expect("few frames").min(64));
            for frame in batch {
                left -= 1;
                each(frame);
            }
            if left > 0 {
                thread::yield_now();
            }
        }
    }

    /// Sends `frame` now or as soon as there is room.
    fn transmit(&mut self, frame: Frame) {
        let mut frame = frame;
        while let Err(error) = self.queue.transmit(frame) {
            assert!(matches!(error, TransmitError::RingFull(_)), "{error}");
            frame = error.into_frame();
            self.flush();
        }
    }

    /// Waits until the kernel has sent all it was given.
    fn flush(&mut self) {
        wait_until("the kernel sends", SOON, || {
            self.queue.wake().expect("the interface is up");
            self.queue.recycle();
            self.queue.tx().in_flight() == 0
        });
    }

    /// Frames steered here are frames received, plus those that the kernel
    /// counted as dropped; nothing on the rings was nonsense.
    fn assert_accounted(&mut self) {
        let counts = self.steering.counts(0).expect("there is a slot");
        let violations = self.queue.violations();
        let (rx, tx) = self.queue.split();
        let kernel = rx.kernel_statistics().expect("the socket is open");
        assert_eq!(
            counts.redirected,
            rx.counters().frames + kernel.rx_dropped + kernel.rx_ring_full,
            "frames are missing: {rx:?}, {kernel:?}"
        );
        let sent = tx.counters();
        assert_eq!(
            (sent.frames, sent.dropped_by_kernel),
            (sent.completed, 0),
            "{sent:?}"
        );
        assert_eq!(kernel.tx_invalid_descs, 0);
        assert_eq!(violations, 0);
    }
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("there is memory")
}

/// `None` says that the case is skipped.
fn pair() -> Option<Pair> {
    require_privileges().then(|| Testbed::pair().expect("a pair"))
}

/// Frames of odd and even lengths, from the shortest to the longest.
fn some_frames(pair: &Pair, count: u64) -> Vec<Vec<u8>> {
    let flow = unanswered(pair.udp_flow(4000, 4433));
    let one = |sequence: u64| {
        let length = 16 + usize::try_from(sequence * 37 % 1457).expect("short");
        flow.sequenced(1, length, sequence..sequence + 1)
    };
    (0..count).flat_map(one).collect()
}

fn received_frames_are_those_sent_in_their_order(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, attach);
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent = some_frames(&pair, 3000);

    let taken = AtomicUsize::new(0);
    let received = thread::scope(|scope| {
        scope.spawn(|| send_within(WINDOW, &taken, &sender, &sent));
        let mut received = Vec::new();
        server.receive(sent.len(), |frame| {
            received.push(frame.to_vec());
            taken.store(received.len(), Ordering::Relaxed);
        });
        received
    });

    for (place, (found, frame)) in received.iter().zip(&sent).enumerate() {
        assert_eq!(found, frame, "frame {place}");
    }
    let bytes: usize = sent.iter().map(Vec::len).sum();
    let counters = server.queue.rx().counters();
    assert_eq!((counters.frames, counters.bytes), (3000, bytes as u64));
    server.assert_accounted();
    assert_all_home(&umem);
    drop(server);
    assert_no_program(pair.server_interface());
}

fn transmitted_frames_arrive_as_they_were_made(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut receiver = PacketSocket::open(pair.server_interface()).expect("a socket");
    let _inside = pair.client().enter().expect("the host lives");
    let umem = umem();
    let mut client = Steered::bind(&umem, "eth0", 0, attach);
    let made = some_frames(&pair, 2000);

    for bytes in &made {
        // Others wait for their completion while the ring is full.
        let mut frame = umem.allocate().or_else(|| {
            client.flush();
            umem.allocate()
        });
        let frame = frame.take().expect("chunks come back");
        client.transmit(filled(frame, bytes));
    }
    client.flush();

    let arrived = receiver
        .receive_count(made.len(), SOON)
        .expect("the interface stays");
    assert_eq!(arrived.len(), made.len());
    for (place, (found, frame)) in arrived.iter().zip(&made).enumerate() {
        assert_eq!(found, frame, "frame {place}");
    }
    let sent = client.queue.tx().counters();
    assert_eq!((sent.frames, sent.made, sent.completed), (2000, 2000, 2000));
    client.assert_accounted();
    assert_all_home(&umem);
}

fn filled(mut frame: Frame, bytes: &[u8]) -> Frame {
    let len = u32::try_from(bytes.len()).expect("a frame is short");
    frame
        .grow_back(len)
        .expect("a chunk holds a frame")
        .copy_from_slice(bytes);
    frame
}

fn frames_are_forwarded_between_queues_that_share_a_umem(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 500, 0..3000).collect();
    let _inside = wire.forwarder().enter().expect("the host lives");
    let umem = umem();
    let mut left = Steered::bind(&umem, "left", 0, attach);
    let mut right = Steered::bind(&umem, "right", 1, attach);

    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| send_within(WINDOW, &taken, &sender, &frames));
        let deadline = Instant::now() + SOON;
        let mut forwarded = 0;
        while forwarded < frames.len() {
            assert!(Instant::now() < deadline, "{forwarded} frames came");
            left.queue.recycle();
            right.queue.recycle();
            let room = right.queue.tx().room();
            for frame in left.queue.receive(room.min(64)) {
                right.queue.transmit(frame).expect("there is room");
                forwarded += 1;
            }
            taken.store(forwarded, Ordering::Relaxed);
            right.queue.wake().expect("the interface is up");
        }
    });
    right.flush();

    let mut checker = FlowChecker::new();
    checker.expect(1, 3000);
    for frame in receiver
        .receive_count(3000, SOON)
        .expect("the interface stays")
    {
        checker.observe_frame(&frame);
    }
    assert!(checker.report(1).is_perfect(), "{}", checker.report(1));
    let (received, sent) = (left.queue.rx().counters(), right.queue.tx().counters());
    assert_eq!((received.frames, sent.frames, sent.made), (3000, 3000, 0));
    left.assert_accounted();
    right.assert_accounted();
    assert_all_home(&umem);
}

/// Has `count` frames in the RX ring and takes them, in order.
fn take(server: &mut Steered, pair: &Pair, count: u64) -> (Vec<Frame>, Vec<Vec<u8>>) {
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent = some_frames(pair, count);
    sender.send_batch(&sent).expect("the link takes them");
    let mut frames = Vec::new();
    server.receive(sent.len(), |frame| frames.push(frame));
    (frames, sent)
}

fn detached_frames_come_home_from_another_thread(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, attach);
    let (frames, sent) = take(&mut server, &pair, 100);
    let (travel, arrivals) = mpsc::channel::<DetachedFrame>();
    let elsewhere = thread::spawn(move || {
        arrivals
            .iter()
            .map(|frame| frame.to_vec())
            .collect::<Vec<_>>()
    });

    let detached: Vec<_> = frames.into_iter().map(Frame::detach).collect();
    assert_eq!(umem.audit().detached, 100);
    for frame in detached {
        travel.send(frame).expect("the thread listens");
    }
    drop(travel);

    assert_eq!(elsewhere.join().expect("it ends"), sent);
    assert_eq!(umem.audit().detached, 0);
    assert_eq!(
        server.queue.rx().discarded(),
        100,
        "dropping is dropping, anywhere"
    );
    server.assert_accounted();
    assert_all_home(&umem);
    // Their chunks are received into again.
    let (frames, _) = take(&mut server, &pair, 200);
    drop(frames);
    assert_all_home(&umem);
}

fn detached_frames_are_attached_again_and_transmitted(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut client = PacketSocket::open(pair.client_interface()).expect("a socket");
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, attach);
    let (frames, mut sent) = take(&mut server, &pair, 100);
    let detached: Vec<_> = frames.into_iter().map(Frame::detach).collect();

    let returned = thread::spawn(move || {
        let mut detached = detached;
        for frame in &mut detached {
            let (destination, source) = frame[..12].split_at_mut(6);
            destination.swap_with_slice(source);
        }
        detached
    });
    for frame in returned.join().expect("it ends") {
        let frame = umem.attach(frame).expect("it is of this UMEM");
        server.transmit(frame);
    }
    server.flush();

    for frame in &mut sent {
        let (destination, source) = frame[..12].split_at_mut(6);
        destination.swap_with_slice(source);
    }
    assert_eq!(
        client
            .receive_count(100, SOON)
            .expect("the interface stays"),
        sent
    );
    server.assert_accounted();
    assert_all_home(&umem);
}

#[test]
fn frames_of_another_umem_are_given_back() {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let (umem, other) = (umem(), umem_of(64));
    let mut server = Steered::bind(&umem, "eth0", 0, Attach::Auto);
    let frame = filled(other.allocate().expect("it is free"), &[7; 60]);

    let error = server
        .queue
        .transmit(frame)
        .expect_err("it would be another chunk's bytes");

    assert!(matches!(error, TransmitError::ForeignUmem(_)), "{error}");
    let detached = error.into_frame().detach();
    let detached = umem.attach(detached).expect_err("not this one's either");
    assert_eq!(detached[..], [7; 60]);
    drop(detached);
    assert_all_home(&other);
    assert_all_home(&umem);
}

fn umem_of(frames: u32) -> Umem {
    Umem::new(&UmemConfig::new(frames)).expect("there is memory")
}

fn frames_outlive_their_queue_and_the_next_one_binds_at_once(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let old = umem();
    let mut server = Steered::bind(&old, "eth0", 0, attach);
    let (frames, sent) = take(&mut server, &pair, 50);

    let (new, Steered { steering, queue }) = (umem(), server);
    drop(queue);
    let started = Instant::now();
    let mut next = Steered::bind_to(&new, steering, 0);

    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    let audit = old.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.fill), (50, 0), "{audit:?}");
    let earlier = next.steering.counts(0).expect("there is a slot").redirected;
    assert_eq!(earlier, 50);
    let (more, _) = take(&mut next, &pair, 100);
    assert_eq!(next.queue.rx().counters().frames, 100);
    drop(more);
    // What the old queue received is as it was, whatever the new one gets.
    for (frame, bytes) in frames.iter().zip(&sent) {
        assert_eq!(frame[..], bytes[..]);
    }
    drop(frames);
    assert_all_home(&old);
    assert_all_home(&new);
}

fn frames_and_queue_outlive_every_handle_of_their_umem(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, attach);

    drop(umem);

    let (mut frames, sent) = take(&mut server, &pair, 50);
    server.assert_accounted();
    let kept = frames.pop().expect("there are fifty").detach();
    drop(server);
    drop(frames);
    // The last of all, on a thread that never knew the UMEM.
    let last = sent.last().expect("there are fifty").clone();
    let elsewhere = thread::spawn(move || {
        assert_eq!(kept[..], last[..]);
        drop(kept);
    });
    elsewhere.join().expect("the bytes were there");
    assert_no_program(pair.server_interface());
}

fn frame_grown_at_the_front_arrives_with_its_new_header(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut client = PacketSocket::open(pair.client_interface()).expect("a socket");
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, attach);
    let (frames, sent) = take(&mut server, &pair, 20);
    // An Ethernet header of an experimental type (IEEE 802, 0x88b5).
    let header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];

    let short = sent.iter().filter(|bytes| bytes.len() < 1400).count();
    for mut frame in frames.into_iter().filter(|frame| frame.len() < 1400) {
        frame
            .grow_front(14)
            .expect("there is headroom")
            .copy_from_slice(&header);
        server.transmit(frame);
    }
    server.flush();

    let arrived = client
        .receive_count(short, SOON)
        .expect("the interface stays");
    let inner = sent.iter().filter(|bytes| bytes.len() < 1400);
    assert_eq!(arrived.len(), short);
    for (outer, inner) in arrived.iter().zip(inner) {
        assert_eq!((&outer[..14], &outer[14..]), (&header[..], &inner[..]));
    }
    assert_all_home(&umem);
}

#[test]
fn frames_beyond_the_fill_ring_are_counted_by_the_kernel_and_no_more_are_lost() {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, Attach::Native);
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent = some_frames(&pair, 1000);

    // Nobody takes any, so the kernel has room for one ring.
    sender
        .send_paced(&mut Pacer::per_second(20_000), sent.clone())
        .expect("the link takes them");
    wait_until("all have been steered", SOON, || {
        server
            .steering
            .counts(0)
            .expect("there is a slot")
            .redirected
            == 1000
    });
    let kernel = server
        .queue
        .rx()
        .kernel_statistics()
        .expect("the socket is open");
    assert_eq!(
        kernel.rx_dropped + kernel.rx_ring_full,
        u64::from(1000 - RING),
        "{kernel:?}"
    );

    let mut received = Vec::new();
    server.receive(RING as usize, |frame| received.push(frame.to_vec()));
    assert_eq!(received, sent[..RING as usize], "the first ones, in order");
    server.assert_accounted();
    assert_all_home(&umem);
}

#[test]
fn slot_decides_between_the_kernel_and_the_queue() {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Steered::bind(&umem, "eth0", 0, Attach::Native);
    let frame = pair.udp_flow(4000, 4433).frame(b"to whom?");
    let run = |server: &Steered| server.steering.test_run(0, &frame).expect("it runs");

    assert_eq!(run(&server), Verdict::Redirect);
    let cleared = server.steering.clear(0, wharf::XskIndex(0));
    cleared.expect("there is a slot");
    assert_eq!(run(&server), Verdict::Pass);
    let inserted = server.steering.insert(&server.queue);
    inserted.expect("there is a slot");
    assert_eq!(run(&server), Verdict::Redirect);

    let counts = server.steering.counts(0).expect("there is a slot");
    assert_eq!((counts.redirected, counts.passed_no_xsk), (2, 1));
}
