//! The run for programs: one JSON object per line on standard output, as
//! `cli/README.md` documents it. What was set up is said to people on standard
//! error as well, and is part of the last object.

use std::io::{self, Write};

use serde::Serialize;

use super::event::InterfaceEvent;
use super::interval::Interval;
use super::renderer::Renderer;
use super::setup::Setup;
use super::setup_text::write_setup;
use super::summary::Summary;

use crate::printable;

/// Writes one object per line.
pub struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

/// Writes one object as one line, at once.
pub fn write_line(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(object)?;
    text.push(b'\n');
    out.write_all(&text)?;
    out.flush()
}

impl<W: Write + Send> Renderer for Json<W> {
    fn title(&mut self, title: &str) -> io::Result<()> {
        let _ = writeln!(printable::stderr(), "{title}");
        Ok(())
    }

    fn setup(&mut self, setup: &Setup) -> io::Result<()> {
        // Lost with standard error; the same is in the last object.
        let _ = write_setup(&mut printable::stderr(), setup);
        Ok(())
    }

    fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        write_line(&mut self.out, &Line::Interval(interval))
    }

    fn event(&mut self, event: &InterfaceEvent) -> io::Result<()> {
        // Lost with standard error; the same is in the object.
        let _ = writeln!(printable::stderr(), "wharf: {}", event.sentence);
        write_line(&mut self.out, &Line::Event(event))
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        write_line(&mut self.out, &Line::Summary(summary))
    }
}

/// What a line can be, told apart by `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Interval(&'a Interval),
    Event(&'a InterfaceEvent),
    Summary(&'a Summary),
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::event::tests::event;
    use crate::report::interval::tests::snapshot;
    use crate::report::setup::tests::setup;
    use crate::report::summary::tests::summary;

    fn written(write: impl FnOnce(&mut Json<&mut Vec<u8>>) -> io::Result<()>) -> Value {
        let mut bytes = Vec::new();
        write(&mut Json::new(&mut bytes)).expect("memory takes everything");
        let text = String::from_utf8(bytes).expect("JSON is UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "one line");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn interval_line_has_units_in_its_names() {
        let interval = Interval::between(&setup(), &snapshot(1, 0), &snapshot(2, 1000));

        let json = written(|json| json.interval(&interval));

        assert_eq!(json["type"], "interval");
        assert_eq!(json["elapsed_seconds"], 2.0);
        assert_eq!(json["directions"][0]["from"], "eth0");
        assert_eq!(json["directions"][0]["rx_bytes"], 100_000);
        assert_eq!(json["directions"][0]["gbit_per_second"], 0.0008);
        assert_eq!(json["directions"][0]["drops"]["tx_kernel"], 0);
        assert_eq!(json["workers"][0]["cpu_percent"], 25.0);
    }

    #[test]
    fn event_line_has_what_happened_and_its_details() {
        let json = written(|json| json.event(&event()));

        assert_eq!(
            json,
            serde_json::json!({
                "type": "event",
                "elapsed_seconds": 1.5,
                "interface": "eth0",
                "event": "mtu_changed",
                "mtu_bytes_before": 1500,
                "mtu_bytes": 9000,
                "longest_received_bytes": 3840,
            })
        );
    }

    #[test]
    fn summary_line_has_totals_drops_audit_and_whether_it_is_conserved() {
        let json = written(|json| json.summary(&summary(500, 499)));

        assert_eq!(json["type"], "summary");
        assert_eq!(json["outcome"], "finished");
        assert_eq!(json["error"], Value::Null);
        assert_eq!(json["conserved"], false);
        assert_eq!(json["totals"]["frames_in"], 500);
        assert_eq!(json["totals"]["unaccounted_frames"], 1);
        assert_eq!(json["drops"]["rx_no_chunk"], 0);
        assert_eq!(json["audits"][0]["total"], 4096);
        assert_eq!(json["audits"][0]["balanced"], true);
        assert_eq!(json["setup"]["interfaces"][1]["name"], "eth1");
    }
}
