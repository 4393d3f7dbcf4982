//! What an engine is given, and what it says it got.

use super::*;

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
        (worker.cpu, worker.chunks, worker.memory.bytes),
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
