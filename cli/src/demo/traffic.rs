//! What client and server send each other: TCP, UDP and ICMP echo, at once.

use std::thread;

use serde::Serialize;
use wharf_testbed::Wire;

use super::clock::Clock;
use super::echo::{self, EchoReport};
use super::tcp::{self, TcpReport};
use super::udp::{self, UdpReport};

/// What became of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    pub tcp: TcpReport,
    pub udp: UdpReport,
    pub echo: EchoReport,
}

/// Sends until the clock is over, and waits for what is still on its way.
pub fn run(wire: &Wire, clock: &Clock<'_>) -> Traffic {
    thread::scope(|scope| {
        let tcp = scope.spawn(|| tcp::run(wire, clock));
        let udp = scope.spawn(|| udp::run(wire, clock));
        let echo = scope.spawn(|| echo::run(wire, clock));
        let broken = "a traffic thread returns its errors";
        Traffic {
            tcp: tcp.join().expect(broken),
            udp: udp.join().expect(broken),
            echo: echo.join().expect(broken),
        }
    })
}
