//! What safe code may exchange, on real interfaces: each xsk and each queue stays what
//! it is, and what was sent goes out as it was written.
#![forbid(unsafe_code)]

use std::mem::swap;

use wharf::{
    Amount, Attach, Frame, Interface, Limits, NicQueue, QueueIndex, RingCapacity, Steering,
    SteeringConfig, SteeringErrorKind, Umem, UmemConfig, Xsk, XskConfig, XskIndex,
};
use wharf_testbed::{PacketSocket, Testbed, Wire, require_privileges};
use wharf_tests::{SOON, assert_all_home, in_both_modes, quiet_flow, wait_until};

in_both_modes! {
    exchanged_sending_views_leave_each_queue_its_rings,
    exchanged_xsks_and_sockets_in_the_wrong_steering_are_harmless,
}

/// Chunks of the UMEM: some are left when all fill rings are full.
const CHUNKS: u32 = 1024;

/// An xsk of queue 0 of an interface. Fields drop in the order that the docs ask for.
struct Side {
    steering: Steering,
    queue: NicQueue,
    xsk: Xsk,
}

impl Side {
    fn bind(umem: &Umem, interface: &str, attach: Attach) -> Self {
        let interface = Interface::by_name(interface).expect("it exists");
        let mut steering = Steering::attach(&interface, attach, 1, &SteeringConfig::default())
            .expect("it attaches");
        let config = XskConfig {
            xsks: 2,
            limits: Limits {
                chunks: Some(Amount::Frames(CHUNKS / 4)),
                ..Limits::default()
            },
            ..XskConfig::new(RingCapacity::new(256).expect("a power of two"))
        };
        let queue = NicQueue::new(umem, &interface, QueueIndex::new(0).expect("small"));
        let (xsk, _) = queue.bind(&config).expect("it binds");
        steering.insert(&xsk).expect("there is a slot");
        Self {
            steering,
            queue,
            xsk,
        }
    }
}

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

fn umem() -> Umem {
    Umem::new(&UmemConfig::new(CHUNKS)).expect("there is memory")
}

fn made(umem: &Umem, bytes: &[u8]) -> Frame {
    let mut frame = umem.allocate().expect("a free chunk");
    let len = u32::try_from(bytes.len()).expect("short");
    frame.grow_back(len).expect("room").copy_from_slice(bytes);
    frame
}

/// Sends what `xsk` has, and waits until it has come back.
fn flush(xsk: &mut Xsk) {
    wait_until("the kernel sends", SOON, || {
        xsk.wake().expect("the interface is up");
        xsk.tx().complete();
        xsk.in_flight() == 0
    });
}

/// Issue 8: the sending halves of two xsks exchanged, an xsk added to each queue, the
/// first of one dropped, and all chunks that are free written to.
fn exchanged_sending_views_leave_each_queue_its_rings(attach: Attach) {
    let Some(wire) = wire() else { return };
    let mut receiver = PacketSocket::open(wire.server_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 500, 0..2).collect();
    let _inside = wire.forwarder().enter().expect("the host lives");
    let umem = umem();
    let mut left = Side::bind(&umem, "left", attach);
    let mut right = Side::bind(&umem, "right", attach);

    {
        let (mut by_left, mut by_right) = (left.xsk.tx(), right.xsk.tx());
        swap(&mut by_left, &mut by_right);
        let sent = by_left.transmit(made(&umem, &frames[0]));
        sent.expect("an empty ring");
        by_left.publish();
        assert_eq!((by_left.pending(), by_right.pending()), (1, 0));
    }
    let (mut left_2, _) = left.queue.share().expect("the kernel shares");
    let (mut right_2, _) = right.queue.share().expect("the kernel shares");
    drop(left);

    assert_eq!(left_2.tx().complete() + right_2.tx().complete(), 0);
    assert_eq!((right.xsk.in_flight(), right.xsk.tx().pending()), (1, 1));
    let mut free: Vec<_> = std::iter::from_fn(|| umem.allocate()).collect();
    for frame in &mut free {
        frame.grow_back(500).expect("room").fill(0xee);
    }
    drop(free);
    flush(&mut right.xsk);
    right_2.transmit(made(&umem, &frames[1])).expect("room");
    flush(&mut right_2);
    left_2.transmit(made(&umem, &frames[1])).expect("room");
    flush(&mut left_2);

    let arrived = receiver.receive_count(2, SOON).expect("it stays");
    assert_eq!(arrived, frames);
    let all = [&right.xsk, &left_2, &right_2].map(Xsk::violations);
    assert_eq!(all, [0, 0, 0]);
    drop(left_2);
    assert_all_home(&umem);
}

fn exchanged_xsks_and_sockets_in_the_wrong_steering_are_harmless(attach: Attach) {
    let Some(wire) = wire() else { return };
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = quiet_flow(&wire, 4000).sequenced(1, 500, 0..20).collect();
    let _inside = wire.forwarder().enter().expect("the host lives");
    let umem = umem();
    let mut left = Side::bind(&umem, "left", attach);
    let mut right = Side::bind(&umem, "right", attach);

    swap(&mut left.xsk, &mut right.xsk);
    for side in [&mut left, &mut right] {
        let refused = side.steering.insert(&side.xsk).expect_err("of another");
        assert!(matches!(
            refused.kind(),
            SteeringErrorKind::OtherInterface { .. }
        ));
        let socket = side.xsk.socket().expect("it is bound");
        let forced = side.steering.insert_fd(0, XskIndex(0), socket);
        forced.expect("there is a slot");
    }
    sender.send_batch(&frames).expect("the link takes them");
    wait_until("frames are steered", SOON, || {
        left.steering.counts(0).expect("a slot").redirected == 20
    });

    // The kernel gives no xsk the frames of another queue.
    for xsk in [&mut left.xsk, &mut right.xsk] {
        assert_eq!((xsk.receive(64).count(), xsk.violations()), (0, 0));
    }
    swap(&mut left.xsk, &mut right.xsk);
    left.steering.insert(&left.xsk).expect("its own");
    sender.send_batch(&frames).expect("the link takes them");
    let mut received = Vec::new();
    wait_until("frames come", SOON, || {
        received.extend(left.xsk.receive(64).map(|frame| frame.to_vec()));
        left.xsk.recycle();
        received.len() == 20
    });
    assert_eq!(received, frames);
    assert_all_home(&umem);
}
