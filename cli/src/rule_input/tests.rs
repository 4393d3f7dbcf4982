//! Rules and flows in options and files, good and bad.

use std::fs;

use super::*;
use crate::control::Scratch;

fn file(scratch: &Scratch, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = scratch.0.join("rules.txt");
    fs::write(&path, content).expect("a new file");
    path
}

#[test]
fn rules_of_options_go_before_those_of_the_file() {
    let scratch = Scratch::new("order");
    let path = file(&scratch, "# a comment\n\ndefault drop\nudp\n");
    let matches = ["tcp port 80", "pass arp"].map(str::to_owned);

    let both = initial(&matches, Some(&path), None, 1).expect("good rules");
    let options = initial(&matches, None, None, 1).expect("good rules");
    let nothing = initial(&[], None, None, 1).expect("no rules are good, too");

    let expected: Vec<Rule> = ["tcp port 80", "pass arp", "udp"]
        .map(|rule| rule.parse().expect("a good rule"))
        .into();
    assert_eq!(both.rules, expected);
    assert_eq!(both.default, Action::Drop);
    assert_eq!(options.rules, expected[..2]);
    assert_eq!(options.default, Action::Pass);
    assert_eq!(nothing, RuleSet::everything());
}

#[test]
fn bad_rule_is_named_with_its_location_and_shown_with_a_mark() {
    let scratch = Scratch::new("bad-rule");
    let path = file(&scratch, "tcp\n\n  udp port 70000\n");
    let matches = ["tcp".to_owned(), "udp prot 53".to_owned()];

    let of_option = initial(&matches, None, None, 1).expect_err("`prot` is no word");
    let of_file = initial(&[], Some(&path), None, 1).expect_err("no such port");

    let Failure::Text { message, marked } = of_option else {
        panic!("{of_option:?}");
    };
    assert!(message.starts_with("--match: column 5: "), "{message}");
    assert!(message.contains("prot"), "{message}");
    assert!(
        marked.contains("udp prot 53") && marked.contains('^'),
        "{marked}"
    );
    let Failure::Text { message, .. } = of_file else {
        panic!("{of_file:?}");
    };
    assert!(
        message.starts_with(&format!("{}:3:12: ", path.display())),
        "{message}"
    );
    assert!(message.contains("70000"), "{message}");
}

#[test]
fn rule_that_the_forwarder_cannot_follow_is_named_with_its_location() {
    let scratch = Scratch::new("no-xsk");
    let path = file(&scratch, "default pass\nudp\n  redirect:7 udp # both\n");

    let of_option = initial(&["udp".into(), "redirect:7 udp".into()], None, None, 1);
    let of_file = initial(&["arp".into()], Some(&path), None, 1);

    for (result, location) in [
        (of_option, "--match: column 1: ".to_owned()),
        (of_file, format!("{}:3:3: ", path.display())),
    ] {
        let Err(Failure::Text { message, marked }) = result else {
            panic!("{result:?}");
        };
        assert!(
            message.starts_with(&format!("{location}this rule redirects to xsk 7")),
            "{message}"
        );
        assert_eq!(marked, "redirect:7 udp\n^^^^^^^^^^^^^^");
    }
}

#[test]
fn file_that_cannot_be_used_is_refused_with_the_reason() {
    let scratch = Scratch::new("bad-file");
    let big = vec![b'#'; RULES_BYTES_MAX + 1];
    let cases: [(&[u8], &str); 4] = [
        (b"", "it is empty"),
        (b"# only a comment\n\n", "has no rules"),
        (b"tcp\nudp \xff\n", "line 2 is not UTF-8"),
        (&big, "larger than 262144 bytes"),
    ];

    for (content, reason) in cases {
        let path = file(&scratch, content);
        let failure = rules_of_file(&path).expect_err(reason);
        let text = failure.to_string();
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
        assert!(
            text.contains(reason) && text.contains("rules.txt"),
            "{text}"
        );
    }
    let missing = rules_of_file(Path::new("/nonexistent/rules")).expect_err("missing");
    let directory = rules_of_file(&scratch.0).expect_err("a directory");
    assert!(
        missing
            .to_string()
            .contains("cannot read /nonexistent/rules")
    );
    assert!(directory.to_string().contains("directory"), "{directory}");
}

