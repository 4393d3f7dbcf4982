//! The engine on veth: traffic through applications, an orderly end however it
//! comes, and books that balance to the last frame.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wharf::{
    Application, Attach, Batch, DropReason, Engine, EngineBuilder, Error, Frame, Idle, InterfaceId,
    Outbox, QueueIndex, RingCapacity, Summary, Wait,
};
use wharf_testbed::{
    Entered, Pacer, PacketSocket, Pair, SERVER_IPV4, SequencedPayload, Testbed, UdpFrame, Wire,
    require_privileges,
};
use wharf_tests::{
    SOON, Stream, assert_conserved, assert_no_program, assert_nothing_dropped, in_both_modes,
    quiet_flow, unanswered, wait_until,
};

in_both_modes! {
    reflected_datagrams_come_back_to_the_kernels_own_socket,
    engine_under_traffic_stops_in_bounded_time_and_accounts_for_every_frame,
    panic_in_receive_stops_the_engine_and_is_reported,
    frames_to_a_far_end_that_is_down_are_counted_one_by_one,
    hoarding_application_leaves_the_kernel_its_floor_and_is_accounted_for,
    application_sends_frames_of_its_own_making,
}

/// Sends every frame back where it came from.
struct Reflect;

impl Application for Reflect {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for mut frame in batch {
            frame.swap_mac_addresses();
            // UDP and IPv4 checksums stay right when both ends trade places.
            swap(&mut frame, 26, 30, 4);
            swap(&mut frame, 34, 36, 2);
            out.send_back(frame);
        }
    }
}

fn swap(frame: &mut Frame, one: usize, other: usize, len: usize) {
    for place in 0..len {
        frame.swap(one + place, other + place);
    }
}

/// Sends every frame out of the other interface.
struct Cross;

impl Application for Cross {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        let to = InterfaceId(1 - batch.interface().0);
        for frame in batch {
            out.send(frame, to);
        }
    }
}

/// An engine on the server's interface, with this thread in the server.
fn on_server(pair: &Pair, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = pair.server().enter().expect("the host lives");
    // Fewer ring entries than frames, so that some are left to allocate.
    let ring = RingCapacity::new(1024).expect("a power of two");
    let builder = Engine::builder()
        .interface("eth0")
        .attach(attach)
        .frames(4096)
        .ring_size(ring);
    (inside, builder)
}

/// An engine between the two interfaces of a wire.
fn on_wire(wire: &Wire, attach: Attach) -> (Entered, EngineBuilder) {
    let inside = wire.forwarder().enter().expect("the host lives");
    let builder = Engine::builder().interface("left").interface("right");
    (inside, builder.attach(attach).frames(8192))
}

/// Frames that the XDP programs have steered to the engine so far.
fn frames_in(engine: &Engine) -> u64 {
    engine.stats().totals().frames_in
}

fn wait_for_frames_in(engine: &Engine, count: u64) {
    wait_until("frames come in", SOON, || frames_in(engine) >= count);
}

/// Stops the engine, which must not take long.
fn stop(engine: Engine) -> Summary {
    let started = Instant::now();
    let summary = engine.stop();
    let elapsed = started.elapsed();
    assert!(
        elapsed < Duration::from_secs(3),
        "stopping took {elapsed:?}"
    );
    summary
}

fn reflected_datagrams_come_back_to_the_kernels_own_socket(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| Reflect).expect("it starts");
    let socket = pair
        .client()
        .run(|| UdpSocket::bind("0.0.0.0:4000").expect("the port is free"));
    socket.connect((SERVER_IPV4, 7)).expect("a route");
    socket.set_read_timeout(Some(SOON)).expect("a bound");

    for sequence in 0..1000 {
        let length = 16 + usize::try_from(sequence).expect("small") % 1400;
        let sent = SequencedPayload { flow: 1, sequence }.to_bytes(length);
        socket.send(&sent).expect("the kernel sends");
        let mut returned = [0; 2000];
        let len = socket.recv(&mut returned).expect("it comes back");
        assert_eq!(returned[..len], sent, "datagram {sequence}");
    }

    let summary = stop(engine);
    assert_nothing_dropped(&summary);
    summary.outcome.as_ref().expect("it was asked to stop");
    let totals = summary.stats.totals();
    assert_eq!(
        (totals.frames_in, totals.rx_frames, totals.tx_frames),
        (1000, 1000, 1000)
    );
    assert_eq!(totals.rx_bytes, totals.tx_bytes);
    assert_no_program(pair.server_interface());
}

