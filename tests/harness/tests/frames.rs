//! Frames in and out of real interfaces.

use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use wharf_testbed::{
    CLIENT_IPV4, FlowChecker, FrameError, MacAddress, Offload, Pacer, PacketSocket, SERVER_IPV4,
    Switch, Testbed, UdpFrame, require_privileges,
};

const SOON: Duration = Duration::from_secs(10);
const BRIEF: Duration = Duration::from_millis(50);

#[test]
fn frames_of_all_sizes_arrive_unchanged() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let flow = pair.udp_flow(4000, 4433);
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let mut receiver = PacketSocket::open(pair.server_interface()).unwrap();
    let payloads = (0..=1472).map(|length| vec![0xa5; length]);
    let frames: Vec<_> = payloads.map(|payload| flow.frame(&payload)).collect();

    sender.send_batch(&frames).unwrap();

    let received = receiver.receive_count(frames.len(), SOON).unwrap();
    assert_eq!(received, frames);
    assert_eq!(receiver.receive(BRIEF).unwrap(), None);
    assert_eq!(receiver.kernel_drops().unwrap(), 0);
}

#[test]
fn vlan_tags_survive_reception() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let frame = pair.udp_flow(1, 2).vlan(42).frame(b"tagged");
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let mut receiver = PacketSocket::open(pair.server_interface()).unwrap();

    sender.send(&frame).unwrap();

    assert_eq!(receiver.receive(SOON).unwrap(), Some(frame));
}

#[test]
fn receiver_sees_neither_its_own_frames_nor_other_interfaces() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().unwrap();
    let frame = wire.udp_flow(1, 2).frame(b"to the left");
    let mut left = PacketSocket::open_promiscuous(wire.left()).unwrap();
    let mut right = PacketSocket::open_promiscuous(wire.right()).unwrap();
    let mut client = PacketSocket::open(wire.client_interface()).unwrap();

    client.send(&frame).unwrap();

    assert_eq!(left.receive(SOON).unwrap(), Some(frame));
    assert_eq!(right.receive(BRIEF).unwrap(), None);
    assert_eq!(client.receive(BRIEF).unwrap(), None);
}

#[test]
fn breaking_early_keeps_the_rest_for_later() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let frames: Vec<_> = pair.udp_flow(1, 2).sequenced(1, 64, 0..10).collect();
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let mut receiver = PacketSocket::open(pair.server_interface()).unwrap();
    sender.send_batch(&frames).unwrap();

    let handed = receiver.receive_until(SOON, |_| ControlFlow::Break(()));

    assert_eq!(handed.unwrap(), 1);
    assert_eq!(receiver.receive_count(9, SOON).unwrap(), frames[1..]);
}

#[test]
fn flow_over_a_link_is_perfect() {
    if !require_privileges() {
        return;
    }
    const COUNT: u64 = 20_000;
    let pair = Testbed::pair().unwrap();
    let flow = pair.udp_flow(4000, 4433);
    let mut receiver = PacketSocket::open(pair.server_interface()).unwrap();
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let mut checker = FlowChecker::new();
    checker.expect(7, COUNT);

    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pacer = Pacer::per_second(1_000_000).burst(64);
            let frames = flow.sequenced(7, 100, 0..COUNT);
            assert_eq!(sender.send_paced(&mut pacer, frames).unwrap(), COUNT);
        });
        let mut seen = 0;
        receiver
            .receive_until(SOON, |frame| {
                checker.observe_frame(frame);
                seen += 1;
                if seen == COUNT {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
    });

    let report = checker.report(7);
    assert!(report.is_perfect(), "{report}");
    assert_eq!(receiver.kernel_drops().unwrap(), 0);
}

#[test]
fn pace_is_kept() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let frames = pair.udp_flow(1, 2).sequenced(1, 64, 0..100);
    let start = Instant::now();

    let sent = sender.send_paced(&mut Pacer::per_second(1000).burst(10), frames);

    assert_eq!(sent.unwrap(), 100);
    assert!(start.elapsed() >= Duration::from_millis(90));
    assert_eq!(pair.client_interface().counters().unwrap().tx_packets, 100);
}

