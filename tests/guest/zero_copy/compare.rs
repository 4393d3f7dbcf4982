//! The same bursts through `wharf forward` in zero copy, native copy and generic,
//! and straight from one end to the other without it.
//!
//! As a case, it shows that each mode is what was asked for and loses nothing.
//! `compare.sh` makes it say what a frame costs, on a machine of one CPU whose
//! clock counts instructions. All that runs there is counted: the forwarder, the
//! kernel on its behalf, interrupts, and the two ends. These are the same in all
//! modes, in zero copy, and are what the straight way costs.
//!
//! A burst is sent at once and waited for, asleep, so that batches are as large in
//! one mode as in another, and nobody spins.

use std::io::Write;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wharf::Attach;

use crate::busy::Mark;
use crate::end::{End, flow};
use crate::wire::GuestWire;
use crate::{LIMIT, NICS};

/// One way from an end to the other.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// `--mode` and `--attach` of the forwarder, if there is one.
    forward: Option<(&'static str, Attach)>,
}

const WAYS: [Way; 4] = [
    Way {
        name: "straight",
        forward: None,
    },
    Way {
        name: "zero-copy",
        forward: Some(("zero-copy", Attach::Native)),
    },
    Way {
        name: "copy",
        forward: Some(("copy", Attach::Native)),
    },
    Way {
        name: "generic",
        forward: Some(("copy", Attach::Generic)),
    },
];

/// Frames of a burst: one NAPI poll, and one batch of the forwarder.
const BURST: usize = 64;
/// Bursts before those that count.
const WARM_UP: usize = 10;
/// Bytes of UDP payload: the shortest frame and the longest, 60 and 1514 bytes.
const PAYLOADS: [usize; 2] = [18, 1472];
/// Says how many rounds to run, and thereby that their cost is wanted.
const ROUNDS: &str = "WHARF_COMPARE_ROUNDS";

#[test]
fn every_mode_is_the_one_asked_for_and_carries_the_same_bursts() {
    let rounds = std::env::var(ROUNDS).ok();
    let measured = rounds.is_some();
    let bursts = if measured { 100 } else { 5 };
    let rounds = rounds.map_or(1, |text| text.parse().expect("a number of rounds"));
    let wire = GuestWire::new();

    for _ in 0..rounds {
        for way in WAYS {
            run(&wire, way, bursts, measured);
        }
    }
}

/// Sends bursts of each length one way, checks the forwarder's account, and says
/// what they cost if it is measured.
fn run(wire: &GuestWire, way: Way, bursts: usize, measured: bool) {
    let mut near = wire.end(NICS[0]);
    let mut far = wire.end(if way.forward.is_some() {
        NICS[3]
    } else {
        NICS[1]
    });
    let forward = way.forward.map(|(mode, attach)| {
        let options = [
            "--mode", mode, "--queues", "1", "--cpus", "0", "--wait", "poll",
        ];
        wire.forward_as(attach, &options)
    });

    for payload in PAYLOADS {
        let frame = flow().sequenced(1, payload, 0..1).next().expect("one");
        for _ in 0..WARM_UP {
            burst(&mut near, &mut far, &frame);
        }
        let start = Mark::now();
        for _ in 0..bursts {
            burst(&mut near, &mut far, &frame);
        }
        if measured {
            let busy = start.busy_ns();
            // Past the test harness, which keeps what passing tests print.
            let _ = writeln!(
                std::io::stderr(),
                "@@COST {} {} {} {busy}",
                way.name,
                frame.len(),
                bursts * BURST
            );
        }
    }

    let Some(forward) = forward else { return };
    let report = forward.stop();
    report.assert_nothing_dropped();
    let frames = PAYLOADS.len() * (WARM_UP + bursts) * BURST;
    assert_eq!(report.total("tx_frames"), frames as u64);
    let (mode, attach) = way.forward.expect("there is a forwarder");
    let attach = if attach == Attach::Native {
        "native"
    } else {
        "generic"
    };
    let setup = &report.summary["setup"];
    for interface in setup["interfaces"].as_array().expect("interfaces") {
        assert_eq!(interface["attach"], attach, "{setup}");
    }
    for queue in setup["workers"][0]["queues"].as_array().expect("queues") {
        assert_eq!(queue["mode"], mode, "{setup}");
    }
}

/// Sends a burst and sleeps until all of it has arrived.
fn burst(near: &mut End, far: &mut End, frame: &[u8]) {
    for _ in 0..BURST {
        near.transmit(frame);
    }
    near.queue.wake().expect("the interface is up");
    let limit = Timespec::try_from(LIMIT).expect("short");
    let mut arrived = 0;
    while arrived < BURST {
        let socket = far.queue.socket().expect("it is bound");
        let mut ready = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        let events = poll(&mut ready, Some(&limit)).expect("the socket is open");
        assert_eq!(events, 1, "{arrived} of {BURST} arrived: {near:?}, {far:?}");
        for got in far.queue.receive(64) {
            assert_eq!(got.len(), frame.len());
            arrived += 1;
        }
        far.queue.recycle();
    }
    near.queue.recycle();
}
