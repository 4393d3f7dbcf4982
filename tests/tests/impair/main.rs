//! `wharf forward --impair` and `wharf impair`: what an impairment does to real traffic,
//! and that nothing of it is lost in silence.

mod changes;
mod ends;
mod limits;
mod links;
mod traffic;

use std::time::Duration;

use serde_json::Value;
use wharf_testbed::{PacketSocket, Testbed, UdpFlow, Wire, require_privileges};
use wharf_tests::{SOON, number, quiet_flow};

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// A flow from the client that no stack answers.
fn there(wire: &Wire) -> UdpFlow {
    quiet_flow(wire, 4000)
}

/// Sends so many frames from the client, at a rate that any machine forwards.
fn send(wire: &Wire, count: u64) {
    let sender = PacketSocket::sender(wire.client_interface()).expect("a socket");
    let frames: Vec<_> = there(wire).sequenced(1, 100, 0..count).collect();
    for burst in frames.chunks(64) {
        sender.send_batch(burst).expect("the link takes them");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The frames that arrive at the server until `count` have.
fn receive(receiver: &mut PacketSocket, count: u64) -> Vec<Vec<u8>> {
    let count = usize::try_from(count).expect("a small number");
    let frames = receiver.receive_count(count, SOON);
    frames.expect("they are read")
}

fn receiver(wire: &Wire) -> PacketSocket {
    PacketSocket::open_promiscuous(wire.server_interface()).expect("a socket")
}

/// What impairments did to frames from the client, as the last line of a run or a
/// listing says.
fn did(object: &Value, what: &str) -> u64 {
    let directions = object.get("impairments").unwrap_or(&object["directions"]);
    number(&directions[0], what)
}
