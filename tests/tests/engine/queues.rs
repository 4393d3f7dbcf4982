//! Queues and workers: who drives what.

use super::*;

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
    assert_eq!(summary.stats.xsks.len(), 2 * queues as usize);
    Some(summary)
}

#[test]
fn several_queues_are_driven_by_one_worker() {
    let Some(summary) = across_queues(4, 1) else {
        return;
    };

    let busy = summary
        .stats
        .xsks
        .iter()
        .filter(|xsk| xsk.counters.rx_frames > 0)
        .count();
    assert!(busy > 1, "the flows were spread: {:?}", summary.stats.xsks);
}

#[test]
fn several_queues_are_driven_by_several_workers() {
    let Some(summary) = across_queues(4, 2) else {
        return;
    };

    for worker in 0..2 {
        let frames = summary.stats.worker_totals(worker).rx_frames;
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
