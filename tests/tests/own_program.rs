//! An XDP program of the user's own: the way there that `Xsk` documents, as the
//! example goes it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wharf::Frame;
use wharf_testbed::{PacketSocket, Testbed, require_privileges};
use wharf_tests::scenario::Object;
use wharf_tests::{SOON, assert_no_program, unanswered};

#[path = "../../engine/examples/own_program.rs"]
#[expect(dead_code, reason = "its main function")]
mod example;

#[test]
fn example_receives_through_the_users_program_and_leaves_none() {
    const FRAMES: usize = 50;
    if !require_privileges() {
        return;
    }
    let pair = Testbed::pair().expect("a pair");
    let sender = PacketSocket::sender(pair.client_interface()).expect("a socket");
    let sent = unanswered(pair.udp_flow(4000, 4433)).frame(b"for the user's own program");
    let (mut numbers, mut received) = (Vec::new(), Vec::new());
    let is_done = AtomicBool::new(false);
    let deadline = Instant::now() + SOON;

    let take = |frame: &Frame| {
        let number = frame.metadata(8).and_then(|bytes| bytes.last_chunk());
        numbers.push(u32::from_ne_bytes(*number.expect("there is headroom")));
        received.push(frame.to_vec());
        if received.len() < FRAMES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) && Instant::now() < deadline {
                let one = std::slice::from_ref(&sent);
                sender.send_batch(one).expect("the link takes it");
                thread::sleep(Duration::from_millis(2));
            }
        });
        let run = || example::receive("eth0", Object::METADATA.0, "number_one", "xsks", take);
        let outcome = pair
            .server()
            .run(|| run().map_err(|error| error.to_string()));
        is_done.store(true, Ordering::Relaxed);
        outcome
    });

    let (counters, kernel) = outcome.expect("it runs");
    assert_eq!((counters.frames, kernel.rx_dropped), (FRAMES as u64, 0));
    assert!(received.iter().all(|frame| *frame == sent), "{received:x?}");
    // The first frames may have come before the socket was in its slot.
    let consecutive = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    assert!(consecutive, "{numbers:?}");
    assert_no_program(pair.server_interface());
}
