//! The run for people: what was set up, two table rows a second, and the
//! account at the end.

use std::io::{self, Write};

use super::interval::Direction;
use super::rules::write_listing;
use super::setup::{Interface, Steering};
use super::text::{cpu_loads, drops, grouped, mebibytes};
use super::{Interval, Renderer, Setup, Summary};
use crate::demo::Verdict;
use crate::forwarder::leaves_checksums;

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
        let width = name_width(&interval.directions);
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
                name(direction),
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

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        write_summary(&mut self.out, summary)?;
        self.out.flush()
    }

    fn verdict(&mut self, verdict: &Verdict, summary: &Summary) -> io::Result<()> {
        write_summary(&mut self.out, summary)?;
        writeln!(self.out)?;
        for check in verdict.checks() {
            let mark = if check.passed { "ok  " } else { "FAIL" };
            writeln!(self.out, "  {mark}  {:<8}  {}", check.name, check.detail)?;
        }
        writeln!(self.out, "\nverdict: {}", verdict.label())?;
        self.out.flush()
    }
}

/// Says what each interface and worker got.
pub fn write_setup(out: &mut impl Write, setup: &Setup) -> io::Result<()> {
    for interface in &setup.interfaces {
        write_interface(out, setup, interface)?;
    }
    write_steering(out, &setup.steering)?;
    for worker in &setup.workers {
        let cpu = worker.cpu.map_or_else(
            || "no CPU of its own".to_owned(),
            |cpu| format!("CPU {cpu}"),
        );
        let queues: Vec<String> = worker
            .queues
            .iter()
            .map(|queue| {
                let xsk = queue.xsk.map(|xsk| format!(" xsk {xsk}"));
                let xsk = xsk.unwrap_or_default();
                format!("{} queue {}{xsk}", queue.interface, queue.queue)
            })
            .collect();
        writeln!(
            out,
            "worker {} on {cpu}: {} MiB{}, {}{} chunks of {} bytes; {}",
            worker.worker,
            mebibytes(worker.memory_bytes),
            if worker.huge_pages {
                " in huge pages"
            } else {
                ""
            },
            worker.chunks,
            if worker.unaligned_chunks {
                " unaligned"
            } else {
                ""
            },
            worker.chunk_size_bytes,
            queues.join(", "),
        )?;
    }
    Ok(())
}

/// Says nothing of rules where everything is taken.
fn write_steering(out: &mut impl Write, steering: &Steering) -> io::Result<()> {
    if !steering.rules.is_empty() || steering.default != "redirect" {
        writeln!(out, "rules:")?;
        for (index, rule) in steering.rules.iter().enumerate() {
            writeln!(out, "{:>5}  {rule}", index + 1)?;
        }
        writeln!(out, "{:>5}  default {}", "", steering.default)?;
    }
    match &steering.control {
        Some(path) => writeln!(out, "`wharf steer` reaches it at {}", path.display()),
        None => Ok(()),
    }
}

fn write_interface(out: &mut impl Write, setup: &Setup, interface: &Interface) -> io::Result<()> {
    let modes = setup.modes_of(&interface.name);
    let names: Vec<&str> = modes.iter().map(|(mode, _)| *mode).collect();
    writeln!(
        out,
        "{}: {}, MTU {}, {} queue{}; {} XDP (program {}), {} mode{}",
        interface.name,
        interface.driver.as_deref().unwrap_or("unknown driver"),
        interface.mtu_bytes,
        interface.queues,
        if interface.queues == 1 { "" } else { "s" },
        interface.attach,
        interface.program_id,
        names.join(" and "),
        if setup.multi_buffer(&interface.name) {
            ", frames in several chunks"
        } else {
            ""
        },
    )?;
    if let Some(reason) = &interface.attach_fallback {
        writeln!(out, "  not native: {reason}")?;
    }
    for (mode, reason) in modes {
        if let Some(reason) = reason {
            writeln!(out, "  {mode}, not zero-copy: {reason}")?;
        }
    }
    if let Some(line) = interface.management.line(&interface.name) {
        writeln!(out, "  {line}")?;
    }
    if interface.driver.as_deref().is_some_and(leaves_checksums) {
        writeln!(
            out,
            "  checksums that its senders leave undone are finished"
        )?;
    }
    Ok(())
}

fn write_summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(out, "\nafter {:.1} seconds:", summary.elapsed_seconds)?;
    let width = name_width(&summary.directions);
    writeln!(
        out,
        "  {:width$}  {:>15}  {:>15}  {:>19}  {:>8}  {:>15}  dropped",
        "direction", "frames in", "frames out", "bytes out", "Gbit/s", "passed",
    )?;
    for direction in &summary.directions {
        writeln!(
            out,
            "  {:width$}  {:>15}  {:>15}  {:>19}  {:>8.4}  {:>15}  {}",
            name(direction),
            grouped(direction.counts.frames_in),
            grouped(direction.counts.tx_frames),
            grouped(direction.counts.tx_bytes),
            direction.gbit_per_second,
            grouped(direction.counts.frames_passed),
            drops(direction),
        )?;
    }
    if summary.is_steered() {
        write_listing(out, &summary.rules)?;
    }
    for audit in &summary.audits {
        let owners: Vec<String> = audit
            .owners()
            .into_iter()
            .filter(|(_, chunks)| *chunks != 0)
            .map(|(owner, chunks)| format!("{chunks} {owner}"))
            .collect();
        writeln!(
            out,
            "  chunks of worker {}: {}, {} in all: {}",
            audit.worker,
            owners.join(" + "),
            audit.total,
            if audit.balanced {
                "balanced"
            } else {
                "NOT BALANCED"
            },
        )?;
    }
    let totals = &summary.totals;
    let in_frames = totals.frames_in + totals.frames_made;
    writeln!(
        out,
        "  {}: {} frames in = {} out + {} dropped + {} unaccounted for",
        if summary.conserved {
            "conserved"
        } else {
            "NOT CONSERVED"
        },
        grouped(in_frames),
        grouped(totals.tx_frames),
        grouped(totals.dropped_frames),
        totals.unaccounted_frames,
    )
}

fn name(direction: &Direction) -> String {
    format!("{} -> {}", direction.from, direction.to)
}

fn name_width(directions: &[Direction]) -> usize {
    directions
        .iter()
        .map(|direction| name(direction).len())
        .max()
        .unwrap_or(0)
        .max("direction".len())
}

/// The header comes back before it has scrolled away.
const ROWS_PER_HEADER: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::interval::tests::snapshot;
    use crate::report::setup::tests::setup;
    use crate::report::summary::tests::summary;

    fn nothing_sent() -> Verdict {
        Verdict::of(Default::default(), &summary(500, 500))
    }

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
        assert!(text.contains("\n  checksums that its senders leave undone are finished\n"));
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
    fn summary_gives_the_whole_account() {
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

    #[test]
    fn verdict_lists_every_check_before_it() {
        let text = written(|table| table.verdict(&nothing_sent(), &summary(500, 500)));

        assert!(text.contains("  FAIL  TCP "), "{text}");
        assert!(text.ends_with("\nverdict: fail\n"), "{text}");
    }
}
