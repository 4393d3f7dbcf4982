//! What an operator meets in the first hour of `wharf forward`: the options of its
//! output, and how it ends.

use wharf::Attach;
use wharf_testbed::{Testbed, Wire, require_privileges};
use wharf_tests::{Forward, SOON, wharf_in};

/// `None` says that the case is skipped.
fn wire() -> Option<Wire> {
    require_privileges().then(|| Testbed::wire().expect("a wire"))
}

/// What `wharf forward left right` with `options` writes to standard output.
fn written(wire: &Wire, options: &[&str]) -> String {
    let mut command = wharf_in(wire.forwarder());
    let names = [wire.left().name(), wire.right().name()];
    command.args(["forward", names[0], names[1]]).args(options);
    let output = command.run_bounded(SOON).expect("it ends by itself");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// As `timeout -s INT` does, which signals its child and then the process group.
#[test]
fn interrupt_that_comes_twice_at_once_ends_the_run_in_order() {
    let Some(wire) = wire() else { return };
    let mut forward = Forward::start(&wire, Attach::Auto, &[]);

    for _ in 0..2 {
        forward.process().signal(libc::SIGINT).expect("it runs");
    }
    let (status, report) = forward.end();

    assert!(status.success(), "{status}");
    assert_eq!(report.summary["outcome"], "interrupted");
    report.assert_conserved();
}

#[test]
fn quiet_run_prints_the_setup_and_the_summary() {
    let Some(wire) = wire() else { return };

    let text = written(&wire, &["--quiet", "--duration", "1.2"]);
    let json = written(&wire, &["--quiet", "--duration", "1.2", "--json"]);

    assert!(!text.contains("seconds  from"), "{text}");
    assert!(text.contains("worker 0 on CPU"), "{text}");
    assert!(text.contains("conserved: 0 frames in"), "{text}");
    assert_eq!(json.lines().count(), 1, "{json}");
    assert!(json.starts_with(r#"{"type":"summary""#), "{json}");
}

#[test]
fn interval_is_as_long_as_it_was_asked_to_be() {
    let Some(wire) = wire() else { return };
    let times = |text: &str| -> Vec<f64> {
        let objects = text.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("one object per line")
        });
        let intervals = objects.filter(|object| object["type"] == "interval");
        intervals
            .map(|object| object["elapsed_seconds"].as_f64().expect("a number"))
            .collect()
    };

    let often = times(&written(
        &wire,
        &["--interval", "0.2", "--duration", "1.1", "--json"],
    ));
    let rarely = times(&written(
        &wire,
        &["--interval", "30", "--duration", "1.1", "--json"],
    ));

    // A machine that is busy may skip some.
    assert!(often.len() > 2, "{often:?}");
    assert_eq!(rarely.len(), 1, "only the end: {rarely:?}");
}

#[test]
fn output_into_a_pipe_is_plain_text_of_eighty_columns() {
    let Some(wire) = wire() else { return };

    let text = written(&wire, &["--duration", "1.2"]);

    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(is_plain), "{text:?}");
    let table = text.lines().skip_while(|line| !line.starts_with("seconds"));
    assert!(table.clone().count() > 10, "{text}");
    for line in table {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
