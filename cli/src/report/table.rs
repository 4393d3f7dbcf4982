//! The run for people: what was set up, two table rows a second, and the
//! account at the end.

use std::io::{self, Write};
use std::mem;

use super::event::InterfaceEvent;
use super::impairments::write_impaired;
use super::interval::Interval;
use super::renderer::Renderer;
use super::setup::Setup;
use super::setup_text::write_setup;
use super::summary::Summary;
use super::summary_text::write_summary;
use super::text::{COLUMNS, cpu_loads, filled, losses, name};
use super::units::{bit_rate, frame_rate};

use crate::printable;

/// Writes a table.
pub struct Table<W> {
    out: W,
    intervals: usize,
    setup_lines: SetupLines,
}

/// Whether the lines of the setup are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupLines {
    /// Each is one line, for programs that look for something in it.
    Whole,
    /// Between words, for a terminal, which would break them anywhere.
    Broken,
}

impl<W: Write> Table<W> {
    pub fn new(out: W, setup_lines: SetupLines) -> Self {
        Self {
            out,
            intervals: 0,
            setup_lines,
        }
    }
}

impl<W: Write + Send> Renderer for Table<W> {
    fn title(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "{title}")
    }

    fn setup(&mut self, setup: &Setup) -> io::Result<()> {
        let mut text = Vec::new();
        write_setup(&mut text, setup)?;
        for line in String::from_utf8_lossy(&text).lines() {
            match self.setup_lines {
                SetupLines::Whole => writeln!(self.out, "{line}")?,
                SetupLines::Broken => writeln!(self.out, "{}", broken(line))?,
            }
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        let layout = Layout::of(interval);
        if self.intervals.is_multiple_of(INTERVALS_PER_HEADER) {
            writeln!(self.out, "{}", layout.row(HEADER.map(str::to_owned)))?;
        }
        self.intervals += 1;
        let mut time = seconds(interval.elapsed_seconds);
        let mut loads = cpu_loads(&interval.workers);
        for direction in &interval.directions {
            let rates = [
                frame_rate(direction.frames_in_per_second),
                frame_rate(direction.frames_out_per_second),
                bit_rate(direction.gbit_per_second * 1e9),
                frame_rate(direction.frames_passed_per_second),
                frame_rate(direction.frames_dropped_per_second),
            ];
            let [rx, tx, bits, passed, dropped] = rates;
            // Time and loads once per interval are enough.
            let (time, loads) = (mem::take(&mut time), mem::take(&mut loads));
            let cells = [
                time,
                name(&direction.from),
                rx,
                tx,
                bits,
                passed,
                dropped,
                loads,
            ];
            writeln!(self.out, "{}", layout.row(cells))?;
        }
        for direction in &interval.directions {
            let mut pieces = losses(direction);
            if !pieces.is_empty() {
                pieces.insert(0, format!("         lost from {}:", name(&direction.from)));
                writeln!(self.out, "{}", filled(&pieces, "           "))?;
            }
        }
        write_impaired(&mut self.out, &interval.impairments)?;
        self.out.flush()
    }

    fn event(&mut self, event: &InterfaceEvent) -> io::Result<()> {
        // A line of its own between the rows, which are written whole. Standard error
        // may be closed.
        let _ = writeln!(printable::stderr(), "wharf: {}", event.sentence);
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        write_summary(&mut self.out, summary)?;
        self.out.flush()
    }
}

/// The line on lines that fit, those after the first indented by four more than it.
fn broken(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    let blanks = line.len() - line.trim_start().len();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if let Some(first) = words.first_mut() {
        first.insert_str(0, &line[..blanks]);
    }
    filled(&words, &" ".repeat(blanks + 4))
}

/// Where the columns are. All of them together are [`COLUMNS`] wide at most.
struct Layout {
    names: usize,
    gap: &'static str,
}

impl Layout {
    fn of(interval: &Interval) -> Self {
        let names = interval.directions.iter();
        let names = names.map(|direction| name(&direction.from).chars().count());
        let names = names.max().unwrap_or(0).max("from".len());
        Self {
            names,
            gap: if names > ROOMY_NAME { " " } else { "  " },
        }
    }

    fn row(&self, [time, from, rx, tx, bits, passed, dropped, loads]: [String; 8]) -> String {
        let Self { names, gap } = self;
        let row = format!(
            "{time:>7}{gap}{from:names$}{gap}{rx:>9}{gap}{tx:>9}{gap}{bits:>9}{gap}{passed:>9}{gap}{dropped:>9}{gap}{loads:>6}"
        );
        row.trim_end().to_owned()
    }
}

/// Tenths while they fit the column: for a day.
fn seconds(elapsed: f64) -> String {
    if elapsed < 99_999.95 {
        format!("{elapsed:.1}")
    } else {
        format!("{elapsed:.0}")
    }
}

const HEADER: [&str; 8] = [
    "seconds",
    "from",
    "in",
    "out",
    "bit/s out",
    "passed",
    "dropped",
    "CPU %",
];

/// Up to this length of names there is room for two blanks between columns.
const ROOMY_NAME: usize = 8;

/// The header comes back before it has scrolled away.
const INTERVALS_PER_HEADER: usize = 10;

#[cfg(test)]
mod tests {
    use wharf::DropReason;

    use super::*;
    use crate::report::drops::DropCounts;
    use crate::report::interval::tests::snapshot;
    use crate::report::setup::UnusedCpus;
    use crate::report::setup::tests::setup;
    use crate::report::summary::tests::summary;

