//! `wharf bench`: small runs of each benchmark, whose output has a form and whose
//! figures nobody looks at.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use wharf_testbed::{Host, require_privileges};
use wharf_tests::wharf_in;

/// Runs a benchmark, which is to end by itself with this exit code.
fn bench(arguments: &[&str], code: i32) -> Output {
    let host = Host::new("bench").expect("a host");
    let before = host.interface_names().expect("the kernel answers");
    let output = wharf_in(&host)
        .arg("bench")
        .args(arguments)
        .run_bounded(Duration::from_secs(120))
        .expect("it ends by itself");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(host.interface_names().expect("the kernel answers"), before);
    output
}

/// The objects of a run with `--json`; the first is the header.
fn objects(arguments: &[&str]) -> Vec<Value> {
    let output = bench(&[arguments, &["--json"]].concat(), 0);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).expect("text");
    let object = |line: &str| serde_json::from_str(line).expect("an object per line");
    let objects: Vec<Value> = text.lines().map(object).collect();
    let header = objects.first().expect("a header");
    assert_eq!(header["type"], "header");
    assert_eq!(header["benchmark"], arguments[0]);
    assert_eq!(header["driver"], "veth");
    assert_eq!(header["mode"], "copy");
    objects
}

/// The table of a run, which fits a terminal.
fn table(arguments: &[&str]) -> String {
    let output = bench(arguments, 0);
    let text = String::from_utf8(output.stdout).expect("text");
    // A processor's name may be long.
    for line in text.lines().skip(1) {
        assert!(line.chars().count() <= 80, "too long: {line}");
    }
    text
}

#[test]
fn machine_is_described_and_nothing_is_measured() {
    if !require_privileges() {
        return;
    }

    let objects = objects(&["machine"]);
    assert_eq!(objects[1]["type"], "worker");
    assert!(objects[1]["chunks"].as_u64() > Some(0), "{objects:?}");
    let text = table(&["machine"]);
    assert!(
        text.contains("Linux ") && text.contains("veth, MTU 1500"),
        "{text}"
    );
}

#[test]
fn unknown_benchmark_is_wrong_usage() {
    let Ok(host) = Host::new("bench") else {
        assert!(!require_privileges());
        return;
    };
    let output = wharf_in(&host)
        .args(["bench", "speed"])
        .run_bounded(Duration::from_secs(30))
        .expect("it ends by itself");

    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("wharf bench --help"), "{said}");
}
