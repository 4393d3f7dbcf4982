//! How many frames are held, and the memory for them.

use wharf::Attach;
use wharf_tests::{ControlDirectory, Forward, SOON, wait_until};

use super::{did, receive, receiver, send, wire};

#[test]
fn frames_beyond_the_limit_are_dropped_and_counted() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = ["--impair", "delay 100s limit 100"];
    let forward = control.forward(&wire, Attach::Native, &options);
    let mut receiver = receiver(&wire);

    send(&wire, 300);
    wait_until("all have come", SOON, || {
        let now = control.impairments();
        did(&now, "held_frames") + did(&now, "over_limit_frames") == 300
    });
    assert_eq!(did(&control.impairments(), "over_limit_frames"), 200);

    let report = forward.stop();
    assert_eq!(receive(&mut receiver, 100).len(), 100);
    report.assert_conserved();
    assert_eq!(report.dropped("impaired_limit"), 200);
    assert_eq!(report.total("dropped_frames"), 200);
}

#[test]
fn error_names_the_frames_that_suffice() {
    let Some(wire) = wire() else { return };
    let impairment = ["--impair", "delay 1ms limit 5000"];
    let refused = Forward::refused(&wire, &[&["--frames", "1024"], &impairment[..]].concat());
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    let (_, after) = errors.split_once("--frames ").expect("it names the option");
    let frames: String = after.chars().take_while(char::is_ascii_digit).collect();

    let enough = ["--frames", &frames, impairment[0], impairment[1]];
    Forward::start(&wire, Attach::Native, &enough)
        .stop()
        .assert_conserved();

    // Nothing has to be named where nothing was.
    let report = Forward::start(
        &wire,
        Attach::Native,
        &["--impair", "delay 1ms limit 20000"],
    );
    let report = report.stop();
    let chunks = &report.summary["setup"]["workers"][0]["chunks"];
    assert!(chunks.as_u64() >= Some(40_000), "{chunks}");
}

#[test]
fn more_held_frames_than_fit_the_memory_are_the_impairments_drops() {
    let Some(wire) = wire() else { return };
    let control = ControlDirectory::new();
    let options = [
        "--frames",
        "2048",
        "--ring-size",
        "256",
        "--impair",
        "delay 100s",
    ];
    let forward = control.forward(&wire, Attach::Native, &options);
    let capacity = control.impairments()["capacity_frames"]
        .as_u64()
        .expect("a number");

    send(&wire, capacity + 500);
    wait_until("all have come", SOON, || {
        let now = control.impairments();
        did(&now, "held_frames") + did(&now, "over_limit_frames") == capacity + 500
    });

    let report = forward.stop();
    report.assert_conserved();
    assert_eq!(report.dropped("impaired_limit"), 500);
    assert_eq!(report.dropped("rx_throttled"), 0);
}

#[test]
fn impairment_that_needs_more_than_a_limit_allows_is_refused() {
    let Some(wire) = wire() else { return };
    let impair = ["--impair", "delay 1ms limit 101"];
    for limit in ["held=100", "chunks=356,floor=256"] {
        let refused = Forward::refused(&wire, &[&impair[..], &["--limit", limit]].concat());
        let errors = String::from_utf8_lossy(&refused.stderr);

        assert_eq!(refused.status.code(), Some(2), "{errors}");
        for needle in ["--limit have room for 100", "`limit 100`"] {
            assert!(errors.contains(needle), "no `{needle}`: {errors}");
        }
    }
    for options in [
        ["held=101", "delay 1ms limit 101"],
        ["held=100,policy=copy-out", "delay 1ms limit 101"],
        // What comes beyond is the policy's.
        ["held=100,policy=backpressure", "delay 1ms"],
    ] {
        let [limit, impairment] = options;
        let options = ["--limit", limit, "--impair", impairment];
        let forward = Forward::start(&wire, Attach::Native, &options);
        forward.stop().assert_conserved();
    }
}
