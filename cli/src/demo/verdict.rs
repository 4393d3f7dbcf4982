//! Whether the demo passed, and why not.

use serde::Serialize;

use super::traffic::Traffic;
use crate::report::{ChunkAudit, Summary, grouped};

/// The demo's end: figures of each check and what they come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    #[serde(rename = "verdict")]
    label: Label,
    /// One per check that failed.
    reasons: Vec<String>,
    #[serde(flatten)]
    traffic: Traffic,
    #[serde(skip)]
    checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Label {
    Pass,
    Fail,
}

/// One thing that has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub passed: bool,
    /// With its figures.
    pub detail: String,
}

impl Verdict {
    /// Judges what was sent and what the engine counted.
    pub fn of(traffic: Traffic, summary: &Summary) -> Self {
        let checks = vec![
            tcp(&traffic),
            udp(&traffic),
            echo(&traffic),
            frames(summary),
            chunks(summary),
            engine(summary),
        ];
        let reasons: Vec<String> = checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        let label = if reasons.is_empty() {
            Label::Pass
        } else {
            Label::Fail
        };
        Self {
            label,
            reasons,
            traffic,
            checks,
        }
    }

    /// Every check, passed or not.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// `pass` or `fail`.
    pub fn label(&self) -> &'static str {
        match self.label {
            Label::Pass => "pass",
            Label::Fail => "fail",
        }
    }

    /// Why the demo failed, in one line; `None` if it passed.
    pub fn failure(&self) -> Option<String> {
        let reasons = self.reasons.join("; ");
        (self.label == Label::Fail).then(|| format!("the demo failed: {reasons}"))
    }
}

fn tcp(traffic: &Traffic) -> Check {
    let tcp = &traffic.tcp;
    let detail = format!(
        "{} of {} bytes arrived intact, over {} connections, both ways at once",
        grouped(tcp.received_bytes),
        grouped(tcp.sent_bytes),
        tcp.connections,
    );
    Check {
        name: "TCP",
        passed: tcp.intact,
        detail: with_errors(detail, &tcp.errors),
    }
}

fn udp(traffic: &Traffic) -> Check {
    let udp = &traffic.udp;
    let mut detail = format!(
        "{} of {} datagrams of up to {} bytes came back intact",
        grouped(udp.returned_datagrams),
        grouped(udp.sent_datagrams),
        udp.largest_bytes,
    );
    if !udp.intact {
        detail += &format!(
            " ({} reached the server, {} lost, {} doubled, {} corrupted)",
            udp.arrived_datagrams,
            udp.lost_datagrams,
            udp.duplicate_datagrams,
            udp.corrupted_datagrams,
        );
    }
    Check {
        name: "UDP",
        passed: udp.intact,
        detail: with_errors(detail, &udp.errors),
    }
}

fn echo(traffic: &Traffic) -> Check {
    let echo = &traffic.echo;
    let mut detail = format!(
        "{} of {} echoes came back intact, in {} us (median)",
        grouped(echo.replies),
        grouped(echo.requests),
        echo.median_round_trip_microseconds,
    );
    if echo.corrupted > 0 {
        detail += &format!(" ({} corrupted)", echo.corrupted);
    }
    Check {
        name: "ping",
        passed: echo.intact,
        detail: with_errors(detail, &echo.errors),
    }
}

fn frames(summary: &Summary) -> Check {
    let totals = &summary.totals;
    Check {
        name: "frames",
        passed: totals.unaccounted_frames == 0 && totals.frames_in > 0,
        detail: format!(
            "{} in, {} out, {} dropped and counted, {} unaccounted for",
            grouped(totals.frames_in),
            grouped(totals.tx_frames),
            grouped(totals.dropped_frames),
            totals.unaccounted_frames,
        ),
    }
}

fn chunks(summary: &Summary) -> Check {
    let total: u64 = summary
        .audits
        .iter()
        .map(|audit| u64::from(audit.total))
        .sum();
    let owned: u64 = summary.audits.iter().map(ChunkAudit::owned).sum();
    Check {
        name: "chunks",
        passed: !summary.audits.is_empty() && summary.audits.iter().all(|audit| audit.balanced),
        detail: format!("{} of {} have an owner", grouped(owned), grouped(total)),
    }
}

fn engine(summary: &Summary) -> Check {
    let violations = summary.violations();
    Check {
        name: "engine",
        passed: summary.error.is_none() && violations == 0,
        detail: summary.error.clone().unwrap_or_else(|| {
            format!(
                "ran for {:.1} s, {violations} ring entries failed a check",
                summary.elapsed_seconds
            )
        }),
    }
}

/// The first error stands for all of a kind: what breaks one flow mostly breaks
/// the others.
fn with_errors(detail: String, errors: &[String]) -> String {
    match errors {
        [] => detail,
        [error] => format!("{detail}; {error}"),
        [first, others @ ..] => format!("{detail}; {first} (and {} more errors)", others.len()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::report::tests::summary;

    /// Traffic with nothing wrong about it.
    pub fn good_traffic() -> Traffic {
        let mut traffic = Traffic::default();
        traffic.tcp.intact = true;
        traffic.udp.intact = true;
        traffic.echo.intact = true;
        traffic
    }

    #[test]
    fn everything_intact_and_accounted_for_passes() {
        let verdict = Verdict::of(good_traffic(), &summary(500, 500));

        assert_eq!(verdict.label(), "pass");
        assert_eq!(verdict.failure(), None);
    }

    #[test]
    fn each_check_alone_can_fail_the_demo() {
        type Spoil = fn(&mut Traffic, &mut Summary);
        let spoil: [(&str, Spoil); 8] = [
            ("TCP", |traffic, _| traffic.tcp.intact = false),
            ("UDP", |traffic, _| traffic.udp.intact = false),
            ("ping", |traffic, _| traffic.echo.intact = false),
            ("frames", |_, summary| {
                summary.totals.unaccounted_frames = -1
            }),
            ("chunks", |_, summary| summary.audits[0].balanced = false),
            ("chunks", |_, summary| summary.audits.clear()),
            ("engine", |_, summary| summary.workers[0].violations = 1),
            ("engine", |_, summary| {
                summary.error = Some("a worker panicked".into())
            }),
        ];

        for (name, change) in spoil {
            let (mut traffic, mut summary) = (good_traffic(), summary(500, 500));
            change(&mut traffic, &mut summary);
            let verdict = Verdict::of(traffic, &summary);

            let failure = verdict.failure().expect(name);
            assert!(
                failure.starts_with(&format!("the demo failed: {name}: ")),
                "{failure}"
            );
        }
    }

    #[test]
    fn nothing_sent_is_no_pass() {
        let verdict = Verdict::of(Traffic::default(), &summary(500, 500));

        assert_eq!(verdict.label(), "fail");
    }
}
