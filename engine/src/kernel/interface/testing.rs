//! For tests that need a kernel: a private network namespace and `ip`.

use std::io;
use std::process::Command;
use std::thread;

use netlink_packet_route::RouteNetlinkMessage;

use super::link_socket::LinkSocket;
use crate::kernel::sys::netdev;

/// Runs `body` on a thread in a network namespace of its own, which goes away
/// with the thread and all its interfaces.
///
/// Without the privilege it says so and returns `None`, or panics when
/// `WHARF_TESTS_REQUIRED` is 1.
pub(crate) fn in_private_network<R: Send>(body: impl FnOnce() -> R + Send) -> Option<R> {
    let run = || {
        // aya finds out once for the process what the kernel knows, with the
        // privileges of the thread that happens to ask first; some cases give
        // theirs up.
        aya::features();
        if let Err(error) = netdev::enter_private_network() {
            let required = std::env::var_os("WHARF_TESTS_REQUIRED");
            assert!(
                required.is_none_or(|value| value != "1"),
                "WHARF_TESTS_REQUIRED=1, but no network namespace: {error}"
            );
            eprintln!("SKIP: this test needs root for a network namespace: {error}");
            return None;
        }
        // The stack announces its IPv6 addresses on whatever comes up, and
        // tests count frames. A kernel without IPv6 has no such file.
        let _ = set_ipv6_disabled("1");
        ip("link set dev lo up");
        Some(body())
    };
    thread::scope(|scope| {
        let thread = scope.spawn(run);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Lets interfaces that are made from now on have IPv6, in this thread's
/// namespace.
pub(crate) fn allow_ipv6() {
    set_ipv6_disabled("0").expect("the kernel has IPv6");
}

fn set_ipv6_disabled(value: &str) -> io::Result<()> {
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", value)
}

/// Runs `ip` with `arguments`, separated by spaces, in this thread's namespace.
pub(crate) fn ip(arguments: &str) {
    ip_output(arguments);
}

/// The same, and returns what it printed.
pub(crate) fn ip_output(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("`ip` of iproute2 is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).expect("`ip` prints UTF-8")
}

/// Sends `request` to rtnetlink in this thread's namespace.
pub(crate) fn request_route(request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    LinkSocket::open()?.request(request, flags).map(drop)
}

/// Whether the kernel can make interfaces of `kind`, for example `bond`.
pub(crate) fn has_kind(kind: &str) -> bool {
    let probe = |arguments: &str| {
        let output = Command::new("ip")
            .args(arguments.split_whitespace())
            .output();
        output
            .expect("`ip` of iproute2 is installed")
            .status
            .success()
    };
    let options = match kind {
        "vlan" => "link probe-lower type vlan id 9",
        "ipvlan" => "link probe-lower type ipvlan",
        kind => &format!("type {kind}"),
    };
    probe("link add probe-lower type veth peer name probe-peer");
    let found = probe(&format!("link add name probe {options}"));
    probe("link delete probe-lower");
    probe("link delete probe");
    found
}
