//! What a host's stack counts.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use wharf_testbed::Host;

/// The counters of wrong checksums that are not zero, by name.
pub fn checksum_errors(host: &Host) -> Vec<(String, u64)> {
    let mut counters = counters(host);
    counters.retain(|name, count| name.ends_with("InCsumErrors") && *count > 0);
    counters.into_iter().collect()
}

/// A counter by its name, for example `UdpInCsumErrors`.
pub fn counter(host: &Host, name: &str) -> u64 {
    counters(host).get(name).copied().unwrap_or_default()
}

fn counters(host: &Host) -> BTreeMap<String, u64> {
    let read = |file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        host.run(|| read_to_string(path).unwrap_or_default())
    };
    let mut counters = BTreeMap::new();
    for file in ["snmp", "netstat"] {
        let text = read(file);
        let lines: Vec<_> = text.lines().collect();
        // A line of names, and one of values.
        for pair in lines.chunks_exact(2) {
            let prefix = pair[0].split(':').next().unwrap_or_default();
            let names = pair[0].split_whitespace().skip(1);
            let values = pair[1].split_whitespace().skip(1);
            for (name, value) in names.zip(values) {
                counters.insert(format!("{prefix}{name}"), value.parse().unwrap_or_default());
            }
        }
    }
    for line in read("snmp6").lines() {
        if let Some((name, value)) = line.split_once(char::is_whitespace) {
            counters.insert(name.to_owned(), value.trim().parse().unwrap_or_default());
        }
    }
    counters
}