/// Drives several queues by as many workers as there are CPUs, and gives what
/// each queue counted.
fn across_queues(queues: u32, workers: usize) -> Option<Summary> {
    if !require_privileges() {
        return None;
    }
    let wire = Testbed::options().queues(queues).wire().expect("a wire");
    // Generic XDP sees a veth's queues shifted by one (veth records no queue).
    let (_inside, builder) = on_wire(&wire, Attach::Native);
    let engine = builder
        .cpus((0..workers).collect::<Vec<_>>())
        .start(|_| Cross)
        .expect("it starts");
    assert_eq!(engine.report().workers.len(), workers);
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    // Enough flows for the kernel to spread them over all queues.
    let frames: Vec<_> = (0..64)
        .flat_map(|port| quiet_flow(&wire, 4000 + port).sequenced(u32::from(port), 64, 0..50))
        .collect();

    sender
        .send_paced(&mut Pacer::per_second(20_000), frames.clone())
        .expect("the link takes them");
    let received = receiver
        .receive_count(frames.len(), SOON)
        .expect("the interface stays");

    let mut checker = wharf_testbed::FlowChecker::new();
    (0..64).for_each(|flow| checker.expect(flow, 50));
    received.iter().for_each(|frame| {
        checker.observe_frame(frame);
    });
    assert!(checker.total().is_perfect(), "{}", checker.total());
    let summary = stop(engine);
    assert_nothing_dropped(&summary);
    assert_eq!(summary.stats.totals().frames_in, 64 * 50);
    assert_eq!(summary.audits.len(), workers);
    assert_eq!(summary.stats.queues.len(), 2 * queues as usize);
    Some(summary)
}

#[test]
fn several_queues_are_driven_by_one_worker() {
    let Some(summary) = across_queues(4, 1) else {
        return;
    };

    let busy = summary
        .stats
        .queues
        .iter()
        .filter(|queue| queue.rx_frames > 0)
        .count();
    assert!(
        busy > 1,
        "the flows were spread: {:?}",
        summary.stats.queues
    );
}

#[test]
fn several_queues_are_driven_by_several_workers() {
    let Some(summary) = across_queues(4, 2) else {
        return;
    };

    for worker in 0..2 {
        let of_worker = summary
            .stats
            .queues
            .iter()
            .filter(|queue| queue.worker == worker);
        let frames: u64 = of_worker.map(|queue| queue.rx_frames).sum();
        assert!(frames > 0, "worker {worker} did nothing");
    }
}

#[test]
fn queues_that_are_not_driven_go_to_the_kernel() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().queues(4).pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Native);
    let engine = builder.queues(1).start(|_| Reflect).expect("it starts");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let frames = (0..64).map(|port| pair.udp_flow(4000 + port, 4433).frame(b"which queue?"));
    let frames: Vec<_> = frames.collect();

    sender.send_batch(&frames).expect("the link takes them");

    wait_until("all of them have arrived somewhere", SOON, || {
        pair.server_interface()
            .counters()
            .expect("it counts")
            .rx_packets
            >= 64
    });
    let summary = stop(engine);
    assert_conserved(&summary);
    let steered = summary.stats.totals().frames_in;
    assert!(
        steered > 0 && steered < 64,
        "queue 0 gets some of the flows: {steered}"
    );
}

