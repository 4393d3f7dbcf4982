//! Whether privileges and limits suffice for forwarding, and whether a program can be
//! attached and an xsk bound: tried on a veth pair in a private namespace.

use std::fs;

use rustix::process::{Resource, getrlimit};
use wharf::{
    Attach, EngineBuilder, Interface, MemoryGroup, MemoryReport, MissingCapabilities, NicQueue,
    QueueIndex, RingCapacity, Steering, SteeringConfig, Umem, UmemConfig, XskConfig,
    pinnable_bytes, tightest_memory_group,
};
use wharf_testbed::Testbed;

use super::check::Check;

/// All that is looked at.
pub fn examine() -> Vec<Check> {
    let mut checks = vec![
        privileges(),
        descriptors(),
        memory(),
        locked_memory(),
        limits(),
        huge_pages(),
    ];
    if has_room_to_try() {
        checks.push(packet_memory());
        checks.extend(attempts());
    } else {
        checks.push(Check::unknown(
            "XDP",
            "not tried: the control group has too little memory left",
        ));
    }
    checks
}

/// Whether trying cannot end with the kernel killing this process.
fn has_room_to_try() -> bool {
    tightest_memory_group().is_none_or(|group| group.left() >= TRIAL_BYTES)
}

fn privileges() -> Check {
    let topic = "privileges";
    let (basic, all) = (
        MissingCapabilities::to_take_frames(),
        MissingCapabilities::to_read_frames(),
    );
    match (basic, all) {
        (Some(missing), _) => Check::bad(
            topic,
            format!("{} missing", listed(&missing)),
            "run as root, for example with sudo",
        ),
        (None, Some(missing)) => Check::poor(
            topic,
            format!(
                "{} missing, which rules, flows and kept management traffic need",
                listed(&missing)
            ),
            "run as root, or grant it; without it, use --take-everything and no rules",
        ),
        (None, None) => Check::good(topic, "all that forwarding needs, rules included"),
    }
}

fn listed(missing: &MissingCapabilities) -> String {
    missing.names().collect::<Vec<_>>().join(", ")
}

/// Whether there are enough descriptors for `wharf forward` on two queues.
fn descriptors() -> Check {
    judge_descriptors(getrlimit(Resource::Nofile).current)
}

fn judge_descriptors(limit: Option<u64>) -> Check {
    let topic = "descriptors";
    match limit {
        None => Check::good(topic, "no limit"),
        Some(limit) if limit < DESCRIPTORS => Check::bad(
            topic,
            format!(
                "at most {limit} (RLIMIT_NOFILE), and forwarding between two queues takes {DESCRIPTORS}"
            ),
            "raise it with `ulimit -n 1024`",
        ),
        Some(limit) => Check::good(
            topic,
            format!("at most {limit}, of which forwarding between two queues takes {DESCRIPTORS}"),
        ),
    }
}

/// Whether the control groups of this process have room for one worker.
fn memory() -> Check {
    judge_memory(tightest_memory_group())
}

fn judge_memory(group: Option<MemoryGroup>) -> Check {
    let topic = "memory limit";
    let Some(group) = group else {
        return Check::good(topic, "no control group has one");
    };
    let needed = UmemConfig::new(EngineBuilder::DEFAULT_FRAMES).len_bytes() + BESIDE_UMEM;
    let found = format!(
        "{} MiB left of {} in the control group {}, and one worker takes {} MiB by default",
        group.left() >> 20,
        group.limit >> 20,
        group.directory.display(),
        needed >> 20
    );
    if group.left() < needed {
        Check::bad(
            topic,
            found,
            "ask for fewer --frames, or raise the group's limit",
        )
    } else {
        Check::good(topic, found)
    }
}

/// Whether the memory that `wharf forward` pins by default may be pinned.
fn locked_memory() -> Check {
    let needed = UmemConfig::new(EngineBuilder::DEFAULT_FRAMES).len_bytes();
    judge_locked_memory(needed, pinnable_bytes())
}

fn judge_locked_memory(needed: u64, limit: Option<u64>) -> Check {
    let topic = "locked memory";
    match limit {
        None => Check::good(
            topic,
            format!(
                "no limit (CAP_IPC_LOCK, or RLIMIT_MEMLOCK unlimited); each worker pins {} MiB by default",
                needed >> 20
            ),
        ),
        Some(limit) if limit < needed => Check::bad(
            topic,
            format!(
                "{limit} bytes (RLIMIT_MEMLOCK, for all of this user's processes), and each worker needs {needed} by default"
            ),
            "grant CAP_IPC_LOCK, raise `ulimit -l`, or ask for fewer --frames",
        ),
        Some(limit) => Check::good(
            topic,
            format!(
                "{} MiB (RLIMIT_MEMLOCK, for all of this user's processes): enough for {} worker(s) of {} MiB each",
                limit >> 20,
                limit / needed.max(1),
                needed >> 20
            ),
        ),
    }
}

