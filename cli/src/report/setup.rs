//! What the engine set up: what was asked for, what it got, and why that is less.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf::{
    BindReport, ChecksumsReport, EngineReport, InterfaceId, InterfaceReport, KeepManagement,
    ManagementReport, RuleSet, WorkerReport,
};

use super::limits::{Asked, InForce};
use crate::control::{ForwarderInfo, ImpairmentEntry};

/// The engine as it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setup {
    pub interfaces: Vec<Interface>,
    pub workers: Vec<Worker>,
    /// CPUs without a worker, and why.
    pub unused_cpus: Option<UnusedCpus>,
    pub steering: Steering,
    pub impairments: Vec<Impairment>,
    /// Limits on packet memory that were asked for.
    pub limits: Asked,
}

/// What is done to the frames of a direction, if anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Impairment {
    pub from: String,
    pub to: String,
    pub impairment: Option<String>,
}

/// CPUs for which there are too few queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnusedCpus {
    pub cpus: Vec<usize>,
    /// The interface with the fewest queues.
    pub interface: String,
    pub queues: u32,
}

/// The rules it started with, and how they can be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steering {
    pub rules: Vec<String>,
    pub default: String,
    pub flow_capacity: u32,
    /// The path of the control socket.
    pub control: Option<PathBuf>,
}

/// One interface and its XDP program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub driver: Option<String>,
    pub mtu_bytes: u32,
    pub queues: u32,
    /// Where the XDP program runs: `native` or `generic`.
    pub attach: String,
    /// Why it is not the better mode.
    pub attach_fallback: Option<String>,
    pub program_id: u32,
    pub management: Management,
    pub checksums: Checksums,
}

/// Whether received frames get the checksums that their senders left to hardware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checksums {
    /// Whether they do.
    pub finished: bool,
    /// Why frames may lack one; `None` where hardware has done them.
    pub because: Option<String>,
}

/// Whether management traffic stays with the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Management {
    /// Whether it goes to the kernel.
    pub kept: bool,
    /// What decided it: `default_route`, `no_default_route`, or the option
    /// `keep_management` or `take_everything`.
    pub because: &'static str,
    /// The interface whose default route leads over this one: itself, or one on
    /// top of it.
    pub default_route: Option<String>,
}

/// One worker, its memory and its queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    pub worker: usize,
    pub cpu: Option<usize>,
    pub memory_bytes: u64,
    pub chunks: u32,
    pub chunk_size_bytes: u32,
    pub unaligned_chunks: bool,
    /// Whether the memory lies on huge pages.
    pub huge_pages: bool,
    /// Why not, where they were preferred.
    pub huge_pages_fallback: Option<String>,
    /// Where the memory comes from: `memfd` or `anonymous`.
    pub memory_source: &'static str,
    /// Why it is no memfd.
    pub memory_source_fallback: Option<String>,
    pub numa: Numa,
    pub queues: Vec<Queue>,
}

/// The NUMA node of a worker's memory, beside that of its CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Numa {
    /// The nodes of the machine.
    pub nodes: u32,
    /// The node of the CPU.
    pub cpu_node: Option<u32>,
    /// The node of the memory, if it lies on one.
    pub memory_node: Option<u32>,
    /// Why it is not that of the CPU.
    pub fallback: Option<String>,
}

/// One queue and how its frames travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    pub interface: String,
    pub queue: u32,
    /// Which of the queue's xsks, where queues have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xsk: Option<u8>,
    /// `zero-copy` or `copy`.
    pub mode: &'static str,
    /// Why not the better mode.
    pub mode_fallback: Option<String>,
    /// Whether frames may lie in several chunks.
    pub multi_buffer: bool,
    /// Limits on packet memory in force at the start.
    pub limits: InForce,
}

impl Setup {
    /// The view of the engine's own report.
    pub fn of(report: &EngineReport) -> Self {
        Self {
            interfaces: report.interfaces.iter().map(Interface::of).collect(),
            workers: report.workers.iter().map(Worker::of).collect(),
            unused_cpus: report.unused_cpus.as_ref().map(|unused| UnusedCpus {
                cpus: unused.cpus.clone(),
                interface: unused.interface.clone(),
                queues: unused.queues,
            }),
            steering: Steering::default(),
            impairments: Vec::new(),
            limits: Asked::of(report),
        }
    }

    /// The same with the impairments it started with.
    pub fn impaired(self, entries: &[ImpairmentEntry]) -> Self {
        let impairment = |entry: &ImpairmentEntry| Impairment {
            from: entry.from.clone(),
            to: entry.to.clone(),
            impairment: entry.impairment.clone(),
        };
        Self {
            impairments: entries.iter().map(impairment).collect(),
            ..self
        }
    }

