//! Rules that cannot be used, on the command line: one line on standard error that
//! names the option or the location in the file and what was expected, below it the
//! text with a mark, and exit code 2. Needs no privileges and touches no interface.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn wharf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(arguments)
        .env("WHARF_CONTROL_DIR", "/nonexistent/wharf")
        .output()
        .expect("the binary was built")
}

/// The lines on standard error.
#[track_caller]
fn refused(arguments: &[&str]) -> Vec<String> {
    let output = wharf(arguments);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(said.starts_with("wharf: "), "{arguments:?}: {said}");
    said.lines().map(str::to_owned).collect()
}

struct File(PathBuf);

impl File {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let name = format!("wharf-rules-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("a new file");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("a plain name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The rule, the column at which it is wrong, what is said of it, and the word that
/// is marked.
const BAD_RULES: [(&str, usize, &str, &str); 13] = [
    ("udp prot 53", 5, "did you mean `proto`", "prot"),
    ("acept udp", 1, "unknown word `acept`", "acept"),
    ("net 10.0.0.0/33", 5, "use 0 to 32", "10.0.0.0/33"),
    ("net 10.0.0.1/8", 5, "use 10.0.0.0/8", "10.0.0.1/8"),
    ("ip6 net fd00::/129", 9, "use 0 to 128", "fd00::/129"),
    ("host 10.0.0", 6, "10.0.0", "10.0.0"),
    ("port 70000", 6, "use 0 to 65535", "70000"),
    ("tcp port http", 10, "use 80", "http"),
    ("portrange 9-5", 11, "use 5-9", "9-5"),
    ("tcp and udp", 9, "exclude each other", "udp"),
    ("vlan 5000", 6, "use 0 to 4095", "5000"),
    ("vlan 1 and vlan 2", 17, "inner vlan 2", "2"),
    ("tcp or (udp and port 53", 8, "not closed", "("),
];

#[test]
fn bad_rule_is_refused_with_its_column_and_marked() {
    for (rule, column, reason, word) in BAD_RULES {
        for (arguments, source) in [
            (
                ["forward", "eth0", "eth1", "--match", rule].as_slice(),
                "--match",
            ),
            (&["steer", "add", rule], "add"),
        ] {
            let said = refused(arguments);

            assert_eq!(said.len(), 3, "{said:#?}");
            let location = format!("wharf: {source}: column {column}: ");
            assert!(said[0].starts_with(&location), "{said:#?}");
            assert!(said[0].contains(reason), "{said:#?}");
            assert_eq!(said[1], format!("  {rule}"));
            let mark = format!(
                "{}{}",
                " ".repeat(column + 1),
                "^".repeat(word.len().max(1))
            );
            assert_eq!(said[2], mark, "{said:#?}");
        }
    }
}

/// `wharf steer` does not know how many there are; the forwarder does.
#[test]
fn xsk_that_a_queue_does_not_have_is_refused() {
    let file = File::new("xsk", "arp\nredirect:2 udp\n");
    for (xsks, option, rule) in [
        ("1", "--match", "redirect:1 udp"),
        ("2", "--rules", file.name()),
    ] {
        let said = refused(&[
            "forward",
            "eth0",
            "eth1",
            "--xsks-per-queue",
            xsks,
            option,
            rule,
        ]);

        assert!(
            said[0].contains(&format!("a queue has {xsks}")),
            "{said:#?}"
        );
        assert!(said[2].contains("^^^^"), "{said:#?}");
    }
}

#[test]
fn bad_line_of_a_file_is_refused_with_its_number_and_column() {
    for (rule, column, reason, _) in BAD_RULES {
        let file = File::new("bad", format!("# rules\n\narp\n  {rule}\nudp\n"));

        for arguments in [
            ["forward", "eth0", "eth1", "--rules", file.name()].as_slice(),
            &["steer", "replace", file.name()],
        ] {
            let said = refused(arguments);

            let location = format!("wharf: {}:4:{}: ", file.name(), column + 2);
            assert!(said[0].starts_with(&location), "{said:#?}");
            assert!(said[0].contains(reason), "{said:#?}");
            assert_eq!(said.len(), 3, "{said:#?}");
        }
    }
}

#[test]
fn file_that_holds_no_rules_is_refused_with_the_reason() {
    let many: String = (0..3000)
        .map(|port| format!("udp dst port {port}\n"))
        .collect();
    let cases: [(&[u8], &str); 6] = [
        (b"", "it is empty"),
        (b"# nothing\n\n", "has no rules"),
        (b"udp\n\xff\xfe\n", "line 2 is not UTF-8"),
        (
            b"default pass\nudp\ndefault drop\n",
            ":3:1: `default` is given twice",
        ),
        (&vec![b'#'; 2 << 20], "larger than 262144 bytes"),
        (many.as_bytes(), ":257:1: this rule makes"),
    ];

    for (content, reason) in cases {
        let file = File::new("none", content);
        let said = refused(&["forward", "eth0", "eth1", "--rules", file.name()]);
        assert!(
            said[0].contains(reason) && said[0].contains(file.name()),
            "{reason}: {said:#?}"
        );
    }
    let missing = refused(&["forward", "eth0", "eth1", "--rules", "/nonexistent/rules"]);
    let directory = refused(&["forward", "eth0", "eth1", "--rules", "/"]);
    assert!(missing[0].contains("cannot read /nonexistent/rules: No such file"));
    assert!(directory[0].contains("cannot read /: Is a directory"));
    assert_eq!((missing.len(), directory.len()), (1, 1));
}

#[test]
fn other_misuse_is_refused_in_one_line() {
    let cases: [(&[&str], &str); 14] = [
        (
            &["forward", "eth0", "eth1", "--match", ""],
            "there is no text",
        ),
        (
            &["forward", "eth0", "eth1", "--match", "default drop"],
            "`default ACTION` is not a rule",
        ),
        (&["forward", "eth0", "eth1", "--match"], "--match"),
        (&["forward", "eth0", "eth1", "--flow-capacity", "-1"], "-1"),
        (
            &["forward", "eth0", "eth1", "--control", "/c", "--no-control"],
            "--no-control",
        ),
        (&["steer"], "subcommand"),
        (&["steer", "flow"], "subcommand"),
        (&["steer", "sing"], "sing"),
        (&["steer", "add"], "<RULE>"),
        (&["steer", "add", "--at", "0", "udp"], "counted from 1"),
        (&["steer", "remove", "one"], "one"),
        (&["steer", "remove", "1", "--revision", "x"], "x"),
        (&["steer", "list", "--pid", "1", "--control", "/c"], "--pid"),
        (
            &["steer", "flow", "load", "/nonexistent/flows"],
            "/nonexistent/flows",
        ),
    ];

    for (arguments, reason) in cases {
        let said = refused(arguments);
        assert_eq!(said.len(), 1, "{arguments:?}: {said:#?}");
        assert!(said[0].contains(reason), "{arguments:?}: {said:#?}");
    }
}

#[test]
fn bad_action_and_flow_are_refused_with_their_location() {
    let cases: [(&[&str], &str); 4] = [
        (
            &["steer", "default", "accept"],
            "default: column 1: unknown action `accept`",
        ),
        (
            &["steer", "flow", "add", "--action", "keep", "tcp a > b"],
            "--action: column 1: ",
        ),
        (
            &["steer", "flow", "add", "tcp 10.0.0.1 > 10.0.0.2:80"],
            "flow add: column 5: ",
        ),
        (
            &["steer", "flow", "remove", "tcp 10.0.0.1:1"],
            "flow remove: column",
        ),
    ];

    for (arguments, location) in cases {
        let said = refused(arguments);
        assert!(
            said[0].starts_with(&format!("wharf: {location}")),
            "{said:#?}"
        );
        assert_eq!(said.len(), 3, "{said:#?}");
    }
}

#[test]
fn steer_without_a_forwarder_says_so_and_exits_with_1() {
    for arguments in [
        ["steer", "list"].as_slice(),
        &["steer", "add", "udp"],
        &["steer", "flow", "count"],
    ] {
        let output = wharf(arguments);

        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("no forwarder listens in /nonexistent/wharf"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
