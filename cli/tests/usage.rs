//! What the binary says and how it exits when no machine could do what it was
//! asked to: one line on standard error and exit code 2. Needs no privileges
//! and touches no interface.

use std::process::{Command, Output, Stdio};

fn wharf(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(line.split_whitespace())
        .output()
        .expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn bad_usage_exits_with_2_and_says_why_in_one_line() {
    let cases = [
        ("", "subcommand"),
        ("frobnicate", "frobnicate"),
        ("forward", "<A> <B>"),
        ("forward eth0", "<B>"),
        ("forward eth0 eth1 eth2", "eth2"),
        ("forward eth0 eth0", "`eth0` is named twice"),
        ("forward eth0 eth1 --queues 0", "at least 1"),
        ("forward eth0 eth1 --queues 65537", "at most 65536"),
        ("forward eth0 eth1 --queues -1", "-1"),
        ("forward eth0 eth1 --queues many", "many"),
        ("forward eth0 eth1 --frames 0", "at least 1"),
        ("forward eth0 eth1 --frames 64", "too few"),
        ("forward eth0 eth1 --batch 0", "at least 1"),
        ("forward eth0 eth1 --ring-size 3000", "power of two"),
        ("forward eth0 eth1 --ring-size 0", "power of two"),
        ("forward eth0 eth1 --chunk-size 1000", "power of two"),
        ("forward eth0 eth1 --chunk-size 65536", "power of two"),
        ("forward eth0 eth1 --cpus 1,1", "named twice"),
        (
            "forward eth0 eth1 --cpus one",
            "`one` is not a CPU's number",
        ),
        ("forward eth0 eth1 --cpus 3-1", "`1-3`"),
        ("forward eth0 eth1 --interval 0", "seconds above 0"),
        ("steer remove one", "digits only"),
        ("forward eth0 eth1 --mode fast", "zero-copy"),
        ("forward eth0 eth1 --attach offload", "generic"),
        ("forward eth0 eth1 --wait never", "adaptive"),
        ("forward eth0 eth1 --duration 0", "above 0"),
        ("forward eth0 eth1 --duration -3", "above 0"),
        ("forward eth0 eth1 --duration soon", "above 0"),
        (
            "forward eth0 eth1 --metrics nowhere",
            "an IP address and a port",
        ),
        (
            "forward eth0 eth1 --metrics 127.0.0.1:99999",
            "an IP address and a port",
        ),
        ("forward eth0 eth1 --limit held=-1", "not be negative"),
        ("bench", "requires a subcommand"),
        ("bench sweep --max-size 0", "at least 1"),
        ("demo --seconds 0", "above 0"),
        ("demo --seconds 1e9", "from 0.1 to 3600"),
        ("demo eth0", "eth0"),
    ];

    for (line, expected) in cases {
        let output = wharf(line);

        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "`wharf {line}` said: {said}");
        assert!(
            said.starts_with("wharf: ") && said.contains(expected),
            "`wharf {line}` said: {said}"
        );
        assert_eq!(
            said.trim_end().lines().count(),
            1,
            "`wharf {line}` said: {said}"
        );
        assert!(
            output.stdout.is_empty(),
            "`wharf {line}` wrote to standard output"
        );
    }
}

#[test]
fn help_names_every_option_and_exits_with_0() {
    let cases: [(&str, &[&str]); 5] = [
        ("--help", &["forward", "steer", "demo", "Examples:"]),
        (
            "steer --help",
            &[
                "list",
                "add",
                "remove",
                "replace",
                "default",
                "flow",
                "--control",
                "--pid",
                "Examples:",
            ],
        ),
        (
            "steer flow --help",
            &["add", "remove", "load", "list", "count"],
        ),
        (
            "forward --help",
            &[
                "--queues",
                "--mode",
                "--attach",
                "--frames",
                "--chunk-size",
                "--ring-size",
                "--batch",
                "--cpus",
                "--wait",
                "--duration",
                "--json",
                "--metrics",
                "--match",
                "--rules",
                "--flow-capacity",
                "--control",
                "--no-control",
                "zero-copy",
                "adaptive",
                "Exit codes:",
            ],
        ),
        ("demo --help", &["--seconds", "--json", "[default: 5]"]),
    ];

    for (line, expected) in cases {
        let output = wharf(line);

        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "`wharf {line}`");
        for word in expected {
            assert!(
                said.contains(word),
                "`wharf {line}` does not say {word}: {said}"
            );
        }
    }
}

#[test]
fn version_is_the_crates() {
    let output = wharf("--version");

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        format!("wharf {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_into_a_closed_pipe_ends_without_a_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["forward", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    drop(child.stdout.take());

    let output = child.wait_with_output().expect("it ends");

    assert_eq!(text(&output.stderr), "");
}
