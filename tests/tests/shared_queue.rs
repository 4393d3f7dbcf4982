//! Several xsks on one queue of an interface: each gets its own frames, all send,
//! and they go in any order.

use std::time::{Duration, Instant};

use wharf::{
    Amount, Attach, Frame, Interface, Limits, NicQueue, QueueIndex, RingCapacity, Steering,
    SteeringConfig, TransmitError, Umem, UmemConfig, Verdict, Xsk, XskConfig, XskErrorKind,
    XskIndex,
};
use wharf_testbed::{FlowChecker, PacketSocket, Pair, Testbed, UdpFlow, require_privileges};
use wharf_tests::{
    SOON, assert_all_home, assert_no_program, in_both_modes, unanswered, wait_until,
};

in_both_modes! {
    frames_go_to_the_xsk_that_is_aimed_at,
    both_xsks_transmit_and_each_counts_its_own,
    first_xsk_may_go_first,
    last_xsk_may_go_first,
}

/// Entries of every ring here.
const RING: u32 = 256;
/// Chunks of every UMEM.
const CHUNKS: u32 = 2048;
/// Frames sent before the aim changes: few enough for any ring.
const BURST: u64 = 50;

/// An interface whose queue 0 has two xsks. Fields drop in the order that the
/// docs ask for: the program first.
struct Shared {
    steering: Steering,
    queue: NicQueue,
    xsks: Vec<Xsk>,
}

fn config(xsks: u8) -> XskConfig {
    XskConfig {
        xsks,
        limits: Limits {
            chunks: Some(Amount::Frames(CHUNKS / 2)),
            ..Limits::default()
        },
        ..XskConfig::new(RingCapacity::new(RING).expect("a power of two"))
    }
}

fn queue_0() -> QueueIndex {
    QueueIndex::new(0).expect("a small index")
}

impl Shared {
    /// Queue 0 of `interface`, looked up in this thread's namespace.
    fn bind(umem: &Umem, interface: &str, attach: Attach) -> Self {
        let interface = Interface::by_name(interface).expect("it exists");
        let steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect("it attaches");
        Self::bind_to(umem, steering)
    }

    fn bind_to(umem: &Umem, steering: Steering) -> Self {
        let queue = NicQueue::new(umem, steering.interface(), queue_0());
        let (first, report) = queue.bind(&config(2)).expect("it binds");
        let (second, shared_report) = queue.share().expect("the kernel shares");
        assert_eq!(
            [report.xsk, shared_report.xsk],
            [XskIndex(0), XskIndex(1)],
            "numbered as they were bound"
        );
        assert_eq!(shared_report.got, report.got, "the mode is the queue's");
        let xsks = vec![first, second];
        Self {
            steering,
            queue,
            xsks,
        }
    }

    /// Has the frames of the queue go to one of the xsks.
    fn aim(&mut self, xsk: usize) {
        let aimed = self.steering.insert_as(XskIndex(0), &self.xsks[xsk]);
        aimed.expect("there is a slot");
    }

    /// Receives `count` frames on one xsk and hands each to `each`.
    fn receive(&mut self, xsk: usize, count: u64, mut each: impl FnMut(Frame)) {
        let mut left = count;
        wait_until("frames come", SOON, || {
            let queue = &mut self.xsks[xsk];
            queue.recycle();
            for frame in queue.receive(64) {
                left -= 1;
                each(frame);
            }
            left == 0
        });
    }

    /// Waits until the kernel has sent all that one xsk gave it, and takes the
    /// completions on `taker`.
    fn flush(&mut self, xsk: usize, taker: usize) {
        wait_until("the kernel sends", SOON, || {
            self.xsks[xsk].wake().expect("the interface is up");
            self.xsks[taker].recycle();
            self.xsks[xsk].tx().in_flight() == 0
        });
    }

    /// Frames steered here are frames received by the xsks.
    fn assert_accounted(&mut self) {
        let counts = self.steering.counts(0).expect("there is a slot");
        let mut received = 0;
        for queue in &mut self.xsks {
            assert_eq!(queue.violations(), 0);
            let (rx, tx) = queue.split();
            let kernel = rx.kernel_statistics().expect("the socket is open");
            assert_eq!(
                (kernel.rx_dropped, kernel.rx_ring_full),
                (0, 0),
                "{kernel:?}"
            );
            received += rx.counters().frames;
            let sent = tx.counters();
            assert_eq!(
                (sent.frames, sent.dropped_by_kernel),
                (sent.completed, 0),
                "{sent:?}"
            );
        }
        assert_eq!(counts.redirected, received, "frames are missing");
    }
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("there is memory")
}

