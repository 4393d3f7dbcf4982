//! `wharf forward` as a process of its own between the two interfaces of a wire.

use std::process::{ExitStatus, Output};
use std::time::Duration;

use serde_json::Value;
use wharf::Attach;
use wharf_testbed::{ChildGuard, HostCommand, Wire};

use crate::binary::wharf_in;

/// For what takes moments, on a machine that may be busy.
pub const SOON: Duration = Duration::from_secs(10);

/// A running forwarder; killed on drop.
#[derive(Debug)]
pub struct Forward {
    child: ChildGuard,
}

impl Forward {
    /// Starts `wharf forward left right` with `options`, and waits until it
    /// forwards.
    ///
    /// # Panics
    ///
    /// When it does not start; the message holds what it said.
    #[must_use]
    pub fn start(wire: &Wire, attach: Attach, options: &[&str]) -> Self {
        Self::start_as(wharf_in(wire.forwarder()), wire, attach, options)
    }

    /// As [`start`](Self::start), with a command that has an environment of its
    /// own.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_as(command: HostCommand, wire: &Wire, attach: Attach, options: &[&str]) -> Self {
        let names = [wire.left().name(), wire.right().name()];
        Self::start_between(command, names, attach, options)
    }

    /// As [`start_as`](Self::start_as), between the interfaces of these names
    /// where the command runs.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_between(
        mut command: HostCommand,
        names: [&str; 2],
        attach: Attach,
        options: &[&str],
    ) -> Self {
        let attach = match attach {
            Attach::Auto => "auto",
            Attach::Native => "native",
            Attach::Generic => "generic",
            other => unreachable!("no option asks for {other:?}"),
        };
        command
            .args(["forward", names[0], names[1], "--json"])
            .args(["--attach", attach])
            .args(options);
        let mut child = command.spawn().expect("the command can be run");
        // It says what it has set up once the engine runs.
        child.wait_for_output("worker 0", SOON).expect("it starts");
        Self { child }
    }

    /// Runs `wharf forward left right` with `options`, which shall not start.
    ///
    /// # Panics
    ///
    /// When it does not end by itself.
    #[must_use]
    pub fn refused(wire: &Wire, options: &[&str]) -> Output {
        let mut command = wharf_in(wire.forwarder());
        command
            .args(["forward", wire.left().name(), wire.right().name()])
            .args(options)
            // Should it start after all, it ends, and the case fails.
            .args(["--duration", "0.2"]);
        command.run_bounded(SOON).expect("it ends by itself")
    }

    /// The process.
    pub fn process(&mut self) -> &mut ChildGuard {
        &mut self.child
    }

    /// Asks it to end with SIGTERM, and reads its account.
    ///
    /// # Panics
    ///
    /// When it does not end well.
    #[must_use]
    pub fn stop(self) -> Report {
        let output = self.child.stop(libc::SIGTERM, SOON).expect("it ends");
        let report = Report::of(&output);
        assert!(
            output.status.success(),
            "{}: {:?}",
            output.status,
            report.summary
        );
        report
    }

    /// Waits for it to end by itself, and reads its account.
    ///
    /// # Panics
    ///
    /// When it does not, or left no account.
    #[must_use]
    pub fn end(self) -> (ExitStatus, Report) {
        let output = self.finish();
        (output.status, Report::of(&output))
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn finish(self) -> Output {
        self.child.finish(SOON).expect("it ends by itself")
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    ///
    /// When the kernel does not.
    pub fn kill(self) {
        let output = self
            .child
            .stop(libc::SIGKILL, SOON)
            .expect("SIGKILL ends everything");
        assert!(!output.status.success());
    }
}

/// The last line of `--json`.
#[derive(Debug)]
pub struct Report {
    /// As it is documented in `cli/README.md`.
    pub summary: Value,
    /// The lines before it, one a second.
    pub intervals: Vec<Value>,
    /// What happened to interfaces meanwhile.
    pub events: Vec<Value>,
}

impl Report {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).expect("JSON is UTF-8");
        let errors = String::from_utf8_lossy(&output.stderr);
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        let mut lines: Vec<Value> = text.lines().map(parse).collect();
        let summary = lines
            .pop()
            .unwrap_or_else(|| panic!("it said nothing: {errors}"));
        assert_eq!(summary["type"], "summary", "the last line is the account");
        let (events, intervals) = lines.into_iter().partition(|line| line["type"] == "event");
        Self {
            summary,
            intervals,
            events,
        }
    }

    /// A number of `totals`.
    ///
    /// # Panics
    ///
    /// When there is none of that name.
    #[must_use]
    pub fn total(&self, name: &str) -> u64 {
        number(&self.summary["totals"], name)
    }

    /// Frames dropped for a reason.
    ///
    /// # Panics
    ///
    /// When there is no such reason.
    #[must_use]
    pub fn dropped(&self, reason: &str) -> u64 {
        number(&self.summary["drops"], reason)
    }

    /// Every frame and every chunk is accounted for, by the command's own word
    /// and by adding up what it printed.
    ///
    /// # Panics
    ///
    /// When something is missing.
    #[track_caller]
    pub fn assert_conserved(&self) {
        let drops = self.summary["drops"].as_object().expect("drops by reason");
        let dropped: u64 = drops.keys().map(|reason| self.dropped(reason)).sum();
        assert_eq!(dropped, self.total("dropped_frames"), "{drops:?}");
        assert_eq!(
            self.total("frames_in") + self.total("frames_made"),
            self.total("tx_frames")
                + self.total("frames_passed_by_application")
                + dropped
                + self.total("held_frames"),
            "frames are missing: {:?}",
            self.summary
        );
        let audits = self.summary["audits"]
            .as_array()
            .expect("an audit per worker");
        assert!(!audits.is_empty());
        for audit in audits {
            let owners = [
                "pool",
                "fill",
                "application",
                "detached",
                "parts",
                "transmit",
                "quarantined",
                "stranded",
            ];
            let owned: u64 = owners.into_iter().map(|owner| number(audit, owner)).sum();
            assert_eq!(owned, number(audit, "total"), "chunks are missing: {audit}");
            assert_eq!(audit["balanced"], true, "{audit}");
        }
        for worker in self.summary["workers"].as_array().expect("workers") {
            assert_eq!(number(worker, "violations"), 0, "{worker}");
        }
        assert_eq!(self.summary["conserved"], true);
        // Found by subtraction, so it would hide frames that were forgotten.
        assert_eq!(self.dropped("rx_undelivered"), 0, "{drops:?}");
    }

    /// As [`assert_conserved`](Self::assert_conserved), and nothing was dropped.
    ///
    /// # Panics
    ///
    /// When a frame was.
    #[track_caller]
    pub fn assert_nothing_dropped(&self) {
        self.assert_conserved();
        assert_eq!(self.total("dropped_frames"), 0, "{}", self.summary["drops"]);
    }
}

