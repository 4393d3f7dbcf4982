//! What a measurement was made on. A figure without it is worth nothing.

use std::fs;
use std::thread;

use serde::Serialize;
use wharf::{AttachReport, BindReport, CopyMode, EngineReport};

/// Machine, kernel, driver, mode and CPUs of a benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The subcommand.
    pub benchmark: &'static str,
    /// Of Wharf.
    pub version: &'static str,
    /// `debug` or `release`: only the latter's figures mean something.
    pub build: &'static str,
    /// The processor's name, as the kernel has it.
    pub machine: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// `Linux` and its release.
    pub kernel: String,
    /// Of the testbed's interfaces.
    pub driver: String,
    pub mtu_bytes: u32,
    /// Of each interface.
    pub queues: usize,
    /// `zero-copy` or `copy`.
    pub mode: &'static str,
    /// `native` or `generic`.
    pub attach: String,
    /// Frames may lie in several chunks.
    pub multi_buffer: bool,
}

impl Header {
    /// What an engine on the testbed got.
    pub fn of(benchmark: &'static str, report: &EngineReport) -> Self {
        let interface = report.interfaces.first();
        let queues = report.workers.iter().flat_map(|worker| &worker.queues);
        let attach = interface.map(|interface| &interface.attach);
        Self {
            mtu_bytes: interface.map_or(0, |interface| interface.mtu),
            ..Self::of_xsks(benchmark, attach, queues.cloned().collect())
        }
    }

    /// What xsks on the testbed got, one per queue; the MTU is left to the caller.
    pub fn of_xsks(
        benchmark: &'static str,
        attach: Option<&AttachReport>,
        xsks: Vec<BindReport>,
    ) -> Self {
        let is_copied = xsks.iter().any(|xsk| xsk.got == CopyMode::Copy);
        let driver = xsks.first().and_then(|xsk| xsk.driver.clone());
        Self {
            benchmark,
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            machine: machine(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel(),
            driver: driver.unwrap_or_else(|| "unknown driver".to_owned()),
            mtu_bytes: 0,
            queues: xsks.len(),
            mode: if is_copied { "copy" } else { "zero-copy" },
            attach: attach.map_or_else(String::new, |attach| attach.got.to_string()),
            multi_buffer: xsks.iter().any(|xsk| xsk.multi_buffer),
        }
    }

    /// Lines for people, of at most 80 columns where names have a usual length.
    pub fn lines(&self) -> [String; 2] {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let chunks = if self.multi_buffer {
            ", several chunks per frame"
        } else {
            ""
        };
        let build = match self.build {
            "release" => "",
            _ => "; DEBUG BUILD",
        };
        [
            format!(
                "{}, {} CPU{}; {}{build}",
                self.machine,
                self.cpus,
                plural(self.cpus),
                self.kernel
            ),
            format!(
                "{}, MTU {}, {} queue{}; {} XDP, {} mode{chunks}",
                self.driver,
                self.mtu_bytes,
                self.queues,
                plural(self.queues),
                self.attach,
                self.mode
            ),
        ]
    }
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    processor(&text).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// What `/proc/cpuinfo` calls the first processor, where it does.
fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))?;
    let name = line.trim_start().strip_prefix(':')?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_is_named_as_the_kernel_does() {
        let text = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Some CPU @ 2 GHz\n";

        assert_eq!(processor(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(processor("model name\t:\n"), None);
        assert_eq!(processor("CPU part\t: 0xd0c\n"), None);
    }

    #[test]
    fn header_without_interfaces_is_no_panic() {
        let header = Header::of("machine", &EngineReport::default());

        assert_eq!(header.queues, 0);
        assert!(header.lines()[1].contains("unknown driver, MTU 0, 0 queues"));
    }
}
