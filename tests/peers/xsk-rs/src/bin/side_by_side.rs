//! Measures xsk-rs and Wharf side by side: the same frames over the same kind of
//! veth pair, in one run, in turns.
//!
//! A packet socket sends; the end that is measured receives the frames, or
//! sends them back. Senders are slower than either library, so frames a second
//! say little, and the CPU time of the measured thread for a frame says it: the
//! kernel's part of receiving runs on the sender's time, the kernel's part of
//! sending on the thread's own.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wharf::Attach;
use wharf_peer_xsk_rs::{Patience, Peer, Program, Station, WINDOW};
use wharf_testbed::{PacketSocket, Pair, Testbed};

/// Rounds: each measures every case once. Odd, so that there is a median.
const ROUNDS: usize = 9;

/// Frames of a measurement, of 64 bytes of payload each.
const FRAMES: u64 = 200_000;

/// Frames sent by one system call.
const BURST: usize = 32;

const MOMENT: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum Library {
    XskRs,
    Wharf,
}

#[derive(Clone, Copy, Debug)]
enum Task {
    Receive,
    Reflect,
}

const CASES: [(Task, Library); 4] = [
    (Task::Receive, Library::XskRs),
    (Task::Receive, Library::Wharf),
    (Task::Reflect, Library::XskRs),
    (Task::Reflect, Library::Wharf),
];

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Measured {
    frames_per_second: f64,
    cpu_ns_per_frame: f64,
}

fn main() {
    println!(
        "{}, {} CPUs, Linux {}, veth, native XDP, copy mode; {FRAMES} frames, medians of {ROUNDS} rounds",
        cpu_model(),
        thread::available_parallelism().map_or(0, usize::from),
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim(),
    );
    let mut rounds: Vec<[Measured; CASES.len()]> = Vec::new();
    for round in 0..ROUNDS {
        let mut measured = CASES.map(|_| None);
        // Whoever comes first in one round comes last in the next.
        let order = 0..CASES.len();
        let order: Vec<_> = if round % 2 == 0 {
            order.collect()
        } else {
            order.rev().collect()
        };
        for case in order {
            let (task, library) = CASES[case];
            measured[case] = Some(measure(task, library));
        }
        rounds.push(measured.map(|measured| measured.expect("each case was measured")));
    }
    println!("task     library   frames/s (least to most)      CPU ns/frame (least to most)");
    for (case, (task, library)) in CASES.into_iter().enumerate() {
        // Least, median, most.
        let spread = |of: fn(Measured) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(|round| of(round[case])).collect();
            values.sort_by(f64::total_cmp);
            (values[0], values[ROUNDS / 2], values[ROUNDS - 1])
        };
        let rate = spread(|measured| measured.frames_per_second);
        let cpu = spread(|measured| measured.cpu_ns_per_frame);
        let (task, library) = (format!("{task:?}"), format!("{library:?}"));
        let range = |(least, _, most)| format!("({least:.0} to {most:.0})");
        println!(
            "{task:8} {library:8} {:9.0} {:20} {:7.0} {}",
            rate.1,
            range(rate),
            cpu.1,
            range(cpu),
        );
    }
}

fn measure(task: Task, library: Library) -> Measured {
    let pair = Testbed::pair().expect("root, for a pair of hosts");
    let arrived = AtomicU64::new(0);
    let (ready, is_ready) = mpsc::channel();
    thread::scope(|scope| {
        let (pair, arrived) = (&pair, &arrived);
        let measuring = scope.spawn(move || match library {
            Library::XskRs => {
                let interface = pair.client_interface();
                let mut peer = Peer::open(interface, Program::Libxdp).expect("xsk-rs binds");
                ready.send(()).expect("the sender waits");
                let measured = match task {
                    Task::Receive => count(arrived, || peer.receive(MOMENT, |_| ())),
                    Task::Reflect => count(arrived, || peer.reflect(MOMENT)),
                };
                peer.settle();
                measured
            }
            Library::Wharf => {
                let mut station = Station::open(pair.client_interface(), Attach::Native);
                ready.send(()).expect("the sender waits");
                let (measured, sent) = match task {
                    Task::Receive => (count(arrived, || station.receive(MOMENT, |_| ())), 0),
                    Task::Reflect => (count(arrived, || station.reflect(MOMENT)), FRAMES),
                };
                station.settle(FRAMES, sent);
                measured
            }
        });
        is_ready.recv().expect("it comes up");
        send(pair, arrived);
        measuring.join().expect("it measures")
    })
}

/// Sends all frames, no more than the window ahead of `arrived`.
fn send(pair: &Pair, arrived: &AtomicU64) {
    let frame = pair.udp_flow(4000, 4433).reversed().frame(&[0xa5; 64]);
    let burst = vec![frame; BURST];
    let sender = PacketSocket::sender(pair.server_interface()).expect("a socket");
    let mut patience = Patience::new("frames sent do not arrive");
    let mut sent = 0;
    while sent < FRAMES {
        let on_their_way = sent - arrived.load(Ordering::Relaxed);
        if on_their_way + BURST as u64 > WINDOW {
            patience.check();
            thread::yield_now();
            continue;
        }
        patience.renew();
        sender.send_batch(&burst).expect("the link takes them");
        sent += BURST as u64;
    }
}

/// Calls `work` until it has had all frames.
fn count(arrived: &AtomicU64, mut work: impl FnMut() -> u64) -> Measured {
    let mut patience = Patience::new("frames do not arrive");
    // The first frames tell that the sender is there.
    let mut count = 0;
    while count == 0 {
        patience.check();
        count = work();
    }
    arrived.fetch_add(count, Ordering::Relaxed);
    let first = count;
    let (started, cpu_before) = (Instant::now(), thread_cpu_time());
    while count < FRAMES {
        let frames = work();
        if frames > 0 {
            patience.renew();
        }
        patience.check();
        count += frames;
        arrived.fetch_add(frames, Ordering::Relaxed);
    }
    let cpu = thread_cpu_time() - cpu_before;
    let frames = as_f64(count - first);
    Measured {
        frames_per_second: frames / started.elapsed().as_secs_f64(),
        cpu_ns_per_frame: cpu.as_secs_f64() * 1e9 / frames,
    }
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("CPU time is not negative")
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("a few frames"))
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .and_then(|rest| rest.split_once(':'))
        .map(|(_, model)| model.trim());
    model.unwrap_or("unknown CPU").to_owned()
}