/// `None` says that the case is skipped.
fn pair() -> Option<Pair> {
    require_privileges().then(|| Testbed::pair().expect("a pair"))
}

fn flow(pair: &Pair, xsk: usize) -> UdpFlow {
    unanswered(pair.udp_flow(4000, 4433 + u16::try_from(xsk).expect("few")))
}

/// Sends `count` frames of the flow `xsk`, the next after `sequence`.
fn send(pair: &Pair, sender: &PacketSocket, xsk: usize, sequence: &mut [u64; 2], count: u64) {
    let from = sequence[xsk];
    sequence[xsk] += count;
    let id = u32::try_from(xsk).expect("few");
    let frames: Vec<_> = flow(pair, xsk)
        .sequenced(id, 200, from..from + count)
        .collect();
    sender.send_batch(&frames).expect("the link takes them");
}

fn frames_go_to_the_xsk_that_is_aimed_at(attach: Attach) {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let mut server = Shared::bind(&umem, "eth0", attach);
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let mut sequence = [0; 2];
    let mut checker = FlowChecker::new();

    // More than the rings hold, so that all chunks go round.
    for round in 0..60 {
        let xsk = round % 2;
        server.aim(xsk);
        send(&pair, &sender, xsk, &mut sequence, BURST);
        server.receive(xsk, BURST, |frame| {
            checker.observe_frame(&frame);
        });
    }

    for (xsk, queue) in server.xsks.iter_mut().enumerate() {
        let id = u32::try_from(xsk).expect("few");
        checker.expect(id, 30 * BURST);
        let report = checker.report(id);
        assert!(report.is_perfect(), "{report}");
        let rx = queue.rx();
        assert_eq!(usize::from(rx.xsk().0), xsk);
        assert_eq!((rx.counters().frames, rx.discarded()), (1500, 1500));
    }
    server.assert_accounted();
    assert_all_home(&umem);
    drop(server);
    assert_no_program(pair.server_interface());
}

fn both_xsks_transmit_and_each_counts_its_own(attach: Attach) {
    let Some(pair) = pair() else { return };
    let mut receiver = PacketSocket::open(pair.server_interface()).expect("a socket");
    let _inside = pair.client().enter().expect("the host lives");
    let umem = umem();
    let mut client = Shared::bind(&umem, "eth0", attach);
    let mut checker = FlowChecker::new();

    let counts = [1000_u64, 600];
    for (xsk, &count) in counts.iter().enumerate() {
        let id = u32::try_from(xsk).expect("few");
        checker.expect(id, count);
        for bytes in flow(&pair, xsk).sequenced(id, 300, 0..count) {
            transmit(&mut client, &umem, xsk, &bytes);
        }
    }
    for xsk in 0..2 {
        client.flush(xsk, 0);
    }

    let arrived = receiver
        .receive_count(1600, SOON)
        .expect("the interface stays");
    for frame in &arrived {
        checker.observe_frame(frame);
    }
    for (xsk, &count) in counts.iter().enumerate() {
        let report = checker.report(u32::try_from(xsk).expect("few"));
        assert!(report.is_perfect(), "{report}");
        let sent = client.xsks[xsk].tx().counters();
        let expected = (count, count, count);
        assert_eq!((sent.frames, sent.made, sent.completed), expected);
    }
    client.assert_accounted();
    assert_all_home(&umem);
}

/// Sends `bytes` on one xsk, whose frames' completions the other takes.
fn transmit(client: &mut Shared, umem: &Umem, xsk: usize, bytes: &[u8]) {
    let mut frame = umem.allocate().expect("completions are taken");
    frame
        .grow_back(u32::try_from(bytes.len()).expect("short"))
        .expect("a chunk holds a frame")
        .copy_from_slice(bytes);
    while let Err(error) = client.xsks[xsk].transmit(frame) {
        assert!(matches!(error, TransmitError::RingFull(_)), "{error}");
        frame = error.into_frame();
        client.flush(xsk, 1 - xsk);
    }
}

fn first_xsk_may_go_first(attach: Attach) {
    one_xsk_goes(attach, 0);
}

fn last_xsk_may_go_first(attach: Attach) {
    one_xsk_goes(attach, 1);
}