/// What one worker's queues may use by default, and what can be limited.
fn limits() -> Check {
    let frames = EngineBuilder::DEFAULT_FRAMES;
    let share = (frames - frames / 8) / 2;
    let floor = EngineBuilder::DEFAULT_RING_SIZE / 8;
    Check::good(
        "limits",
        format!(
            "{frames} chunks per worker by default: with two queues {share} each, {floor} of them always to receive into; change it with --frames and --limit"
        ),
    )
}

fn huge_pages() -> Check {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let topic = "huge pages";
    match (number("HugePages_Free:"), number("Hugepagesize:")) {
        (Some(0), _) => Check::good(topic, "none free; only `--huge-pages=require` needs them"),
        (Some(free), Some(kib)) => Check::good(
            topic,
            format!("{free} of {} MiB free, for `--huge-pages`", kib >> 10),
        ),
        _ => Check::good(
            topic,
            "this kernel has none; only `--huge-pages=require` needs them",
        ),
    }
}

/// What memory for packets would be.
fn packet_memory() -> Check {
    let topic = "packet memory";
    match Umem::new(&UmemConfig::new(16)) {
        Ok(umem) => judge_packet_memory(umem.memory()),
        Err(error) => Check::bad(topic, error.to_string(), SEE_ABOVE),
    }
}

fn judge_packet_memory(memory: &MemoryReport) -> Check {
    let topic = "packet memory";
    let numa = &memory.numa;
    let place = match (numa.got, numa.nodes) {
        (_, 1) => "one NUMA node".to_owned(),
        (Some(node), nodes) => format!("NUMA node {node} of {nodes}"),
        (None, nodes) => format!("unknown which of {nodes} NUMA nodes"),
    };
    let found = format!("{}, {place}", memory.source.label());
    let reasons = [
        memory.source_fallback.as_deref(),
        numa.fallback.as_deref().filter(|_| numa.nodes > 1),
    ];
    let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() {
        return Check::good(topic, found);
    }
    Check::poor(
        topic,
        format!("{found}: {}", reasons.join("; ")),
        "allow it; forwarding works without",
    )
}

/// Does on a veth pair what forwarding does on a NIC.
fn attempts() -> Vec<Check> {
    let pair = match Testbed::pair() {
        Ok(pair) => pair,
        Err(error) => {
            return vec![Check::unknown(
                "XDP",
                format!("not tried, because a private namespace cannot be made: {error}"),
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
        Ok(_) => Check::good(topic, "the program loads and attaches to a veth"),
        Err(error) => Check::bad(topic, error.to_string(), SEE_ABOVE),
    }
}

fn bind(interface: &Interface) -> Check {
    let topic = "queues";
    let bound = RingCapacity::new(64)
        .and_then(|ring| Ok((ring, QueueIndex::new(0)?)))
        .map_err(wharf::Error::from)
        .and_then(|(ring, queue)| {
            let umem = Umem::new(&UmemConfig::new(256))?;
            Ok(NicQueue::new(&umem, interface, queue).bind(&XskConfig::new(ring))?)
        });
    match bound {
        Ok(_) => Check::good(topic, "an xsk binds to a veth"),
        Err(error) => Check::bad(topic, error.to_string(), SEE_ABOVE),
    }
}

/// What `wharf forward` opens for two queues, each on an interface of its own: on Linux
/// 6.18, 56 with `--metrics` and a client.
const DESCRIPTORS: u64 = 64;

/// Programs, rings, stacks and bookkeeping.
const BESIDE_UMEM: u64 = 12 << 20;

/// What the attempts take at most.
const TRIAL_BYTES: u64 = 32 << 20;

/// Errors end with what to do. Where the kernel or the privileges are at fault, the
/// lines above say it better.
const SEE_ABOVE: &str = "do so, or see what is BAD above";

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn few_descriptors_and_a_small_control_group_are_bad() {
        for (limit, state) in [
            (None, State::Good),
            (Some(1024), State::Good),
            (Some(48), State::Bad),
        ] {
            assert_eq!(judge_descriptors(limit).state, state);
        }
        let group = |mib: u64| MemoryGroup {
            directory: "/sys/fs/cgroup/pod".into(),
            limit: mib << 20,
            used: 1 << 20,
        };
        for (group, state) in [
            (None, State::Good),
            (Some(group(100)), State::Good),
            (Some(group(48)), State::Bad),
        ] {
            assert_eq!(judge_memory(group).state, state);
        }
    }

    #[test]
    fn limit_below_the_memory_of_one_worker_is_bad() {
        for (limit, state) in [
            (None, State::Good),
            (Some(64 << 20), State::Good),
            (Some((64 << 20) - 1), State::Bad),
        ] {
            assert_eq!(judge_locked_memory(64 << 20, limit).state, state);
        }
    }
}