fn engine_under_traffic_stops_in_bounded_time_and_accounts_for_every_frame(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let engine = builder.start(|_| Cross).expect("it starts");
    let arrived_before = wire
        .server_interface()
        .counters()
        .expect("it counts")
        .rx_packets;
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 200_000);
    wait_for_frames_in(&engine, 20_000);

    let summary = stop(engine);

    drop(stream);
    assert_conserved(&summary);
    summary.outcome.as_ref().expect("it was asked to stop");
    let totals = summary.stats.totals();
    let arrived = wire
        .server_interface()
        .counters()
        .expect("it counts")
        .rx_packets
        - arrived_before;
    assert_eq!(
        arrived, totals.tx_frames,
        "what it says it sent is what arrived"
    );
    assert_eq!(
        totals.drops.get(DropReason::TxUnfinished),
        0,
        "there was time to finish"
    );
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

/// Panics at the frame of this number.
struct PanicAt(u64);

impl Application for PanicAt {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        for frame in batch {
            self.0 -= 1;
            assert!(self.0 > 0, "this frame\nis one too many");
            out.send(frame, InterfaceId(1));
        }
    }
}

fn panic_in_receive_stops_the_engine_and_is_reported(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, attach);
    let engine = builder
        .promiscuous()
        .start(|_| PanicAt(500))
        .expect("it starts");
    let stream = Stream::start(wire.client_interface(), quiet_flow(&wire, 4000), 20_000);

    wait_until("the engine notices", SOON, || {
        !engine.wait(Duration::from_millis(10))
    });
    let summary = stop(engine);

    drop(stream);
    assert_conserved(&summary);
    assert!(
        summary.stats.totals().tx_frames >= 400,
        "those before were sent"
    );
    let error = summary
        .outcome
        .expect_err("it did not stop because it was asked to");
    let Error::ApplicationPanicked { worker: 0, message } = &error else {
        panic!("not a panic of worker 0: {error}");
    };
    assert_eq!(message, "this frame is one too many");
    assert!(error.to_string().contains("worker 0"), "{error}");
    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

#[test]
fn panic_while_the_application_is_made_fails_the_start() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::options().queues(2).wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);

    let started = builder.cpus([0, 1]).promiscuous().start(|context| {
        assert!(context.worker != 1, "no application for worker 1");
        Reflect
    });

    let error = started.expect_err("there is no application");
    let Error::ApplicationPanicked { worker: 1, message } = &error else {
        panic!("not a panic of worker 1: {error}");
    };
    assert_eq!(message, "no application for worker 1");
    assert_no_program(wire.left());
    assert_no_program(wire.right());
    // And the queues are free at once.
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let engine = builder.start(|_| Cross).expect("it starts");
    assert_conserved(&stop(engine));
}

#[test]
fn dropped_engine_leaves_nothing() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);

    drop(builder.promiscuous().start(|_| Cross).expect("it starts"));

    assert_no_program(wire.left());
    assert_no_program(wire.right());
}

#[test]
fn application_can_make_frames_even_if_the_rings_could_hold_every_chunk() {
    struct Beacon {
        left_to_send: u32,
    }

    impl Application for Beacon {
        fn receive(&mut self, _: Batch<'_>, _: &mut Outbox<'_>) {}

        fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
            while self.left_to_send > 0
                && let Some(mut frame) = out.allocate()
            {
                frame.grow_back(60).expect("a chunk has room").fill(0xff);
                out.send(frame, InterfaceId(1));
                self.left_to_send -= 1;
            }
            Idle::Sleep
        }
    }

    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let ring_size = RingCapacity::new(1024).expect("a power of two");

    let engine = builder
        .ring_size(ring_size)
        .frames(1024)
        .start(|_| Beacon { left_to_send: 100 })
        .expect("it starts");
    wait_until("100 frames are made", SOON, || {
        engine.stats().totals().frames_made == 100
    });

    let summary = stop(engine);
    assert_conserved(&summary);
    assert_eq!(summary.stats.totals().tx_frames, 100);
}

