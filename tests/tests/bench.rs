//! `wharf bench`: small runs of each benchmark, whose output has a form and whose
//! figures nobody looks at.

use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use wharf_testbed::{Host, require_privileges, require_program};
use wharf_tests::{keep_sockets_apart, wharf, wharf_in};

/// Runs a benchmark, which is to end by itself with this exit code.
fn bench(arguments: &[&str], code: i32) -> Output {
    // The threads of one benchmark would starve another's.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A benchmark whose rows have a type and these fields at zero.
#[track_caller]
fn assert_intact(rows: &[Value], fields: &[&str]) {
    for row in rows {
        for field in fields {
            assert_eq!(row[field], 0, "{field}: {row}");
        }
    }
}

#[test]
fn stress_loses_damages_and_doubles_nothing() {
    if !require_privileges() {
        return;
    }
    for size in ["0", "1", "64K", "1M"] {
        let arguments = [
            "stress",
            "--messages",
            "40",
            "--sockets",
            "4",
            "--size",
            size,
        ];
        let objects = objects(&arguments);

        let rows = &objects[1..];
        assert_eq!(rows.len(), 4, "alone and together, in place and copied out");
        let fields = [
            "corrupt_messages",
            "lost_completions",
            "duplicate_completions",
            "unsent_messages",
            "unanswered_messages",
            "duplicate_answers",
            "lost_messages",
            "lost_frames",
        ];
        assert_intact(rows, &fields);
        for row in rows {
            let bytes = row["size_bytes"].as_u64().expect("a number") * 40;
            assert_eq!(row["type"], "stress");
            assert_eq!(
                (&row["messages"], &row["verified_bytes"]),
                (&40.into(), &bytes.into())
            );
        }
    }
}

#[test]
fn stress_in_short_frames_is_a_table() {
    if !require_privileges() {
        return;
    }
    let arguments = [
        "stress",
        "--messages",
        "30",
        "--mtu",
        "1500",
        "--window",
        "8",
    ];

    let text = table(
        &[
            &arguments[..],
            &["--size", "20000", "--handling", "in-place"],
        ]
        .concat(),
    );

    assert!(
        text.contains("in place          1      1  20000        30"),
        "{text}"
    );
    assert!(
        text.contains("in place          8     64  20000        30"),
        "{text}"
    );
}

#[test]
fn backstore_returns_every_block_as_it_was_written() {
    if !require_privileges() {
        return;
    }
    let arguments = [
        "backstore",
        "--jobs",
        "2",
        "--depth",
        "3",
        "--requests",
        "60",
    ];
    for more in [["--size", "1"], ["--size", "20000"], ["--size", "256K"]] {
        let objects = objects(&[&arguments[..], &more].concat());

        let rows = &objects[1..];
        let handlings: Vec<_> = rows.iter().map(|row| row["handling"].as_str()).collect();
        assert_eq!(
            handlings,
            [Some("copied_out"), Some("store_copies"), Some("in_place")]
        );
        let fields = [
            "corrupt_answers",
            "unanswered_requests",
            "lost_messages",
            "lost_frames",
        ];
        assert_intact(rows, &fields);
        for row in rows {
            assert_eq!(
                (&row["type"], &row["requests"]),
                (&"backstore".into(), &60.into())
            );
        }
    }
}

#[test]
fn backstore_in_short_frames_is_a_table() {
    if !require_privileges() {
        return;
    }
    let arguments = [
        "backstore",
        "--requests",
        "40",
        "--mtu",
        "1500",
        "--window",
        "16",
    ];

    let text = table(&[&arguments[..], &["--size", "16K"]].concat());

    assert!(
        text.contains("in place         4      8    16K        40"),
        "{text}"
    );
}

#[test]
fn wrong_numbers_of_a_benchmark_are_wrong_usage() {
    if !require_privileges() {
        return;
    }
    for (option, value, reason) in [
        ("--size", "17M", "at most 16M"),
        ("--size", "much", "use a number of bytes"),
        ("--sockets", "0", "from 1 to 64"),
        ("--depth", "2000", "from 1 to 1024"),
        ("--window", "1", "from 8 to 4096"),
        ("--mtu", "70000", "from 576 to 65000"),
    ] {
        let output = bench(&["stress", option, value], 2);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.starts_with("wharf: ") && said.contains(reason),
            "{said}"
        );
    }
}

#[test]
fn latency_has_a_row_for_each_server_at_each_rate() {
    if !require_privileges() {
        return;
    }
    let run = [
        "latency",
        "--rate",
        "100,500",
        "--seconds",
        "1",
        "--size",
        "100",
    ];

    let objects = objects(&run);

    let rows = &objects[1..];
    let named = |row: &Value| {
        assert_eq!(row["type"], "latency", "{row}");
        let server = row["server"].as_str().expect("a name").to_owned();
        (row["requests_per_second"].as_u64().expect("a rate"), server)
    };
    let names: Vec<_> = rows.iter().map(named).collect();
    let servers = ["spin", "adaptive", "poll", "kernel"];
    let expected = [100, 500].map(|rate| servers.map(|server| (rate, server.to_owned())));
    assert_eq!(names, expected.concat());
    for row in rows {
        assert_eq!(
            row["sent"], row["requests_per_second"],
            "a second of them: {row}"
        );
        assert_eq!(row["sent"], row["answered"], "{row}");
        let ranks = ["p50", "p90", "p99", "p99_9", "max"];
        let values = ranks.map(|rank| row[format!("{rank}_nanoseconds")].as_u64());
        assert!(values[0] > Some(0) && values.is_sorted(), "{row}");
    }
}

