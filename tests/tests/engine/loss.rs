//! Frames that get lost, and the counters that have them.

use super::*;

in_both_modes! {
    frames_to_a_far_end_that_is_down_are_counted_one_by_one,
    hoarding_application_leaves_the_kernel_its_floor_and_is_accounted_for,
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
    // Not all of them: the first may come before the chunks are lent again.
    wait_until("frames come again", SOON, || {
        let totals = engine.stats().totals();
        totals.rx_frames + refused_by_kernel(&totals.drops) >= 1100
    });
    let again = engine.stats().totals().rx_frames - received;
    assert!(again > 0, "none came");

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