fn frames_to_a_far_end_that_is_down_are_counted_one_by_one(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    wire.server_interface()
        .set_down()
        .expect("it can be set down");
    let (_inside, builder) = on_wire(&wire, attach);
    let engine = builder.start(|_| Cross).expect("a carrier is not needed");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..777).collect();

    sender
        .send_paced(&mut Pacer::per_second(20_000), frames)
        .expect("the link takes them");
    wait_for_frames_in(&engine, 777);

    assert!(engine.wait(Duration::ZERO), "it goes on");
    let summary = stop(engine);
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!(totals.frames_in, 777);
    assert_eq!(
        totals.drops.get(DropReason::TxKernel),
        777,
        "{:?}",
        totals.drops
    );
    assert_eq!(totals.tx_frames, 0);
    assert_eq!(wire.right().counters().expect("it counts").tx_packets, 0);
}

/// Holds what it gets until told to let go.
struct Hoard {
    held: Vec<Frame>,
    shared: Arc<Hoarding>,
}

#[derive(Default)]
struct Hoarding {
    let_go: AtomicBool,
    most_held: AtomicU64,
    /// The fewest chunks that the kernel had, or was about to get.
    least_lent: AtomicU32,
}

impl Hoard {
    fn look(&mut self, out: &Outbox<'_>) {
        let held = self.held.len() as u64;
        self.shared.most_held.fetch_max(held, Ordering::Relaxed);
        // Those just dropped are in the pool until the next round lends them.
        let audit = out.umem().audit();
        let lent = audit.fill + audit.pool;
        self.shared.least_lent.fetch_min(lent, Ordering::Relaxed);
        if self.shared.let_go.load(Ordering::Relaxed) {
            self.held.clear();
        }
    }
}

impl Application for Hoard {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        self.held.extend(batch);
        self.look(out);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        self.look(out);
        Idle::Sleep
    }
}

/// Frames that the kernel had no chunk or no room for.
fn refused_by_kernel(drops: &wharf::Drops) -> u64 {
    let reasons = [
        DropReason::RxNoChunk,
        DropReason::RxRingFull,
        DropReason::RxThrottled,
    ];
    reasons.map(|reason| drops.get(reason)).iter().sum()
}

fn hoarding_application_leaves_the_kernel_its_floor_and_is_accounted_for(attach: Attach) {
    if !require_privileges() {
        return;
    }
    const FRAMES: u32 = 256;
    const RING: u32 = 128;
    const FLOOR: u32 = RING / 8;
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let shared = Arc::new(Hoarding {
        least_lent: AtomicU32::new(FRAMES),
        ..Hoarding::default()
    });
    let engine = builder
        .frames(FRAMES)
        .ring_size(RingCapacity::new(RING).expect("a power of two"))
        .start({
            let shared = Arc::clone(&shared);
            move |_| Hoard {
                held: Vec::new(),
                shared: Arc::clone(&shared),
            }
        })
        .expect("it starts");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let flow = pair.udp_flow(4000, 4433);
    let send = |count| {
        let frames = flow.sequenced(1, 64, 0..count);
        sender
            .send_paced(&mut Pacer::per_second(10_000), frames)
            .expect("the link takes them");
    };

    send(1000);
    wait_for_frames_in(&engine, 1000);

    // It cannot have them all, and what it cannot have is counted.
    wait_until("drops are published", SOON, || {
        engine.stats().totals().drops.total() > 0
    });
    let most = shared.most_held.load(Ordering::Relaxed);
    assert!(
        most > 0 && most <= u64::from(FRAMES - FLOOR),
        "it held {most}"
    );
    let least = shared.least_lent.load(Ordering::Relaxed);
    assert!(least >= FLOOR, "the kernel was left with {least} chunks");

    shared.let_go.store(true, Ordering::Relaxed);
    wait_until("received frames are let go", SOON, || {
        let totals = engine.stats().totals();
        totals.rx_frames + refused_by_kernel(&totals.drops) >= 1000
    });
    let received = engine.stats().totals().rx_frames;
    send(100);
    wait_for_frames_in(&engine, 1100);
    wait_until("frames come again", SOON, || {
        engine.stats().totals().rx_frames == received + 100
    });

    let summary = stop(engine);
    assert_conserved(&summary);
    let totals = summary.stats.totals();
    let drops = totals.drops;
    assert_eq!(totals.frames_in, 1100);
    let by_kernel = refused_by_kernel(&drops);
    assert!(by_kernel > 0, "{drops:?}");
    assert_eq!(
        by_kernel + drops.get(DropReason::Application),
        1100,
        "{drops:?}"
    );
    assert_eq!(summary.audits[0].application, 0, "all came home");
}

