//! What the running kernel can do, and what that means for forwarding.
//!
//! The engine finds it out by trying ([`KernelFeatures`]); only the known panic
//! goes by the version.

use std::fs;

use wharf::{KernelFeatures, KnownPanics, Support, UmemConfig};

use super::check::{Check, State};

/// All that is looked at.
pub fn examine(features: &KernelFeatures) -> Vec<Check> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut checks = vec![version(release.trim_end())];
    let obstacle = KernelFeatures::obstacle();
    let obstacle = obstacle.as_deref().unwrap_or("run as root");
    checks.extend(lines(features).map(|line| line.judge(obstacle)));
    checks.push(compiler());
    checks
}

fn version(release: &str) -> Check {
    if KnownPanics::affect(release) {
        return Check::bad(
            "version",
            format!(
                "Linux {release} panics on copy-mode frames that reach a stack on this machine"
            ),
            "use Linux 6.18 or later, or 6.15 or earlier; on NICs, and in zero copy, it is safe",
        );
    }
    Check::good("version", format!("Linux {release}"))
}

/// One thing that a kernel has or lacks.
struct Line {
    topic: &'static str,
    support: Support,
    /// The finding where it is there.
    there: &'static str,
    /// The finding where it is missing.
    missing: String,
    /// The state where it is missing.
    state: State,
    /// What to do where it is missing.
    remedy: &'static str,
}

impl Line {
    /// `obstacle` is why something could not be tried.
    fn judge(self, obstacle: &str) -> Check {
        let Self { topic, .. } = self;
        match (self.support, self.state) {
            (Support::Yes, _) => Check::good(topic, self.there),
            (Support::No, State::Bad) => Check::bad(topic, self.missing, self.remedy),
            (Support::No, State::Poor) => Check::poor(topic, self.missing, self.remedy),
            (Support::No, _) => Check::good(topic, format!("{} ({})", self.missing, self.remedy)),
            (Support::Unknown, _) => {
                Check::unknown(topic, format!("could not be tried: {obstacle}"))
            }
        }
    }
}

/// From the indispensable to what Wharf does not use yet.
fn lines(kernel: &KernelFeatures) -> impl Iterator<Item = Line> {
    let of = |topic, support, there, missing: &str, state, remedy| Line {
        topic,
        support,
        there,
        missing: missing.to_owned(),
        state,
        remedy,
    };
    let chunk = UmemConfig::new(1).chunk_size;
    [
        of(
            "AF_XDP",
            kernel.af_xdp,
            "a socket opens",
            "this kernel has none",
            State::Bad,
            "use Linux 5.9 or later with CONFIG_XDP_SOCKETS=y",
        ),
        of(
            "XDP programs",
            kernel.xdp_programs,
            "one loads",
            "none loads: this kernel has no BPF programs",
            State::Bad,
            "use Linux 5.9 or later with CONFIG_BPF_SYSCALL=y",
        ),
        of(
            "bpf_link",
            kernel.xdp_links,
            "an XDP program is detached when its process ends, even if killed",
            "an XDP program would outlive its process",
            State::Bad,
            "use Linux 5.9 or later",
        ),
        of(
            "need_wakeup",
            kernel.need_wakeup,
            "system calls only where the kernel asks for one",
            "this kernel cannot say when it needs a system call",
            State::Bad,
            "use Linux 5.9 or later",
        ),
        of(
            "XDP frags",
            kernel.frags_programs,
            "native mode takes frames in several buffers",
            "native mode takes frames in one buffer only, which limits the MTU to about 3500",
            State::Poor,
            "use Linux 5.18 or later for a larger MTU, or `--attach generic`",
        ),
        Line {
            topic: "multi-buffer",
            support: kernel.multi_buffer,
            there: "a frame may take several chunks, so any MTU works",
            missing: format!(
                "a frame must fit a chunk, which limits the MTU to {}",
                chunk.largest_mtu()
            ),
            state: State::Poor,
            remedy: "use Linux 6.6 or later for a larger MTU",
        },
        of(
            "driver query",
            kernel.driver_features,
            "the kernel reports what a driver can do",
            "the kernel does not report what a driver can do",
            State::Poor,
            "use Linux 6.3 or later, or see the first lines of `wharf forward`",
        ),
        of(
            "TX budget",
            kernel.tx_budget,
            "one wake-up sends a whole ring in copy mode",
            "one wake-up sends at most 32 frames in copy mode",
            State::Good,
            "a whole ring since Linux 6.17",
        ),
        of(
            "statistics",
            kernel.long_statistics,
            "a full RX ring and an empty fill ring are counted separately",
            "a full RX ring and an empty fill ring share one counter",
            State::Poor,
            "use Linux 5.9 or later for separate counters",
        ),
        of(
            "unaligned",
            kernel.unaligned_chunks,
            "chunks may lie anywhere (`--unaligned-chunks`)",
            "chunks must lie at multiples of their size",
            State::Good,
            "`--unaligned-chunks` needs Linux 5.4",
        ),
        of(
            "BTF",
            kernel.btf,
            "there; the XDP program does not need it",
            "not there; the XDP program does not need it",
            State::Good,
            "CONFIG_DEBUG_INFO_BTF",
        ),
        of(
            "TX metadata",
            kernel.tx_metadata,
            "there; `wharf forward` does not use it",
            "not there; `wharf forward` does not use it",
            State::Good,
            "Linux 6.8",
        ),
        of(
            "busy polling",
            kernel.busy_poll,
            "there; `wharf forward` does not use it",
            "not there; `wharf forward` does not use it",
            State::Good,
            "Linux 5.11",
        ),
        of(
            "queue query",
            kernel.queue_features,
            "there; `wharf forward` does not use it",
            "not there; `wharf forward` does not use it",
            State::Good,
            "Linux 6.8",
        ),
    ]
    .into_iter()
}

fn compiler() -> Check {
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable") {
        Err(_) => Check::unknown("BPF compiler", "the kernel does not report it"),
        Ok(setting) if setting.trim_end() == "0" => Check::poor(
            "BPF compiler",
            "off: the XDP program is interpreted, several times slower",
            "run `sysctl net.core.bpf_jit_enable=1`",
        ),
        Ok(_) => Check::good("BPF compiler", "on"),
    }
}
