//! Zero copy, on NICs whose driver does it: virtio_net from Linux 6.17 or so, in
//! a guest of `tests/guest/run.sh`, which wires eth0 to eth1 and eth2 to eth3.
//!
//! ```text
//!   end       a queue in zero copy, and frames between two of them
//!   wire      the four NICs in three namespaces, with `wharf forward` in the middle
//!   library   queues, and an engine in the test's own process
//!   command   `wharf forward`: frames, counted and compared
//!   stacks    `wharf forward` between two kernel stacks
//!   losses    what the forwarder or an interface does not survive, under traffic
//!   compare   the same bursts in every mode; compare.sh has them counted
//!   busy      how long tasks ran
//! ```
//!
//! It takes over these interfaces by name, so it refuses to run anywhere else.

mod busy;
mod command;
mod compare;
mod end;
mod library;
mod losses;
mod stacks;
mod wire;

use std::time::Duration;

use wharf_tests::wait_until;

/// How long anything may take; software emulation is slow.
const LIMIT: Duration = Duration::from_secs(40);

/// Set by `tests/guest/run.sh` inside the guest.
const GUEST: &str = "WHARF_GUEST";

/// The NICs of the guest, in the order in which they are wired.
const NICS: [&str; 4] = ["eth0", "eth1", "eth2", "eth3"];

fn require_guest() {
    assert!(
        std::env::var_os(GUEST).is_some(),
        "this takes over eth0 to eth3: only tests/guest/run.sh runs it, in a guest"
    );
    // They come back from the namespaces of the case before, which the kernel
    // clears away in its own time, and come back down.
    for name in NICS {
        wait_until("NICs come back", LIMIT, || {
            std::path::Path::new("/sys/class/net").join(name).exists()
        });
        ip(&["link", "set", name, "up"]);
    }
}

/// Runs `ip`, where the test itself is.
fn ip(words: &[&str]) {
    let status = std::process::Command::new("ip").args(words).status();
    assert!(
        status.expect("the guest has it").success(),
        "ip {words:?} failed"
    );
}