/// Sends numbered frames when there is nothing else to do.
struct Make {
    flow: wharf_testbed::UdpFlow,
    next: u64,
}

impl Application for Make {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        if self.next == 300 {
            return Idle::Sleep;
        }
        let payload = SequencedPayload {
            flow: 7,
            sequence: self.next,
        }
        .to_bytes(300);
        let bytes = self.flow.frame(&payload);
        let len = u32::try_from(bytes.len()).expect("a frame is short");
        if let Some(mut frame) = out.allocate() {
            frame
                .grow_back(len)
                .expect("a chunk holds a frame")
                .copy_from_slice(&bytes);
            out.send(frame, InterfaceId(0));
            self.next += 1;
        }
        Idle::Again
    }
}

fn application_sends_frames_of_its_own_making(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let mut receiver = PacketSocket::open(pair.client_interface()).expect("a socket");
    let (_inside, builder) = on_server(&pair, attach);
    let flow = unanswered(pair.udp_flow(4000, 4433).reversed());
    let engine = builder
        .start(move |_| Make { flow, next: 0 })
        .expect("it starts");

    let frames = receiver
        .receive_count(300, SOON)
        .expect("the interface stays");

    for (sequence, frame) in frames.iter().enumerate() {
        let parsed = UdpFrame::parse(frame).expect("checksums hold");
        let payload = SequencedPayload::verify(&parsed.payload).expect("intact");
        assert_eq!(payload.sequence, sequence as u64, "in order");
    }
    assert_eq!(frames.len(), 300);
    let summary = stop(engine);
    assert_nothing_dropped(&summary);
    let totals = summary.stats.totals();
    assert_eq!((totals.frames_made, totals.tx_frames), (300, 300));
}

#[test]
fn memory_limit_is_kept_and_named() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);

    let error = builder
        .memory_limit(1 << 20)
        .start(|_| Reflect)
        .expect_err("16 MiB are more");

    assert!(matches!(error, Error::Umem(_)), "{error:?}");
    let error = error.to_string();
    assert!(
        error.contains("16777216 bytes") && error.contains("1048576"),
        "{error}"
    );
    assert!(error.contains("ask for fewer frames"), "{error}");
    assert_no_program(pair.server_interface());
}

#[test]
fn engine_names_what_it_got() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::options().queues(2).pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);

    let engine = builder.cpus([1]).start(|_| Reflect).expect("it starts");

    let report = engine.report().clone();
    assert_eq!(report.interfaces[0].name, "eth0");
    assert_eq!(report.interfaces[0].driver.as_deref(), Some("veth"));
    assert_eq!(
        (report.interfaces[0].mtu, report.interfaces[0].queues),
        (1500, 2)
    );
    let attached = pair
        .server_interface()
        .xdp()
        .expect("it exists")
        .expect("attached");
    assert_eq!(
        attached.program_id,
        Some(report.interfaces[0].attach.program_id)
    );
    let worker = &report.workers[0];
    assert_eq!(
        (worker.cpu, worker.chunks, worker.memory_bytes),
        (Some(1), 4096, 4096 * 4096)
    );
    assert_eq!(worker.queues[0].got, wharf::CopyMode::Copy);
    assert!(worker.queues[0].fallback.is_some(), "it says why");
    assert_eq!(
        worker.queues[1].queue,
        QueueIndex::new(1).expect("a small index")
    );
    assert_conserved(&stop(engine));
}

