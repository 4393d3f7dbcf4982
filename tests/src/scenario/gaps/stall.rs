//! Frames that stay in the kernel after they were sent, until they are let go.

use wharf_testbed::{Host, Link, require_program};

use super::Track;
use crate::{SOON, wait_until};

/// In the place of the track's near interface, a bridge to a link that sends next to
/// nothing: what is sent waits in a queue there, still charged to the xsk. (A frame
/// that some stack receives is charged to its sender no longer.) A bridge has
/// generic XDP only.
#[derive(Debug)]
pub(super) struct Stall<'a> {
    host: &'a Host,
    _sink: Link,
}

impl<'a> Stall<'a> {
    /// Builds it. `None` says that the case is skipped.
    pub(super) fn new(track: &'a Track) -> Option<Self> {
        if !require_program("ip") || !require_program("tc") {
            return None;
        }
        let pair = track.pair().expect("a veth pair");
        pair.link().delete().expect("it can be deleted");
        let host = pair.client();
        let sink = Link::between(host, host).names("sink", "drain").create();
        let stall = Self {
            host,
            _sink: sink.expect("a link"),
        };
        for command in [
            "ip link add eth0 type bridge",
            "ip link set eth0 up",
            "ip link set sink master eth0",
            // One frame at the most goes at once, and the next in minutes.
            "tc qdisc replace dev sink root tbf rate 80bit burst 1600 limit 10000000",
        ] {
            stall.run(command);
        }
        // A port forwards a moment after its link is up.
        wait_until("the port forwards", SOON, || {
            let ports = stall.run("ip -details link show master eth0");
            ports.matches("bridge_slave state forwarding").count() == 1
        });
        Some(stall)
    }

    /// Lets all go that was held back, and no more is.
    pub(super) fn release(&self) {
        self.run("tc qdisc replace dev sink root pfifo");
    }

    fn run(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command has a name");
        let mut command = self.host.command(program);
        command.args(words);
        command.run_checked(SOON).expect("it does what it is told")
    }
}
