//! Transmissions that are reported when they end, on a real kernel: each once, whatever
//! happens to the interface, the xsk and the engine meanwhile.
//!
//! What a `dam` is sent stays with the kernel: a bridge behind the veth hands frames to a
//! shaper that lets one through every four seconds, and a frame is the sender's still
//! while it waits there. The kernel does not let an interface go either, of whose frames
//! one waits anywhere; so that nothing of a case that fails stays for good, they are few.
//!
//! ```text
//!   host sender          host dam                        host sink
//!   up ── veth pair ── down ── bridge ── out ── veth pair ── in
//!                                         tbf
//! ```

mod aborted;
mod under_traffic;
mod watchdog;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use wharf::{Application, Batch, Completions, Frame, Idle, InterfaceId, Outbox, Outcome};
use wharf_testbed::{Host, Link, MacAddress, require_privileges};
use wharf_tests::SOON;

/// A veth end whose frames nobody lets go.
struct Dam {
    up: Link,
    _out: Link,
    sender: Host,
    dam: Host,
}

/// The interface that sends into the dam.
const UP: &str = "up";

impl Dam {
    /// `None` says that the case is skipped.
    fn new() -> Option<Self> {
        if !require_privileges() {
            return None;
        }
        let host = |name| Host::new(name).expect("a host");
        let (sender, dam, sink) = (host("sender"), host("dam"), host("sink"));
        let between = |near, far, names: (&str, &str)| {
            let link = Link::between(near, far).names(names.0, names.1);
            link.create().expect("a link")
        };
        let up = between(&sender, &dam, (UP, "down"));
        let out = between(&dam, &sink, ("out", "in"));
        let this = Self {
            up,
            _out: out,
            sender,
            dam,
        };
        this.ip("link add name br0 type bridge");
        this.ip("link set dev br0 up");
        this.ip("link set dev down master br0");
        this.ip("link set dev out master br0");
        // The first frame goes at once.
        this.tc("qdisc replace dev out root tbf rate 2kbit burst 1600 limit 100000");
        Some(this)
    }

    fn ip(&self, arguments: &str) {
        self.run("ip", arguments);
    }

    fn tc(&self, arguments: &str) {
        self.run("tc", arguments);
    }

    fn run(&self, program: &str, arguments: &str) {
        let mut command = self.dam.command(program);
        command.args(arguments.split(' '));
        command.run_checked(SOON).expect("a tool of iproute2");
    }

    /// Lets all frames go that wait.
    fn open(&self) {
        self.tc("qdisc replace dev out root pfifo");
    }
}

impl Drop for Dam {
    /// Before the links go, which the kernel would wait with.
    fn drop(&mut self) {
        self.open();
    }
}

/// Frames sent into the dam.
const FRAMES: u64 = 12;

/// Makes an empty frame one that the bridge sends on.
fn fill(frame: &mut Frame) {
    let bytes = frame.grow_back(1000).expect("a chunk has room");
    bytes[..6].copy_from_slice(&MacAddress([2, 0, 0, 0, 0, 9]).octets());
    bytes[6..12].copy_from_slice(&MacAddress([2, 0, 0, 0, 0, 1]).octets());
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
}

/// What was sent and what was reported, by cookie.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    sent: HashMap<u64, u32>,
    reported: HashMap<u64, u32>,
    aborted: u64,
    returned: u64,
}

impl Log {
    fn note_sent(&self, cookie: u64) {
        *self.lock().sent.entry(cookie).or_default() += 1;
    }

    fn note(&self, completions: Completions<'_>) {
        let mut counts = self.lock();
        for completion in completions {
            *counts.reported.entry(completion.cookie).or_default() += 1;
            counts.aborted += u64::from(completion.outcome == Outcome::Aborted);
            counts.returned += u64::from(completion.frame.is_some());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().expect("nobody panics with it")
    }

    fn sent(&self) -> u64 {
        self.lock().sent.values().copied().map(u64::from).sum()
    }

    fn reported(&self) -> u64 {
        self.lock().reported.values().copied().map(u64::from).sum()
    }

    /// Every cookie was reported as often as it was used.
    #[track_caller]
    fn assert_complete(&self) {
        let counts = self.lock();
        assert!(!counts.sent.is_empty(), "nothing was sent");
        let wrong: Vec<_> = counts
            .sent
            .iter()
            .filter(|(cookie, times)| counts.reported.get(cookie) != Some(times))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} cookies, such as {:?}",
            wrong.len(),
            wrong[0]
        );
        assert_eq!(
            counts.sent.len(),
            counts.reported.len(),
            "others were reported"
        );
    }
}

/// Sends frames that are reported on the only interface, `left` of them, of which every
/// second is to come back.
struct Send {
    left: u64,
    log: Log,
}

impl Application for Send {
    fn receive(&mut self, batch: Batch<'_>, _: &mut Outbox<'_>) {
        batch.for_each(drop);
    }

    fn completed(&mut self, completions: Completions<'_>, _: &mut Outbox<'_>) {
        self.log.note(completions);
    }

    fn idle(&mut self, out: &mut Outbox<'_>) -> Idle {
        let to = InterfaceId(0);
        while self.left > 0
            && out.room(to) > 0
            && let Some(mut frame) = out.allocate()
        {
            fill(&mut frame);
            let sent = if self.left.is_multiple_of(2) {
                out.try_send_returning(frame, self.left, to)
            } else {
                out.try_send_tagged(frame, self.left, to)
            };
            if sent.is_err() {
                break;
            }
            self.log.note_sent(self.left);
            self.left -= 1;
        }
        Idle::Sleep
    }
}