#[test]
fn flows_of_a_file_may_each_name_an_action() {
    let scratch = Scratch::new("flows");
    let good = "tcp 10.0.0.1:1 > 10.0.0.2:80\n# comment\npass udp 10.0.0.1:2 > 10.0.0.2:53 # dns\n";
    let path = file(&scratch, good);

    let flows = flows_of_file(&path, Action::Drop).expect("good flows");

    assert_eq!(flows.len(), 2);
    assert_eq!((flows[0].0.protocol, flows[0].1), (6, Action::Drop));
    assert_eq!((flows[1].0.protocol, flows[1].1), (17, Action::Pass));
    let path = file(&scratch, "tcp 10.0.0.1:1 > 10.0.0.2:80\ndrop nonsense\n");
    let bad = flows_of_file(&path, Action::Drop).expect_err("no flow");
    assert!(bad.to_string().contains("rules.txt:2:6: "), "{bad}");
    let path = file(&scratch, "# none\n");
    let none = flows_of_file(&path, Action::Drop).expect_err("no flows");
    assert!(none.to_string().contains("has no flows"), "{none}");
}

#[test]
fn mark_at_the_beginning_of_a_file_is_no_part_of_its_text() {
    let scratch = Scratch::new("mark");
    let path = file(&scratch, "\u{feff}udp port 53\n");

    let rules = rules_of_file(&path).expect("good rules");
    let wrong = file(&scratch, "\u{feff}udp prot 53\n");
    let wrong = rules_of_file(&wrong).expect_err("`prot` is no word");
    let nothing = file(&scratch, "\u{feff}");
    let nothing = rules_of_file(&nothing).expect_err("no rules");

    assert_eq!(rules.rules, ["udp port 53".parse().expect("a good rule")]);
    assert!(wrong.to_string().contains("rules.txt:1:5: "), "{wrong}");
    assert!(nothing.to_string().contains("it is empty"), "{nothing}");
}

#[test]
fn mark_inside_a_file_is_refused_by_name_unless_in_a_comment() {
    let scratch = Scratch::new("inner-mark");
    let flow = "tcp 10.0.0.1:1 > 10.0.0.2:80";
    let rules = file(&scratch, "udp\n \u{feff}tcp\n");

    let in_rules = rules_of_file(&rules).expect_err("two files were joined");
    let flows = file(&scratch, format!("{flow}\n\u{feff}{flow}\n"));
    let in_flows = flows_of_file(&flows, Action::Pass).expect_err("two files were joined");
    let comment = file(&scratch, "udp\n# \u{feff}joined\n");
    let in_comment = rules_of_file(&comment).expect("a good file");

    for (failure, location) in [(in_rules, ":2:2: "), (in_flows, ":2:1: ")] {
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
        let text = failure.to_string();
        assert!(text.contains(location), "{text}");
        assert!(text.contains("byte-order mark (U+FEFF)"), "{text}");
    }
    assert_eq!(in_comment.rules.len(), 1);
}

#[test]
fn option_for_the_default_goes_before_the_file_and_before_none() {
    let scratch = Scratch::new("default-option");
    let path = scratch.0.join("rules.txt");
    std::fs::write(&path, "udp\ndefault drop\n").expect("a scratch file");
    let matches = ["drop udp port 53".to_owned()];
    let default = |matches: &[String], file: Option<&Path>, named| {
        initial(matches, file, named, 1).map(|rules| rules.default)
    };

    assert_eq!(default(&matches, None, None), Ok(Action::Pass));
    assert_eq!(
        default(&matches, None, Some("redirect")),
        Ok(Action::REDIRECT)
    );
    assert_eq!(default(&[], Some(&path), None), Ok(Action::Drop));
    assert_eq!(default(&[], Some(&path), Some("pass")), Ok(Action::Pass));
    assert_eq!(default(&[], None, Some("drop")), Ok(Action::Drop));
    let wrong = default(&[], None, Some("forward")).expect_err("no action");
    assert!(
        wrong.to_string().starts_with("--default: column 1"),
        "{wrong}"
    );
}