/// What the stack sends with offloads off is what a raw reader wants to see;
/// with checksum offload on it is not. This is the trap links avoid.
#[test]
fn checksums_of_the_stack_are_complete_only_without_offload() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let mut receiver = PacketSocket::open(pair.server_interface()).unwrap();
    let socket = pair
        .client()
        .run(|| UdpSocket::bind((CLIENT_IPV4, 0)).unwrap());

    socket.send_to(b"summed", (SERVER_IPV4, 9)).unwrap();
    let summed = receiver.receive(SOON).unwrap().unwrap();
    pair.client_interface()
        .set_offload(Offload::TxChecksum, Switch::On)
        .unwrap();
    socket
        .send_to(b"left to hardware", (SERVER_IPV4, 9))
        .unwrap();
    let partial = receiver.receive(SOON).unwrap().unwrap();

    assert_eq!(UdpFrame::parse(&summed).unwrap().payload, b"summed");
    let error = UdpFrame::parse(&partial).unwrap_err();
    assert!(matches!(error, FrameError::UdpChecksum { .. }), "{error}");
}

#[test]
fn stack_accepts_built_frames() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let server = pair.server().run(|| {
        let socket = UdpSocket::bind((SERVER_IPV4, 4433)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    });
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();

    sender
        .send(&pair.udp_flow(4000, 4433).frame(b"hello"))
        .unwrap();

    let mut words = [0; 16];
    let (length, from) = server.recv_from(&mut words).unwrap();
    assert_eq!(&words[..length], b"hello");
    assert_eq!(from, (CLIENT_IPV4, 4000).into());
}

/// The end that was set up first drops what its stack sends until the kernel
/// has noticed the second. Several threads keep the rtnl lock busy, which delays
/// the noticing: without the wait, some of these datagrams are lost.
#[test]
fn first_datagram_after_carrier_is_not_lost() {
    if !require_privileges() {
        return;
    }
    let bind = |address, port| {
        let socket = UdpSocket::bind((address, port)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    };

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let pair = Testbed::pair().unwrap();
                let (near, far) = (pair.client_interface(), pair.server_interface());
                let client = pair.client().run(|| bind(CLIENT_IPV4, 0));
                let server = pair.server().run(|| bind(SERVER_IPV4, 4433));
                for _ in 0..100 {
                    near.set_down().unwrap();
                    far.set_down().unwrap();
                    near.set_up().unwrap();
                    // Setting it down made it forget.
                    near.add_neighbour(SERVER_IPV4, far.mac()).unwrap();
                    far.set_up().unwrap();

                    near.wait_for_carrier(SOON).unwrap();
                    client.send_to(b"first", (SERVER_IPV4, 4433)).unwrap();

                    assert_eq!(server.recv(&mut [0; 16]).unwrap(), 5);
                }
            });
        }
    });
}

#[test]
fn strangers_frames_are_received_and_promiscuity_ends_with_the_socket() {
    if !require_privileges() {
        return;
    }
    let wire = Testbed::wire().unwrap();
    let stranger = MacAddress([2, 9, 9, 9, 9, 9]);
    let frame = wire
        .udp_flow(1, 2)
        .macs(wire.client_interface().mac(), stranger)
        .frame(b"not for you");
    let sender = PacketSocket::sender(wire.client_interface()).unwrap();
    let mut plain = PacketSocket::open(wire.left()).unwrap();
    assert!(!wire.left().status().unwrap().is_promiscuous);
    let mut promiscuous = PacketSocket::open_promiscuous(wire.left()).unwrap();
    assert!(wire.left().status().unwrap().is_promiscuous);

    sender.send(&frame).unwrap();

    assert_eq!(plain.receive(SOON).unwrap(), Some(frame.clone()));
    assert_eq!(promiscuous.receive(SOON).unwrap(), Some(frame));
    drop(promiscuous);
    assert!(!wire.left().status().unwrap().is_promiscuous);
}

#[test]
fn refused_frames_are_errors() {
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().unwrap();
    let sender = PacketSocket::sender(pair.client_interface()).unwrap();
    let flow = pair.udp_flow(1, 2);

    let too_long = sender.send(&flow.frame(&[0; 2000])).unwrap_err();
    pair.client_interface().set_down().unwrap();
    let down = sender.send(&flow.frame(b"x")).unwrap_err();

    assert!(too_long.to_string().contains("MTU"), "{too_long}");
    assert!(down.to_string().contains("up first"), "{down}");
}
