//! What of the kernel, the privileges and the limits matters to forwarding.
//!
//! What the kernel can do is found out by doing it, on a veth pair in a
//! namespace made for that; only the known panic goes by the version.

use std::fs;

use caps::{CapSet, Capability};
use socket2::{Domain, Socket, Type};
use wharf::{
    Attach, EngineBuilder, Interface, Queue, QueueConfig, QueueIndex, RingCapacity, Steering,
    SteeringConfig, Umem, UmemConfig,
};
use wharf_testbed::Testbed;

use super::check::Check;

/// All that is looked at.
pub fn examine() -> Vec<Check> {
    let mut checks = vec![kernel(), privileges(), sockets()];
    checks.push(locked_memory());
    checks.push(jit());
    checks.extend(attempts());
    checks
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    if wharf::KnownPanics::affect(&release) {
        return Check::bad(
            "kernel",
            format!(
                "Linux {release} panics on copy-mode frames that reach a stack on this machine"
            ),
            "use Linux 6.18 or later, or 6.15 or earlier; on NICs, and in zero copy, it is safe",
        );
    }
    Check::good("kernel", format!("Linux {release}"))
}

fn privileges() -> Check {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let missing: Vec<_> = [
        Capability::CAP_NET_RAW,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_BPF,
    ]
    .into_iter()
    .filter(|&capability| {
        let stands_in = capability == Capability::CAP_BPF && has(Capability::CAP_SYS_ADMIN);
        !has(capability) && !stands_in
    })
    .map(|capability| capability.to_string())
    .collect();
    if missing.is_empty() && has(Capability::CAP_PERFMON) {
        Check::good(
            "privileges",
            "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are held",
        )
    } else if missing.is_empty() {
        Check::poor(
            "privileges",
            "CAP_PERFMON missing, which rules, flows and kept management traffic take",
            "run as root, or grant it; without it, --take-everything and no rules",
        )
    } else {
        Check::bad(
            "privileges",
            format!("{} missing", missing.join(", ")),
            "run as root, for example with sudo",
        )
    }
}

fn sockets() -> Check {
    match Socket::new(Domain::from(AF_XDP), Type::RAW, None) {
        Ok(_) => Check::good("AF_XDP", "a socket opens"),
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => Check::bad(
            "AF_XDP",
            "this kernel is built without it",
            "use a kernel with CONFIG_XDP_SOCKETS=y",
        ),
        Err(error) if error.raw_os_error() == Some(EPERM) => Check::unknown(
            "AF_XDP",
            "not allowed to open a socket, which takes CAP_NET_RAW",
        ),
        Err(error) => Check::bad("AF_XDP", error.to_string(), "see `dmesg`"),
    }
}

/// Whether the memory that `wharf forward` pins by default may be pinned.
fn locked_memory() -> Check {
    let needed = u64::from(EngineBuilder::DEFAULT_FRAMES) * 4096;
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK).unwrap_or(false) {
        return Check::good("locked memory", "no limit, by CAP_IPC_LOCK");
    }
    let limits = read("/proc/self/limits");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"));
    let limit = line.and_then(|line| line.split_whitespace().next());
    match limit.map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < needed => Check::bad(
            "locked memory",
            format!(
                "{} MiB, and each worker takes {} MiB by default",
                limit >> 20,
                needed >> 20
            ),
            "grant CAP_IPC_LOCK, raise `ulimit -l`, or ask for fewer --frames",
        ),
        Some(Ok(limit)) => Check::good("locked memory", format!("{} MiB", limit >> 20)),
        Some(Err(_)) => Check::good("locked memory", "no limit"),
        None => Check::unknown("locked memory", "/proc/self/limits cannot be read"),
    }
}

fn jit() -> Check {
    match read("/proc/sys/net/core/bpf_jit_enable").as_str() {
        "" => Check::unknown("BPF compiler", "the kernel does not tell"),
        "0" => Check::poor(
            "BPF compiler",
            "off: the XDP program is interpreted, several times slower",
            "run `sysctl net.core.bpf_jit_enable=1`",
        ),
        _ => Check::good("BPF compiler", "on"),
    }
}

/// Does on a veth pair what forwarding does on a NIC.
fn attempts() -> Vec<Check> {
    let pair = match Testbed::pair() {
        Ok(pair) => pair,
        Err(error) => {
            return vec![Check::unknown(
                "XDP",
                format!("not tried, for want of a private namespace: {error}"),
            )];
        }
    };
    let name = pair.client_interface().name().to_owned();
    let attempts = pair.client().try_run(move || {
        let interface = Interface::by_name(&name).map_err(|error| error.to_string())?;
        Ok(vec![
            attach(&interface, Attach::Native, "native XDP"),
            attach(&interface, Attach::Generic, "generic XDP"),
            bind(&interface),
        ])
    });
    let attempts: Result<Vec<Check>, String> =
        attempts.unwrap_or_else(|error| Err(error.to_string()));
    attempts.unwrap_or_else(|error| vec![Check::unknown("XDP", format!("not tried: {error}"))])
}

fn attach(interface: &Interface, attach: Attach, topic: &'static str) -> Check {
    match Steering::attach(interface, attach, 1, &SteeringConfig::default()) {
        Ok(steering) if steering.report().multi_buffer => Check::good(
            topic,
            "the program loads and attaches, frames in several buffers",
        ),
        Ok(_) => Check::poor(
            topic,
            "the program attaches, for frames in one buffer, which bounds the MTU in native mode",
            "use Linux 5.18 or later for a larger MTU",
        ),
        Err(error) => Check::bad(topic, error.to_string(), "use Linux 5.9 or later"),
    }
}

fn bind(interface: &Interface) -> Check {
    let topic = "queues";
    let bound = RingCapacity::new(64)
        .and_then(|ring| Ok((ring, QueueIndex::new(0)?)))
        .map_err(wharf::Error::from)
        .and_then(|(ring, queue)| {
            let umem = Umem::new(&UmemConfig::new(256))?;
            Queue::bind(&umem, interface, queue, &QueueConfig::new(ring))
        });
    match bound {
        Ok((_, report)) if report.tx_budget.is_some() => Check::good(
            topic,
            "an xsk binds; one wake-up sends a whole ring in copy mode",
        ),
        Ok(_) => Check::good(
            topic,
            "an xsk binds; one wake-up sends 32 frames in copy mode, before Linux 6.17",
        ),
        Err(error) => Check::bad(topic, error.to_string(), "see the line above"),
    }
}

/// A file of `/proc` without the line's end, empty where it cannot be read.
fn read(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim_end().to_owned()
}

/// Source: `include/linux/socket.h` and `include/uapi/asm-generic/errno.h`.
const AF_XDP: i32 = 44;
const EAFNOSUPPORT: i32 = 97;
const EPERM: i32 = 1;
