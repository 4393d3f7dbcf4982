//! What the stack makes of passed frames.

use std::net::UdpSocket;
use std::process::Command;

use wharf_testbed::{SERVER_IPV4, Testbed, require_privileges};
use wharf_tests::{SOON, connect, listen};

use super::*;

in_both_modes! {
    datagrams_are_in_the_socket_once_each_and_in_order,
    tcp_connects_and_talks,
    echo_requests_are_answered,
}

fn datagrams_are_in_the_socket_once_each_and_in_order(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let application = PassAll::default();
    let seen = Arc::clone(&application.0);
    let engine = builder
        .start(move |_| application.clone())
        .expect("it starts");
    let server = UdpSocket::bind((SERVER_IPV4, 7)).expect("the port is free");
    server.set_read_timeout(Some(SOON)).expect("a bound");
    let client = pair.client().run(|| UdpSocket::bind("0.0.0.0:4000"));
    let client = client.expect("the port is free");
    client.connect((SERVER_IPV4, 7)).expect("a route");

    for number in 0..2000_u32 {
        client.send(&number.to_ne_bytes()).expect("it is sent");
        let mut bytes = [0; 100];
        let len = server.recv(&mut bytes).expect("it arrives");
        assert_eq!(bytes[..len], number.to_ne_bytes());
    }

    assert_eq!(seen.load(Ordering::Relaxed), 2000, "each came up once");
    stop(engine, 2000);
}

fn tcp_connects_and_talks(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");
    let listener = listen(pair.server(), SERVER_IPV4, 80);

    let mut connection = connect(pair.client(), &listener, SOON).expect("it connects");

    for _ in 0..100 {
        assert!(connection.works(SOON));
    }
    drop(connection);
    let summary = engine.stop();
    assert_conserved(&summary);
    assert_eq!(summary.stats.totals().drops.total(), 0);
}

fn echo_requests_are_answered(attach: Attach) {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let (_inside, builder) = on_server(&pair, attach);
    let engine = builder.start(|_| PassAll::default()).expect("it starts");

    let address = SERVER_IPV4.to_string();
    let ping = pair.client().run(|| {
        Command::new("ping")
            .args(["-q", "-c", "50", "-i", "0.002", "-s", "1400", &address])
            .output()
    });

    let ping = ping.expect("ping is installed");
    let said = String::from_utf8_lossy(&ping.stdout);
    assert!(said.contains(" 50 received"), "{said}");
    stop(engine, 50);
}
