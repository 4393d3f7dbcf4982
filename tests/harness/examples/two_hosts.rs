//! Two hosts joined by a link: a ping, then a thousand frames counted and
//! checked one by one.
//!
//! ```sh
//! sudo -E cargo run --example two_hosts -p wharf-testbed
//! ```

use std::process::ExitCode;
use std::time::Duration;

use wharf_testbed::{
    FlowChecker, Pacer, PacketSocket, Result, SERVER_IPV4, Testbed, require_program,
};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("two_hosts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    // Everything made here goes when `pair` is dropped, or the process killed.
    let pair = Testbed::options().queues(2).pair()?;
    let hint = pair.client().namespace_path();
    println!("look around with: nsenter --net={} ip addr", hint.display());

    if require_program("ping") {
        let mut ping = pair.client().command("ping");
        ping.args(["-c", "3", "-i", "0.2", &SERVER_IPV4.to_string()]);
        print!("{}", ping.run_checked(Duration::from_secs(10))?);
    }

    const FRAMES: u64 = 1000;
    let mut receiver = PacketSocket::open(pair.server_interface())?;
    let sender = PacketSocket::sender(pair.client_interface())?;
    let frames = pair.udp_flow(4000, 4433).sequenced(1, 200, 0..FRAMES);
    sender.send_paced(&mut Pacer::per_second(10_000), frames)?;

    let mut checker = FlowChecker::new();
    checker.expect(1, FRAMES);
    for frame in receiver.receive_count(1000, Duration::from_secs(5))? {
        checker.observe_frame(&frame);
    }
    println!("flow 1: {}", checker.report(1));
    println!("client: {:?}", pair.client_interface().counters()?);
    Ok(checker.report(1).is_perfect())
}