#[test]
fn backstore_ends_where_there_is_memory_for_one_job_only() {
    if !require_privileges() || !require_program("prlimit") {
        return;
    }
    let host = Host::new("bench").expect("a host");
    let mut command = host.command("prlimit");
    command
        .arg("--as=900000000")
        .arg(wharf().display().to_string())
        .args(["bench", "backstore", "--requests", "4"])
        .args(["--jobs", "2", "--depth", "32", "--size", "4M"]);
    keep_sockets_apart(&mut command);

    let output = command.run_bounded(Duration::from_secs(60));

    let output = output.expect("it ends by itself");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("RLIMIT_AS"), "{said}");
}

#[test]
fn root_of_a_user_namespace_is_told_so_in_one_line() {
    if !require_privileges() || !require_program("unshare") {
        return;
    }
    let host = Host::new("bench").expect("a host");
    let mut command = host.command("unshare");
    command
        .arg("--user")
        .arg("--map-root-user")
        .arg(wharf().display().to_string())
        .args(["bench", "pass"]);
    keep_sockets_apart(&mut command);

    let output = command.run_bounded(Duration::from_secs(60));

    let output = output.expect("it ends by itself");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("Operation not permitted"), "{said}");
}

#[test]
fn latency_as_a_table_fits_a_terminal() {
    if !require_privileges() {
        return;
    }

    let text = table(&["latency", "--rate", "200", "--seconds", "0.5"]);

    for server in ["spin", "adaptive", "poll", "kernel"] {
        assert!(text.contains(&format!("\n{server} ")), "{text}");
    }
}

#[test]
fn latency_at_impossible_rates_or_sizes_is_wrong_usage() {
    let Ok(host) = Host::new("bench") else {
        assert!(!require_privileges());
        return;
    };
    for (option, value, word) in [
        ("--rate", "0", "1 to 1000000"),
        ("--rate", "1000,,5", "digits"),
        ("--rate", "1000001", "1 to 1000000"),
        ("--size", "7", "8 to 1472"),
        ("--size", "1473", "8 to 1472"),
        ("--seconds", "0", "seconds"),
        ("--seconds", "nan", "seconds"),
    ] {
        let output = wharf_in(&host)
            .args(["bench", "latency", option, value])
            .run_bounded(Duration::from_secs(30))
            .expect("it ends by itself");

        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(option) && said.contains(word), "{said}");
    }
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

#[test]
fn soak_accounts_for_every_frame_and_cookie() {
    if !require_privileges() {
        return;
    }

    for seed in ["1", "2"] {
        let objects = objects(&["soak", "--seconds", "3", "--seed", seed]);
        assert_eq!(objects[1]["type"], "interval");
        let summary = objects.last().expect("a summary");
        assert_eq!(summary["type"], "summary");
        let number = |name: &str| summary[name].as_u64().expect("a number");
        for name in [
            "frames",
            "held",
            "detached",
            "retransmitted",
            "limit_changes",
            "audits",
            "cookies_returned",
        ] {
            assert!(number(name) > 0, "{name}: {summary}");
        }
        assert_eq!(
            number("cookies"),
            number("cookies_sent") + number("cookies_aborted")
        );
        assert_eq!(summary["conserved"], true);
    }
    let text = table(&["soak", "--frames", "5000"]);
    assert!(text.contains("cookies reported twice"), "{text}");
}

#[test]
fn sweep_prints_a_row_for_each_size() {
    if !require_privileges() {
        return;
    }
    let few = ["sweep", "--rounds", "3", "--held", "40"];
    let output = bench(&[&few[..], &["--json"]].concat(), 0);
    let text = String::from_utf8(output.stdout).expect("text");
    let object = |line: &str| serde_json::from_str(line).expect("an object per line");
    let objects: Vec<Value> = text.lines().map(object).collect();

    assert_eq!(objects[0]["benchmark"], "sweep");
    let (rows, result) = objects[1..].split_at(objects.len() - 2);
    let sizes: Vec<_> = rows.iter().map(|row| &row["size_bytes"]).collect();
    assert_eq!(
        (sizes[0], sizes[sizes.len() - 1]),
        (&1.into(), &65_536.into())
    );
    assert!(sizes.contains(&&Value::from(4096)), "{sizes:?}");
    for row in rows {
        assert_eq!(
            (&row["type"], &row["held_frames"]),
            (&"sweep".into(), &40.into())
        );
        for column in ["copied", "in_place", "auto"] {
            for unit in ["nanoseconds", "bytes_per_second"] {
                let figure = row[format!("{column}_{unit}")].as_f64();
                assert!(figure > Some(0.0), "{column}_{unit}: {row}");
            }
        }
        assert!(row["auto_to_better"].as_f64() > Some(0.0), "{row}");
    }
    assert_eq!(result[0]["type"], "result");
    assert!(
        result[0]["worst_percent"].as_f64() >= Some(0.0),
        "{result:?}"
    );

    let text = table(&[&few[..], &["--max-size", "64", "--copybreak", "32"]].concat());
    assert!(
        text.contains("size       copied    in place   ratio"),
        "{text}"
    );
    assert!(
        text.contains("copybreak") && text.contains("\n32 "),
        "{text}"
    );
}

#[test]
fn sweep_refuses_what_makes_no_sense() {
    if !require_privileges() {
        return;
    }
    for wrong in [
        ["--held", "0"],
        ["--rounds", "0"],
        ["--copybreak", "4097"],
        ["--copybreak", "never"],
        ["--max-size", "1X"],
    ] {
        let output = bench(&[&["sweep"][..], &wrong].concat(), 2);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(wrong[0]), "{text}");
    }
}