/// Drops one xsk of two while frames are under way, and goes on with the other;
/// then drops that too, and binds the queue anew at once.
fn one_xsk_goes(attach: Attach, gone: usize) {
    let Some(pair) = pair() else { return };
    let mut client = PacketSocket::open(pair.client_interface()).expect("a socket");
    let _inside = pair.server().enter().expect("the host lives");
    let old = umem();
    let mut server = Shared::bind(&old, "eth0", attach);
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let mut sequence = [0; 2];
    let frame = flow(&pair, 0).frame(b"to whom?");
    server.aim(gone);
    send(&pair, &sender, gone, &mut sequence, BURST);
    let mut held = Vec::new();
    server.receive(gone, BURST, |frame| held.push(frame));
    // Frames that nobody takes, and some that the kernel is not told to send.
    send(&pair, &sender, gone, &mut sequence, 10);
    wait_until("they arrive", SOON, || {
        server.xsks[gone].receive(64).len() == 10
    });
    for frame in held.drain(..20) {
        server.xsks[gone].transmit(frame).expect("there is room");
    }
    let fill = old.audit().fill;

    drop(server.xsks.remove(gone));

    // The socket is closed for good, though the other uses the rings that came
    // with it: the map has forgotten it.
    wait_until("the slot is empty", SOON, || {
        server.steering.test_run(0, &frame).expect("it runs") == Verdict::Pass
    });
    let audit = old.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.fill, audit.stranded), (fill - 10, 0), "{audit:?}");
    let stays = &mut server.xsks[0];
    assert_eq!(stays.rx().xsk(), XskIndex(u8::from(gone == 0)));
    server.aim(0);
    let mut checker = FlowChecker::new();
    checker.expect(9, 1000);
    for start in (0..1000).step_by(50) {
        let frames: Vec<_> = flow(&pair, 0)
            .sequenced(9, 200, start..start + BURST)
            .collect();
        sender.send_batch(&frames).expect("the link takes them");
        let mut received = Vec::new();
        server.receive(0, BURST, |frame| received.push(frame));
        for mut frame in received {
            frame.swap_mac_addresses();
            server.xsks[0].transmit(frame).expect("there is room");
        }
        server.flush(0, 0);
    }
    for frame in client.receive_count(1000, SOON).expect("the link stays") {
        checker.observe_frame(&frame);
    }
    assert!(checker.report(9).is_perfect(), "{}", checker.report(9));
    assert_eq!(server.xsks[0].violations(), 0);

    // One more joins in the place that is free, and everybody goes.
    let (third, report) = server.queue.share().expect("the kernel shares");
    assert_eq!(usize::from(report.xsk.0), gone);
    let Shared { steering, xsks, .. } = server;
    drop(xsks);
    drop(third);
    let started = Instant::now();
    let new = umem();
    let mut next = Shared::bind_to(&new, steering);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    next.aim(1);
    send(&pair, &sender, 1, &mut sequence, BURST);
    next.receive(1, BURST, drop);
    assert_all_home(&new);
    // What was held all the time is as it was.
    assert_eq!(held.len(), 30);
    drop(held);
    let audit = old.audit();
    assert!(audit.is_balanced(), "{audit:?}");
    assert_eq!((audit.application, audit.fill, audit.transmit), (0, 0, 0));
}

#[test]
fn what_the_kernel_would_refuse_is_refused_by_name() {
    let Some(pair) = pair() else { return };
    let _inside = pair.server().enter().expect("the host lives");
    let umem = umem();
    let interface = Interface::by_name("eth0").expect("it exists");
    let queue = NicQueue::new(&umem, &interface, queue_0());
    let early = queue.share().expect_err("there is nothing to share");
    assert!(matches!(early.kind(), XskErrorKind::NotBound), "{early}");
    let (xsk, _) = queue.bind(&config(1)).expect("it binds");

    let full = queue.share().expect_err("it was bound for one");
    assert!(
        matches!(full.kind(), XskErrorKind::NoMoreXsks { xsks: 1, .. }),
        "{full}"
    );
    // Another value is the same queue to the kernel.
    let same = NicQueue::new(&umem, &interface, queue_0());
    let twice = same.bind(&config(2)).expect_err("it is bound");
    assert!(
        matches!(twice.kind(), XskErrorKind::BoundAlready),
        "{twice}"
    );
    assert!(twice.to_string().contains("NicQueue::share"), "{twice}");
    drop(xsk);
    let (_xsk, _) = queue.bind(&config(2)).expect("it is free again");
    pair.server_interface().set_down().expect("it goes down");
    let down = queue
        .share()
        .map(|_| ())
        .expect_err("the interface is down");
    let text = down.to_string();
    assert!(text.contains("ip link set eth0 up"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    pair.server_interface().set_up().expect("it comes up");
    drop(queue.share().expect("nothing is left of the failure"));
    assert_all_home(&umem);
}
