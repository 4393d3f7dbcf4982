//! The run for people: what was set up, two table rows a second, and the
//! account at the end.

use std::io::{self, Write};

use super::event::InterfaceEvent;
use super::interval::Interval;
use super::renderer::Renderer;
use super::setup::Setup;
use super::setup_text::write_setup;
use super::summary::Summary;
use super::summary_text::write_summary;
use super::text::{cpu_loads, direction_name, direction_width, drops, grouped};

/// Writes a table.
pub struct Table<W> {
    out: W,
    intervals: usize,
}

impl<W: Write> Table<W> {
    pub fn new(out: W) -> Self {
        Self { out, intervals: 0 }
    }
}

impl<W: Write + Send> Renderer for Table<W> {
    fn title(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "{title}")
    }

    fn setup(&mut self, setup: &Setup) -> io::Result<()> {
        write_setup(&mut self.out, setup)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        let width = direction_width(&interval.directions);
        if self.intervals.is_multiple_of(ROWS_PER_HEADER) {
            writeln!(
                self.out,
                "{:>7}  {:width$}  {:>8}  {:>8}  {:>8}  {:>9}  {:>9}  dropped",
                "seconds", "direction", "Mpps in", "Mpps out", "Gbit/s", "CPU %", "passed",
            )?;
        }
        self.intervals += 1;
        let mut time = format!("{:.1}", interval.elapsed_seconds);
        let mut loads = cpu_loads(&interval.workers);
        for direction in &interval.directions {
            writeln!(
                self.out,
                "{time:>7}  {:width$}  {:>8.4}  {:>8.4}  {:>8.4}  {loads:>9}  {:>9}  {}",
                direction_name(direction),
                direction.frames_in_per_second / 1e6,
                direction.frames_out_per_second / 1e6,
                direction.gbit_per_second,
                grouped(direction.counts.frames_passed),
                drops(direction),
            )?;
            // Once per interval is enough.
            time.clear();
            loads.clear();
        }
        self.out.flush()
    }

    fn event(&mut self, event: &InterfaceEvent) -> io::Result<()> {
        // A line of its own between the rows, which are written whole. Standard error
        // may be closed.
        let _ = writeln!(io::stderr(), "wharf: {}", event.sentence);
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        write_summary(&mut self.out, summary)?;
        self.out.flush()
    }
}

/// The header comes back before it has scrolled away.
const ROWS_PER_HEADER: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::interval::tests::snapshot;
    use crate::report::setup::tests::setup;
    use crate::report::summary::tests::summary;

    fn written(write: impl FnOnce(&mut Table<&mut Vec<u8>>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut Table::new(&mut bytes)).expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn setup_names_the_mode_really_got_and_why() {
        let text = written(|table| table.setup(&setup()));

        assert!(
            text.contains("eth0: veth, MTU 1500, 1 queue; native XDP (program 42), copy mode\n")
        );
        assert!(text.contains("\n  copy, not zero-copy: the driver cannot\n"));
        assert!(text.contains("\n  completes checksums that its senders leave to hardware\n"));
        assert!(text.contains(
            "worker 0 on CPU 1: 16 MiB, 4096 chunks of 4096 bytes; eth0 queue 0, eth1 queue 0\n"
        ));
    }

    #[test]
    fn interval_has_a_row_per_direction_under_one_header() {
        let interval = Interval::between(&setup(), &snapshot(0, 0), &snapshot(1, 1_500_000));

        let text = written(|table| {
            table.interval(&interval)?;
            table.interval(&interval)
        });

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].contains("Mpps in"));
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(
            words,
            [
                "1.0", "eth0", "->", "eth1", "1.5000", "1.5000", "1.2000", "25", "0", "-"
            ]
        );
        assert!(lines[2].trim_start().starts_with("eth1 -> eth0"));
    }

    #[test]
    fn summary_has_the_whole_account() {
        let good = written(|table| table.summary(&summary(12_345, 12_345)));
        let bad = written(|table| table.summary(&summary(12_345, 12_344)));

        assert!(good.contains("chunks of worker 0: 4000 pool + 96 fill, 4096 in all: balanced\n"));
        assert!(good.contains(
            "  conserved: 12 345 frames in = 12 345 out + 0 dropped + 0 unaccounted for\n"
        ));
        assert!(
            bad.contains(
                "NOT CONSERVED: 12 345 frames in = 12 344 out + 0 dropped + 1 unaccounted"
            )
        );
    }
}
