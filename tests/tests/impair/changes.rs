//! Impairments that change while the forwarder runs.

use wharf::Attach;
use wharf_tests::{ControlDirectory, Forward, SOON, number, wait_until};

use super::{did, receive, receiver, send, wire};

#[test]
fn impairments_are_set_listed_and_cleared() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let forward = control.forward(&wire, Attach::Native, &[]);
    let mut receiver = receiver(&wire);
    send(&wire, 50);
    assert_eq!(receive(&mut receiver, 50).len(), 50);
    assert_eq!(
        control.impairments()["directions"][0]["impairment"],
        serde_json::Value::Null
    );

    let said = control.impair(&["set", "--from", "left", "loss", "100%"]);
    assert!(
        said.contains("revision 2") && said.contains("left -> right: loss 100%"),
        "{said}"
    );
    send(&wire, 50);
    wait_until("they are lost", SOON, || {
        did(&control.impairments(), "lost_frames") == 50
    });

    control.impair(&["set", "delay 100s limit 1000"]);
    send(&wire, 30);
    wait_until("they are held", SOON, || {
        did(&control.impairments(), "held_frames") == 30
    });
    control.impair(&["clear", "--revision", "3"]);
    send(&wire, 20);
    assert_eq!(receive(&mut receiver, 20).len(), 20);
    assert_eq!(
        did(&control.impairments(), "held_frames"),
        30,
        "until their time"
    );

    let report = forward.stop();
    assert_eq!(receive(&mut receiver, 30).len(), 30, "sent at the end");
    report.assert_conserved();
    assert_eq!(report.total("dropped_frames"), 50);
    assert_eq!(report.total("tx_frames"), 50 + 30 + 20);
}

#[test]
fn what_is_refused_changes_nothing() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = ["--impair", "delay 1ms"];
    let forward = control.forward(&wire, Attach::Native, &options);

    let cases: [(&[&str], i32, &str); 7] = [
        (&["set", "delay", "-5ms"], 2, "-5ms is negative"),
        (&["set", "dealy 5ms"], 2, "did you mean `delay`?"),
        (&["set", ""], 2, "there is no text"),
        (
            &["set", "--from", "middle", "loss 1%"],
            1,
            "use left or right",
        ),
        (&["set", "--revision", "7", "loss 1%"], 1, "at revision 1"),
        (&["clear", "--revision", "7"], 1, "at revision 1"),
        (&["set", "delay 1ms limit 1000000"], 1, "say `limit "),
    ];
    for (words, code, needle) in cases {
        let output = control.try_impair(words);
        let errors = String::from_utf8_lossy(&output.stderr);

        assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
        assert!(errors.contains(needle), "{words:?}: {errors}");
        assert!(errors.starts_with("wharf: "), "{errors}");
    }

    let listing = control.impairments();
    assert_eq!(number(&listing, "revision"), 1);
    for direction in listing["directions"].as_array().expect("two") {
        assert_eq!(direction["impairment"], "delay 1ms");
    }
    forward.stop().assert_conserved();
}

#[test]
fn wrong_impairments_are_refused_before_the_start() {
    let Some(wire) = wire() else { return };
    let cases: [(&[&str], &str); 9] = [
        (
            &["--impair", "delay -5ms"],
            "--impair: column 7: -5ms is negative",
        ),
        (&["--impair", "loss 101%"], "101% is too large"),
        (&["--impair", "los 1%"], "did you mean `loss`?"),
        (&["--impair", ""], "there is no text"),
        (&["--impair", "delay 1ms delay 2ms"], "twice"),
        (&["--impair", "reorder 5%"], "add `delay TIME`"),
        (&["--impair-from", "up", "loss 1%"], "use left or right"),
        (
            &["--impair-from", "left", "limit 0"],
            "--impair-from left: column 7",
        ),
        (
            &["--frames", "1024", "--impair", "delay 1s limit 5000"],
            "use --frames ",
        ),
    ];
    for (options, needle) in cases {
        let output = Forward::refused(&wire, options);
        let errors = String::from_utf8_lossy(&output.stderr);

        assert_eq!(output.status.code(), Some(2), "{options:?}: {errors}");
        let error = errors.lines().find(|line| line.contains(needle));
        assert!(error.is_some(), "{options:?}: {errors}");
    }
}