    /// The same with the rules it started with.
    pub fn steered(self, rules: &RuleSet, info: &ForwarderInfo, control: Option<&Path>) -> Self {
        let steering = Steering {
            rules: rules.rules.iter().map(ToString::to_string).collect(),
            default: rules.default.to_string(),
            flow_capacity: info.flow_capacity,
            control: control.map(Path::to_owned),
        };
        Self { steering, ..self }
    }

    /// The name of an interface of the engine.
    pub fn interface_name(&self, id: InterfaceId) -> String {
        self.interfaces.get(id.0).map_or_else(
            || format!("interface {}", id.0),
            |interface| interface.name.clone(),
        )
    }

    /// The names and MTUs of the interfaces, if they are two.
    pub fn mtus(&self) -> Option<[(String, u32); 2]> {
        let mtu = |interface: &Interface| (interface.name.clone(), interface.mtu_bytes);
        let mtus: Vec<_> = self.interfaces.iter().map(mtu).collect();
        mtus.try_into().ok()
    }

    /// Whether frames of an interface may lie in several chunks.
    pub fn multi_buffer(&self, interface: &str) -> bool {
        let queues = self.workers.iter().flat_map(|worker| &worker.queues);
        queues
            .filter(|queue| queue.interface == interface)
            .any(|queue| queue.multi_buffer)
    }

    /// The modes the queues of an interface got, each once, with the reason.
    pub fn modes_of(&self, interface: &str) -> Vec<(&'static str, Option<&str>)> {
        let mut modes = Vec::new();
        let queues = self.workers.iter().flat_map(|worker| &worker.queues);
        for queue in queues.filter(|queue| queue.interface == interface) {
            let mode = (queue.mode, queue.mode_fallback.as_deref());
            if !modes.contains(&mode) {
                modes.push(mode);
            }
        }
        modes
    }
}

impl Interface {
    fn of(report: &InterfaceReport) -> Self {
        Self {
            name: report.name.clone(),
            index: report.index,
            driver: report.driver.clone(),
            mtu_bytes: report.mtu,
            queues: report.queues,
            attach: report.attach.got.to_string(),
            attach_fallback: report.attach.fallback.clone(),
            program_id: report.attach.program_id,
            management: Management::of(&report.management),
            checksums: Checksums::of(&report.checksums),
        }
    }
}

impl Checksums {
    fn of(report: &ChecksumsReport) -> Self {
        Self {
            finished: report.are_finished(),
            because: report.source.as_ref().map(ToString::to_string),
        }
    }

    /// A line about it, where there is something to know.
    pub fn line(&self) -> Option<String> {
        let because = self.because.as_deref()?;
        self.finished
            .then(|| format!("completes checksums that senders leave to hardware: {because}"))
    }
}

impl Management {
    fn of(report: &ManagementReport) -> Self {
        let route = report.default_route.as_ref();
        Self {
            kept: report.is_kept(),
            because: match (report.requested, route) {
                (KeepManagement::Always, _) => "keep_management",
                (KeepManagement::Never, _) => "take_everything",
                (KeepManagement::Auto, Some(_)) => "default_route",
                (KeepManagement::Auto, None) => "no_default_route",
            },
            default_route: route.map(|route| route.interface.clone()),
        }
    }

    /// A line about it for `interface`, where there is something to know.
    pub fn line(&self, interface: &str) -> Option<String> {
        let route = self.default_route.as_deref().map(|name| {
            if name == interface {
                "it carries the default route".to_owned()
            } else {
                format!("it carries the default route of {name}")
            }
        });
        if self.kept {
            let (because, remedy) = match route {
                Some(route) if self.because == "default_route" => {
                    (route, "; --take-everything to take it too")
                }
                _ => ("--keep-management".to_owned(), ""),
            };
            return Some(format!(
                "keeps management traffic with the kernel ({because}): \
                 ARP, ND, DHCP, SSH, established connections{remedy}"
            ));
        }
        route.map(|route| {
            format!(
                "takes management traffic too (--take-everything), though {route}: \
                 SSH through it breaks off"
            )
        })
    }
}

impl Worker {
    fn of(report: &WorkerReport) -> Self {
        let memory = &report.memory;
        Self {
            worker: report.worker,
            cpu: report.cpu,
            memory_bytes: memory.bytes,
            chunks: report.chunks,
            chunk_size_bytes: report.chunk_size,
            unaligned_chunks: report.unaligned_chunks,
            huge_pages: memory.has_huge_pages(),
            huge_pages_fallback: memory.pages_fallback.clone(),
            memory_source: memory.source.label(),
            memory_source_fallback: memory.source_fallback.clone(),
            numa: Numa {
                nodes: memory.numa.nodes,
                cpu_node: memory.numa.wanted,
                memory_node: memory.numa.got,
                fallback: memory.numa.fallback.clone(),
            },
            queues: queues_of(&report.queues),
        }
    }
}