    fn written(write: impl FnOnce(&mut Table<&mut Vec<u8>>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut Table::new(&mut bytes, SetupLines::Whole)).expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn setup_names_the_mode_really_got_and_why() {
        let text = written(|table| table.setup(&setup()));

        assert!(
            text.contains("eth0: veth, MTU 1500, 1 queue; native XDP (program 42), copy mode\n")
        );
        assert!(text.contains("\n  copy, not zero-copy: the driver cannot\n"));
        assert!(text.contains(
            "\n  completes checksums that senders leave to hardware: `eth0` is virtual (veth)\n"
        ));
        assert!(text.contains(
            "worker 0 on CPU 1: 16 MiB, 4096 chunks of 4096 bytes; eth0 queue 0, eth1 queue 0\n"
        ));
    }

    #[test]
    fn setup_on_a_terminal_is_broken_between_words() {
        let mut setup = setup();
        setup.interfaces[0].attach_fallback = Some("why ".repeat(40));
        let mut bytes = Vec::new();

        let mut table = Table::new(&mut bytes, SetupLines::Broken);
        table.setup(&setup).expect("memory takes everything");

        let text = String::from_utf8(bytes).expect("text");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.contains("\n      why why"), "{text}");
        assert_eq!(text.matches("why").count(), 40, "{text}");
    }

    #[test]
    fn setup_names_cpus_without_a_worker_and_the_interface_with_too_few_queues() {
        let mut setup = setup();
        let mut text = |cpus: &[usize]| {
            setup.unused_cpus = Some(UnusedCpus {
                cpus: cpus.to_vec(),
                interface: "eth0".into(),
                queues: 1,
            });
            written(|table| table.setup(&setup))
        };

        assert!(text(&[1]).contains("\nCPU 1 has no worker: only 1 queue of eth0 in use\n"));
        assert!(text(&[1, 2, 3, 6]).contains("\nCPUs 1-3,6 have no worker: "));
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
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words(lines[0]),
            "seconds from in out bit/s out passed dropped CPU %"
        );
        assert_eq!(
            words(lines[1]),
            "1.0 eth0 1.50 Mpps 1.50 Mpps 1.20 Gbit 0 pps 0 pps 25"
        );
        assert_eq!(words(lines[2]), "eth1 0 pps 0 pps 0 bit 0 pps 0 pps");
    }

    #[test]
    fn ping_shows() {
        let interval = Interval::between(&setup(), &snapshot(0, 0), &snapshot(1, 1));

        let text = written(|table| table.interval(&interval));

        assert!(text.contains("1 pps      1 pps    800 bit"), "{text}");
    }

    #[test]
    fn lost_frames_have_a_line_with_the_reasons() {
        let mut interval = Interval::between(&setup(), &snapshot(0, 0), &snapshot(1, 10));
        let back = &mut interval.directions[1];
        back.drops = DropCounts::from_fn(|reason| match reason {
            DropReason::RxRingFull => 5,
            DropReason::TxKernel => 1234,
            _ => 0,
        });

        let text = written(|table| table.interval(&interval));

        let last = text.lines().last().expect("lines");
        assert_eq!(
            last.trim(),
            "lost from eth1: rx_ring_full 5, tx_kernel 1 234"
        );
    }

    /// Names and counts as long as they get.
    fn widest() -> (Interval, Summary) {
        let names = ["enp123s0f0np012", "enp123s0f1np112"];
        let mut interval = Interval::between(&setup(), &snapshot(0, 0), &snapshot(1, 10));
        interval.elapsed_seconds = 8_640_000.0;
        let load = |cpu_percent| {
            let mut load = interval.workers[0].clone();
            load.cpu_percent = cpu_percent;
            load
        };
        interval.workers = [10.0, 100.4].map(load).to_vec();
        let mut summary = summary(u64::MAX / 400, u64::MAX / 400);
        for directions in [&mut interval.directions, &mut summary.directions] {
            for (direction, [from, to]) in directions.iter_mut().zip([names, [names[1], names[0]]])
            {
                (direction.from, direction.to) = (from.into(), to.into());
                direction.frames_in_per_second = 88_888_888.0;
                direction.frames_out_per_second = 88_888_888.0;
                direction.frames_passed_per_second = 88_888_888.0;
                direction.frames_dropped_per_second = 88_888_888.0;
                direction.gbit_per_second = 88.888;
                direction.counts.frames_in = u64::MAX;
                direction.counts.tx_frames = u64::MAX;
                direction.counts.tx_bytes = u64::MAX;
                direction.counts.frames_passed = u64::MAX;
                direction.counts.frames_dropped_by_rule = u64::MAX;
                direction.drops = DropCounts::from_fn(|_| u64::MAX / 100);
            }
        }
        let audit = &mut summary.audits[0];
        for owner in [
            &mut audit.pool,
            &mut audit.fill,
            &mut audit.application,
            &mut audit.detached,
            &mut audit.parts,
            &mut audit.transmit,
            &mut audit.quarantined,
            &mut audit.stranded,
            &mut audit.total,
        ] {
            *owner = u32::MAX;
        }
        (interval, summary)
    }

    #[test]
    fn table_and_summary_fit_eighty_columns() {
        let (interval, summary) = widest();

        let text = written(|table| {
            table.interval(&interval)?;
            table.summary(&summary)
        });

        for line in text.lines() {
            let columns = line.chars().count();
            assert!(columns <= 80, "{columns} columns: {line}\n{text}");
        }
        for part in ["enp123s0f0np012", "88.9 Mpps", "10-100", "lost: tx_kernel"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn summary_has_the_whole_account() {
        let good = written(|table| table.summary(&summary(12_345, 12_345)));
        let bad = written(|table| table.summary(&summary(12_345, 12_344)));

        assert!(good.contains("eth0 -> eth1"), "{good}");
        assert!(
            good.contains("  frames in                    12 345             0\n"),
            "{good}"
        );
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