#[test]
fn every_wait_policy_carries_traffic() {
    if !require_privileges() {
        return;
    }
    for wait in [Wait::Adaptive, Wait::Poll, Wait::Spin] {
        let pair = Testbed::pair().expect("a pair");
        let mut client = PacketSocket::open(pair.client_interface()).expect("a socket");
        let (_inside, builder) = on_server(&pair, Attach::Auto);
        let engine = builder.wait(wait).start(|_| Reflect).expect("it starts");
        let frames = pair.udp_flow(4000, 7).sequenced(1, 64, 0..200);

        client
            .send_paced(&mut Pacer::per_second(2000).burst(1), frames)
            .expect("the link takes them");

        let returned = client
            .receive_count(200, SOON)
            .expect("the interface stays");
        assert_eq!(returned.len(), 200, "{wait:?}");
        assert_nothing_dropped(&stop(engine));
    }
}

/// Sends every frame to another thread.
struct Travel(std::sync::mpsc::Sender<wharf::DetachedFrame>);

impl Application for Travel {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        for frame in batch {
            self.0.send(frame.detach()).expect("the test listens");
        }
    }
}

#[test]
fn frames_on_another_thread_are_held_when_the_engine_stops_and_outlive_it() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let (travel, arrivals) = std::sync::mpsc::channel();
    let engine = builder
        .start(move |_| Travel(travel.clone()))
        .expect("it starts");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent: Vec<_> = pair.udp_flow(4000, 4433).sequenced(1, 64, 0..100).collect();

    sender.send_batch(&sent).expect("the link takes them");
    let arrive = |_| arrivals.recv_timeout(SOON).expect("it arrives");
    let mut frames: Vec<_> = (0..100).map(arrive).collect();
    drop(frames.drain(..40));
    let summary = stop(engine);

    assert_conserved(&summary);
    assert_eq!(summary.audits[0].detached, 60);
    let totals = summary.stats.totals();
    assert_eq!(totals.frames_in, 100);
    assert_eq!(totals.drops.get(DropReason::Application), 40);
    for (frame, bytes) in frames.iter().zip(&sent[40..]) {
        assert_eq!(frame[..], bytes[..], "the memory is still there");
    }
}

/// Sends frames faster than they go: the ring has room for few.
struct Burst;

impl Application for Burst {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        // One frame in, two hundred out, through a ring of 64.
        for frame in batch {
            for _ in 0..199 {
                if let Some(mut copy) = out.allocate() {
                    let len = u32::try_from(frame.len()).expect("a frame is short");
                    let bytes = copy.grow_back(len).expect("a chunk holds a frame");
                    bytes.copy_from_slice(&frame);
                    out.send(copy, InterfaceId(0));
                }
            }
            out.send(frame, InterfaceId(0));
        }
    }
}

#[test]
fn frames_that_find_the_ring_full_are_dropped_and_counted() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, Attach::Auto);
    let ring = RingCapacity::new(64).expect("a power of two");
    let engine = builder.ring_size(ring).start(|_| Burst).expect("it starts");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let flow = unanswered(pair.udp_flow(4000, 4433));

    sender
        .send(&flow.frame(b"one of many"))
        .expect("the link takes it");
    wait_for_frames_in(&engine, 1);
    let summary = stop(engine);

    assert_conserved(&summary);
    let totals = summary.stats.totals();
    assert_eq!((totals.frames_in, totals.frames_made), (1, 199));
    assert_eq!(totals.tx_frames, 64);
    assert_eq!(totals.drops.get(DropReason::TxRingFull), 136);
}

/// Sends frames across, a few at a time and slowly.
struct Slow;

impl Application for Slow {
    fn receive(&mut self, batch: Batch<'_>, out: &mut Outbox<'_>) {
        // Stands for work; nothing is assumed of how long it takes.
        std::thread::sleep(Duration::from_millis(1));
        batch
            .take(4)
            .for_each(|frame| out.send(frame, InterfaceId(1)));
    }
}

#[test]
fn frames_that_have_arrived_are_handled_before_the_engine_stops() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().expect("a wire");
    let (_inside, builder) = on_wire(&wire, Attach::Auto);
    let engine = builder.start(|_| Slow).expect("it starts");
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 64, 0..400).collect();

    sender.send_batch(&frames).expect("the link takes them");
    wait_for_frames_in(&engine, 400);
    let summary = stop(engine);

    assert_nothing_dropped(&summary);
    assert_eq!(summary.stats.totals().tx_frames, 400);
}