/// Xsks are numbered only where queues have several.
fn queues_of(reports: &[BindReport]) -> Vec<Queue> {
    let several = reports.iter().any(|report| report.xsk.0 > 0);
    let queue = |report| Queue::of(report, several);
    reports.iter().map(queue).collect()
}

impl Queue {
    fn of(report: &BindReport, several: bool) -> Self {
        Self {
            interface: report.interface.clone(),
            queue: report.queue.get(),
            xsk: several.then_some(report.xsk.0),
            mode: report.got.label(),
            mode_fallback: report.fallback.clone(),
            multi_buffer: report.multi_buffer,
            limits: InForce::of(&report.limits),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use wharf::{CopyMode, Mode, QueueIndex, XskIndex};

    /// Two veth interfaces with one queue each, driven by one worker.
    pub fn setup() -> Setup {
        let interface = |name: &str, index| Interface {
            name: name.into(),
            index,
            driver: Some("veth".into()),
            mtu_bytes: 1500,
            queues: 1,
            attach: "native".into(),
            attach_fallback: None,
            program_id: 40 + index,
            management: Management {
                kept: false,
                because: "no_default_route",
                default_route: None,
            },
            checksums: Checksums {
                finished: true,
                because: Some(format!("`{name}` is virtual (veth)")),
            },
        };
        let queue = |interface: &str| Queue {
            interface: interface.into(),
            queue: 0,
            xsk: None,
            mode: "copy",
            mode_fallback: Some("the driver cannot".into()),
            multi_buffer: false,
            limits: InForce::default(),
        };
        Setup {
            interfaces: vec![interface("eth0", 2), interface("eth1", 3)],
            workers: vec![Worker {
                worker: 0,
                cpu: Some(1),
                memory_bytes: 16 << 20,
                chunks: 4096,
                chunk_size_bytes: 4096,
                unaligned_chunks: false,
                huge_pages: false,
                huge_pages_fallback: None,
                memory_source: "memfd",
                memory_source_fallback: None,
                numa: Numa {
                    nodes: 1,
                    cpu_node: Some(0),
                    memory_node: Some(0),
                    fallback: None,
                },
                queues: vec![queue("eth0"), queue("eth1")],
            }],
            unused_cpus: None,
            steering: Steering {
                rules: vec!["redirect tcp port 8080".into()],
                default: "pass".into(),
                flow_capacity: 0,
                control: Some("/run/wharf/forward-7.sock".into()),
            },
            impairments: Vec::new(),
            limits: Asked {
                policy: "drop-newest",
                ..Asked::default()
            },
        }
    }

    #[test]
    fn xsks_are_numbered_where_a_queue_has_several() {
        let report = |xsk| BindReport {
            interface: "eth0".into(),
            id: InterfaceId(0),
            driver: None,
            queue: QueueIndex::new(0).expect("a small index"),
            xsk: XskIndex(xsk),
            requested: Mode::Copy,
            got: CopyMode::Copy,
            fallback: None,
            multi_buffer: false,
            checksums: wharf::Checksums::Leave,
            tx_budget: None,
            send_buffer_bytes: 0,
            limits: wharf::XskLimits::default(),
        };
        let xsks = |reports: &[BindReport]| -> Vec<_> {
            queues_of(reports).iter().map(|queue| queue.xsk).collect()
        };

        assert_eq!(xsks(&[report(0)]), [None]);
        assert_eq!(xsks(&[report(0), report(1)]), [Some(0), Some(1)]);
    }

    #[test]
    fn modes_of_an_interface_are_named_once_each() {
        let mut setup = setup();
        let queues = &mut setup.workers[0].queues;
        queues.push(Queue {
            queue: 1,
            ..queues[0].clone()
        });

        let modes = setup.modes_of("eth0");

        assert_eq!(modes, [("copy", Some("the driver cannot"))]);
    }

    #[test]
    fn management_has_a_line_where_it_is_kept_or_at_risk() {
        let line = |kept, because, route: Option<&str>| {
            let default_route = route.map(str::to_owned);
            let management = Management {
                kept,
                because,
                default_route,
            };
            management.line("eth0")
        };

        let own = line(true, "default_route", Some("eth0")).expect("a line");
        let bridge = line(true, "default_route", Some("br0")).expect("a line");
        let asked = line(true, "keep_management", None).expect("a line");
        let taken = line(false, "take_everything", Some("eth0")).expect("a line");

        assert_eq!(
            own,
            "keeps management traffic with the kernel (it carries the default route): \
             ARP, ND, DHCP, SSH, established connections; --take-everything to take it too"
        );
        assert!(bridge.contains("the default route of br0"), "{bridge}");
        assert!(asked.contains("(--keep-management)"), "{asked}");
        assert!(taken.ends_with("SSH through it breaks off"), "{taken}");
        assert_eq!(line(false, "no_default_route", None), None);
        assert_eq!(line(false, "take_everything", None), None);
    }
}
