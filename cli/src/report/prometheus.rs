//! The counters of table and listing in Prometheus' text format.
//!
//! The engine gives those of xsks to the recorder itself. These are made for each
//! scrape: so they are of that moment, and a removed rule leaves no series behind.

use std::fmt::{Display, Write};

use metrics_exporter_prometheus::formatting::{
    sanitize_label_value, write_help_line, write_type_line,
};
use wharf::{Counters, InterfaceId, Snapshot, WorkerStats, pinned_bytes};

use super::setup::{Interface, Setup};
use super::usage::{Usage, usage};
use crate::control::{HitCount, ImpairmentEntry, Listing};

/// All families, each with its series. Without `listing`, those of rules are left out.
pub fn prometheus(
    setup: &Setup,
    now: &Snapshot,
    listing: Option<&Listing>,
    impaired: &[ImpairmentEntry],
) -> String {
    let mut page = Page::default();
    page.family("wharf_build_info", "gauge", "The version of wharf");
    page.series(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("wharf_interface_info", "gauge", "What each interface got");
    for interface in &setup.interfaces {
        interface_info(&mut page, setup, interface);
    }
    for (name, help, count) in FRAMES {
        page.family(name, "counter", help);
        for (id, interface) in setup.interfaces.iter().enumerate() {
            let counters = now.interface_totals(InterfaceId(id));
            page.series(&[("interface", &interface.name)], count(&counters));
        }
    }
    if let Some(listing) = listing {
        page.family(
            "wharf_rule_hits_total",
            "counter",
            "Frames that a rule decided, or what else decides",
        );
        rule_hits(&mut page, listing);
    }
    for (name, kind, help, count) in IMPAIRED {
        page.family(name, kind, help);
        for entry in impaired {
            page.series(&[("interface", &entry.from)], count(entry));
        }
    }
    limits(&mut page, setup, now);
    page.family(
        "wharf_worker_cpu_seconds_total",
        "counter",
        "CPU time that the worker's thread used",
    );
    for worker in &now.workers {
        worker_cpu(&mut page, worker);
    }
    page.0
}

type Count = fn(&Counters) -> u64;

/// Name, description and value of each count of an interface.
const FRAMES: [(&str, &str, Count); 3] = [
    (
        "wharf_frames_in_total",
        "Frames that came in and were steered to wharf",
        |counters| counters.frames_in,
    ),
    (
        "wharf_frames_passed_total",
        "Frames that came in and were passed to the kernel",
        |counters| counters.frames_passed,
    ),
    (
        "wharf_frames_dropped_by_rule_total",
        "Frames that came in and were dropped by a rule",
        |counters| counters.frames_dropped_by_rule,
    ),
];

type ImpairedCount = fn(&ImpairmentEntry) -> u64;

/// Name, kind, description and value of each count of what impairments did to frames that
/// came in on an interface. Those that were lost are among the drops.
const IMPAIRED: [(&str, &str, &str, ImpairedCount); 4] = [
    (
        "wharf_impaired_held_frames",
        "gauge",
        "Frames that an impairment holds",
        |entry| entry.held_frames,
    ),
    (
        "wharf_impaired_duplicated_total",
        "counter",
        "Frames that an impairment sent twice",
        |entry| entry.duplicated_frames,
    ),
    (
        "wharf_impaired_corrupted_total",
        "counter",
        "Frames of which an impairment flipped a bit",
        |entry| entry.corrupted_frames,
    ),
    (
        "wharf_impaired_reordered_total",
        "counter",
        "Frames that an impairment sent before others",
        |entry| entry.reordered_frames,
    ),
];

fn interface_info(page: &mut Page, setup: &Setup, interface: &Interface) {
    let modes = setup.modes_of(&interface.name);
    let mut modes: Vec<&str> = modes.iter().map(|(mode, _)| *mode).collect();
    modes.sort_unstable();
    modes.dedup();
    let labels = [
        ("interface", interface.name.as_str()),
        ("driver", interface.driver.as_deref().unwrap_or_default()),
        ("attach", &interface.attach),
        ("mode", &modes.join(",")),
    ];
    page.series(&labels, 1);
}

/// A series per rule and interface. Rules that are the same have one together, as
/// labels must differ. What is not a rule has a name that no rule begins with.
fn rule_hits(page: &mut Page, listing: &Listing) {
    let mut all: Vec<(&str, Vec<u64>)> = Vec::new();
    let rules = listing.rules.iter();
    let rules = rules.map(|entry| (entry.rule.as_str(), &entry.hits));
    let others: [(&str, &HitCount); 5] = [
        ("default", &listing.default.hits),
        ("flows", &listing.flows.hits),
        ("management", &listing.management.hits),
        ("no socket", &listing.no_xsk.hits),
        ("removed", &listing.removed.hits),
    ];
    for (rule, hits) in rules.chain(others) {
        let by_interface = &hits.hits_by_interface;
        match all.iter_mut().find(|(same, _)| *same == rule) {
            Some((_, sums)) => {
                for (sum, hits) in sums.iter_mut().zip(by_interface) {
                    *sum += hits;
                }
            }
            None => all.push((rule, by_interface.clone())),
        }
    }
    for (rule, hits) in all {
        for (interface, hits) in listing.interfaces.iter().zip(hits) {
            page.series(&[("interface", interface), ("rule", rule)], hits);
        }
    }
}

/// What is used of packet memory, and what may be.
fn limits(page: &mut Page, setup: &Setup, now: &Snapshot) {
    let all = usage(setup, now);
    let mut family = |name, help, label, values: fn(&Usage) -> Vec<(&'static str, u32)>| {
        page.family(name, "gauge", help);
        for one in &all {
            let (queue, xsk) = (one.queue.to_string(), one.xsk.map(|xsk| xsk.to_string()));
            for (what, chunks) in values(one) {
                let mut labels = vec![("interface", one.interface.as_str()), ("queue", &queue)];
                labels.extend(xsk.as_deref().map(|xsk| ("xsk", xsk)));
                labels.push((label, what));
                page.series(&labels, chunks);
            }
        }
    };
    family(
        "wharf_chunks",
        "Chunks of packet memory that are charged to the queue, held by the application and in transmit",
        "use",
        |one| {
            vec![
                ("charged", one.charged_chunks),
                ("held", one.held_chunks),
                ("transmit", one.transmit_chunks),
            ]
        },
    );
    family(
        "wharf_chunks_limit",
        "Chunks of packet memory that may be, and the floor that stays with the kernel",
        "limit",
        |one| {
            vec![
                ("chunks", one.limits.chunks),
                ("floor", one.limits.floor),
                ("held", one.limits.held),
                ("transmit", one.limits.transmit),
            ]
        },
    );
    page.family(
        "wharf_pinned_bytes",
        "gauge",
        "Packet memory that this process has pinned",
    );
    page.series(&[], pinned_bytes());
}

fn worker_cpu(page: &mut Page, worker: &WorkerStats) {
    let number = worker.worker.to_string();
    let cpu = worker.cpu.map(|cpu| cpu.to_string()).unwrap_or_default();
    let seconds = worker.cpu_time.as_secs_f64();
    page.series(&[("worker", &number), ("cpu", &cpu)], seconds);
}

/// The text so far, and the family that series belong to.
#[derive(Default)]
struct Page(String, &'static str);

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        write_help_line(&mut self.0, name, None, None, help);
        write_type_line(&mut self.0, name, None, None, kind);
        self.1 = name;
    }

    fn series(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", sanitize_label_value(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        writeln!(self.0, "{}{labels} {value}", self.1).expect("a string takes all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::interval::tests::snapshot;
    use crate::report::rules::tests::listing;
    use crate::report::setup::tests::setup;

    #[test]
    fn page_has_what_table_and_listing_have() {
        let mut now = snapshot(4, 100);
        now.xsks[0].counters.frames_passed = 7;
        now.xsks[1].counters.frames_dropped_by_rule = 5;
        now.xsks[0].usage.held = 9;
        now.xsks[0].limits.held = 64;

        let impaired = ImpairmentEntry {
            from: "eth1".into(),
            held_frames: 3,
            duplicated_frames: 2,
            ..ImpairmentEntry::default()
        };
        let page = prometheus(&setup(), &now, Some(&listing()), &[impaired]);

        for line in [
            concat!(
                "wharf_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            r#"wharf_interface_info{interface="eth0",driver="veth",attach="native",mode="copy"} 1"#,
            "# TYPE wharf_frames_in_total counter",
            r#"wharf_frames_in_total{interface="eth0"} 100"#,
            r#"wharf_frames_in_total{interface="eth1"} 0"#,
            r#"wharf_frames_passed_total{interface="eth0"} 7"#,
            r#"wharf_frames_dropped_by_rule_total{interface="eth1"} 5"#,
            r#"wharf_rule_hits_total{interface="eth1",rule="redirect tcp port 8080"} 234"#,
            r#"wharf_rule_hits_total{interface="eth0",rule="default"} 5"#,
            "# TYPE wharf_impaired_held_frames gauge",
            r#"wharf_impaired_held_frames{interface="eth1"} 3"#,
            r#"wharf_impaired_duplicated_total{interface="eth1"} 2"#,
            r#"wharf_chunks{interface="eth0",queue="0",use="held"} 9"#,
            r#"wharf_chunks_limit{interface="eth0",queue="0",limit="held"} 64"#,
            r#"wharf_worker_cpu_seconds_total{worker="0",cpu="1"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn no_series_is_there_twice_and_each_family_is_in_one_piece() {
        let mut listing = listing();
        let mut again = listing.rules[0].clone();
        again.number = 3;
        listing.rules.push(again);

        let page = prometheus(&setup(), &snapshot(1, 1), Some(&listing), &[]);

        let mut names: Vec<&str> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').expect("name and value").0)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{page}");
        assert!(
            page.contains(r#"rule="redirect tcp port 8080"} 2000"#),
            "{page}"
        );
        let types = page.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(types.count(), 14, "{page}");
    }

    #[test]
    fn rules_are_left_out_while_they_cannot_be_asked() {
        let page = prometheus(&setup(), &snapshot(1, 1), None, &[]);

        assert!(!page.contains("wharf_rule_hits_total"), "{page}");
        assert!(page.contains("wharf_frames_in_total"), "{page}");
    }
}
