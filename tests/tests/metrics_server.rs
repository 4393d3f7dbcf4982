//! `--metrics` beside clients that ask nothing: they keep nobody out, the thread
//! that serves them does not spin, and `wharf steer` gets its answers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use wharf::Attach;
use wharf_testbed::{Testbed, Wire, require_privileges, require_program};
use wharf_tests::{ControlDirectory, Forward, SOON, keep_sockets_apart, wait_until, wharf};

/// A forwarder that serves metrics and may have 256 descriptors.
struct Case {
    wire: Wire,
    control: ControlDirectory,
    forward: Forward,
}

/// The host is private, so no port is taken.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9100);

impl Case {
    fn new() -> Option<Self> {
        if !require_privileges() || !require_program("prlimit") {
            return None;
        }
        let wire = Testbed::wire().expect("a wire");
        let control = ControlDirectory::new();
        let mut command = wire.forwarder().command("prlimit");
        keep_sockets_apart(&mut command);
        command
            .env("WHARF_CONTROL_DIR", control.path())
            .arg("--nofile=256")
            .arg(wharf());
        let names = ["left", "right"];
        let metrics = ["--metrics", "127.0.0.1:9100"];
        let forward = Forward::start_between(command, names, Attach::Auto, &metrics);
        Some(Self {
            wire,
            control,
            forward,
        })
    }

    fn pid(&mut self) -> u32 {
        self.forward.process().id()
    }

    fn connect(&self) -> TcpStream {
        let address = SocketAddr::from(ADDRESS);
        let stream = self
            .wire
            .forwarder()
            .run(|| TcpStream::connect_timeout(&address, SOON))
            .expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("a limit");
        stream
    }

    fn idle_clients(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| self.connect()).collect()
    }

    /// What a scraper gets; nothing if it is cut.
    fn scrape(&self) -> String {
        let mut stream = self.connect();
        let mut reply = String::new();
        let request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        // Cut is an end as well.
        let _ = stream
            .write_all(request)
            .and_then(|()| stream.read_to_string(&mut reply));
        reply
    }

    /// The numbers of its open descriptors.
    fn descriptors(&mut self) -> BTreeSet<u64> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs");
        let names = open.map(|entry| entry.expect("a descriptor").file_name());
        let numbers = names.map(|name| name.to_string_lossy().parse().expect("a number"));
        numbers.collect()
    }

    /// Time on a CPU, in hundredths of a second, of the thread that serves metrics.
    fn server_ticks(&mut self) -> u64 {
        let tasks = format!("/proc/{}/task", self.pid());
        for task in fs::read_dir(tasks).expect("it runs") {
            let path = task.expect("a thread").path();
            let status = fs::read_to_string(path.join("stat")).unwrap_or_default();
            if let Some((_, numbers)) = status.split_once("(wharf-metrics) ") {
                let numbers: Vec<&str> = numbers.split(' ').collect();
                // `utime` and `stime` of proc_pid_stat(5), counted from `state`.
                return [11, 12]
                    .map(|at| numbers[at].parse::<u64>().expect("ticks"))
                    .iter()
                    .sum();
            }
        }
        panic!("no thread serves metrics");
    }
}

#[test]
fn idle_clients_take_no_descriptors_and_keep_nobody_out() {
    let Some(mut case) = Case::new() else { return };
    let before = case.descriptors().len();

    let idle = case.idle_clients(1500);

    for _ in 0..3 {
        let reply = case.scrape();
        assert!(reply.contains("wharf_rx_frames_total"), "{reply}");
    }
    let listing = case.control.listing();
    assert_eq!(listing["revision"], 1);
    let open = case.descriptors().len();
    assert!(open <= before + 40, "{open} descriptors, {before} before");
    drop(idle);
    let _ = case.forward.stop();
}

#[test]
fn server_without_descriptors_waits_and_goes_on_when_there_are_some() {
    let Some(mut case) = Case::new() else { return };
    let pid = Pid::from_raw(case.pid().cast_signed());
    let allow = |descriptors| {
        let limit = Rlimit {
            current: Some(descriptors),
            maximum: Some(256),
        };
        prlimit(pid, Resource::Nofile, limit).expect("root may");
    };
    let open = case.descriptors();
    // New ones get the lowest free number, which has to be below the limit.
    let free = (0..).find(|number| !open.contains(number));
    allow(free.expect("there are fewer than 256"));
    // One waits to be accepted for as long as this takes.
    let _idle = case.idle_clients(64);
    let before = case.server_ticks();

    // It says why instead of leaving the client without an answer.
    let refused = case.control.try_steer(&["list"]);
    std::thread::sleep(Duration::from_secs(2));
    let used = case.server_ticks() - before;

    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no file descriptor left"), "{errors}");
    assert!(used < 50, "it spins: {used} hundredths of 2 s");
    allow(256);
    wait_until("metrics are served again", SOON, || {
        case.scrape().contains("wharf_rx_frames_total")
    });
    assert_eq!(case.control.listing()["revision"], 1);
    let _ = case.forward.stop();
}