/// The count `name` of `object`.
///
/// # Panics
///
/// When there is none of that name.
#[must_use]
#[track_caller]
pub fn number(object: &Value, name: &str) -> u64 {
    object[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no count `{name}` in {object}"))
}

/// The last line of standard output, as JSON.
///
/// # Panics
///
/// When it is none.
#[must_use]
pub fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// What the command said on standard error, which must be one line and no
/// panic's.
///
/// # Panics
///
/// When it is anything else.
#[must_use]
#[track_caller]
pub fn single_line(output: &Output) -> String {
    let errors = error_and_mark(output);
    assert_eq!(errors.lines().count(), 1, "not one line: {errors:?}");
    errors
}

/// What the command said on standard error: one line that says what was wrong, no
/// panic's, and perhaps the text that was wrong, indented.
///
/// # Panics
///
/// When it is anything else.
#[must_use]
#[track_caller]
pub fn error_and_mark(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let more: Vec<&str> = errors.lines().skip(1).collect();
    assert!(
        more.iter().all(|line| line.starts_with("  ")),
        "more than one error: {errors:?}"
    );
    assert!(
        errors.ends_with('\n') && errors.starts_with("wharf: "),
        "{errors:?}"
    );
    for word in ["panicked", "RUST_BACKTRACE", "unwrap", "Error {"] {
        assert!(!errors.contains(word), "{errors:?}");
    }
    errors
}
