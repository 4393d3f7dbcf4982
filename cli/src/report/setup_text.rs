//! What was set up, for people.

use std::io::{self, Write};

use super::setup::{Interface, Numa, Setup, Steering, UnusedCpus, Worker};
use super::text::{counted, mebibytes, ranges};

/// Writes what each interface and worker got.
pub fn write_setup(out: &mut impl Write, setup: &Setup) -> io::Result<()> {
    for interface in &setup.interfaces {
        write_interface(out, setup, interface)?;
    }
    write_steering(out, &setup.steering)?;
    for one in &setup.impairments {
        if let Some(impairment) = &one.impairment {
            writeln!(out, "impairs {} -> {}: {impairment}", one.from, one.to)?;
        }
    }
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
            "worker {} on {cpu}: {} MiB{}{}, {}{} chunks of {} bytes; {}",
            worker.worker,
            mebibytes(worker.memory_bytes),
            if worker.huge_pages {
                " in huge pages"
            } else {
                ""
            },
            numa_node(&worker.numa),
            worker.chunks,
            if worker.unaligned_chunks {
                " unaligned"
            } else {
                ""
            },
            worker.chunk_size_bytes,
            queues.join(", "),
        )?;
        write_fallbacks(out, worker)?;
    }
    write_limits(out, setup)?;
    match &setup.unused_cpus {
        Some(unused) => write_unused(out, unused),
        None => Ok(()),
    }
}

/// Machines with one node have nothing to say.
fn numa_node(numa: &Numa) -> String {
    match numa.memory_node {
        Some(node) if numa.nodes > 1 => format!(" on NUMA node {node}"),
        _ => String::new(),
    }
}

fn write_fallbacks(out: &mut impl Write, worker: &Worker) -> io::Result<()> {
    if let Some(reason) = &worker.huge_pages_fallback {
        writeln!(out, "  not in huge pages: {reason}")?;
    }
    if let Some(reason) = &worker.memory_source_fallback {
        writeln!(out, "  not a memfd: {reason}")?;
    }
    match (&worker.numa.fallback, worker.numa.cpu_node) {
        (Some(reason), Some(node)) if worker.numa.nodes > 1 => {
            writeln!(
                out,
                "  not all on NUMA node {node}, which is the CPU's: {reason}"
            )
        }
        _ => Ok(()),
    }
}

/// Writes each interface's limits once, where some were asked for.
fn write_limits(out: &mut impl Write, setup: &Setup) -> io::Result<()> {
    if let Some(bytes) = setup.limits.memory_bytes {
        writeln!(out, "packet memory: at most {} MiB in all", bytes >> 20)?;
    }
    if !setup.limits.is_any() {
        return Ok(());
    }
    let mut written = Vec::new();
    for queue in setup.workers.iter().flat_map(|worker| &worker.queues) {
        let line = (&queue.interface, queue.limits);
        if !written.contains(&line) {
            writeln!(
                out,
                "each queue of {}: {}",
                queue.interface,
                queue.limits.describe()
            )?;
            written.push(line);
        }
    }
    Ok(())
}

fn write_unused(out: &mut impl Write, unused: &UnusedCpus) -> io::Result<()> {
    let UnusedCpus {
        cpus,
        interface,
        queues,
    } = unused;
    let (cpus, verb) = match cpus.as_slice() {
        [cpu] => (format!("CPU {cpu}"), "has"),
        _ => (format!("CPUs {}", ranges(cpus)), "have"),
    };
    writeln!(
        out,
        "{cpus} {verb} no worker: only {} of {interface} in use",
        counted(*queues, "queue"),
    )
}

/// Writes no rules where every frame is taken.
fn write_steering(out: &mut impl Write, steering: &Steering) -> io::Result<()> {
    if !steering.rules.is_empty() || steering.default != "redirect" {
        writeln!(out, "rules:")?;
        for (index, rule) in steering.rules.iter().enumerate() {
            writeln!(out, "{:>5}  {rule}", index + 1)?;
        }
        writeln!(out, "{:>5}  default {}", "", steering.default)?;
    }
    match &steering.control {
        Some(path) => writeln!(
            out,
            "listens for `wharf steer` and `wharf impair` at {}",
            path.display()
        ),
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
    if let Some(line) = interface.checksums.line() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::setup::tests::setup;
    use super::*;

    fn lines(setup: &Setup) -> Vec<String> {
        let mut text = Vec::new();
        write_setup(&mut text, setup).expect("there is memory");
        let text = String::from_utf8(text).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn memory_that_is_as_usual_needs_no_words() {
        let lines = lines(&setup());

        let last = lines.last().expect("a worker");
        assert_eq!(
            last,
            "worker 0 on CPU 1: 16 MiB, 4096 chunks of 4096 bytes; eth0 queue 0, eth1 queue 0"
        );
    }

    #[test]
    fn limits_that_were_asked_for_have_a_line_for_each_interface() {
        let mut setup = setup();
        setup.limits.held = Some("8 frames".into());
        setup.limits.memory_bytes = Some(64 << 20);
        for queue in &mut setup.workers[0].queues {
            queue.limits.chunks = 512;
            queue.limits.floor = 64;
            queue.limits.held = 8;
            queue.limits.policy = "backpressure";
        }

        let lines = lines(&setup);

        assert_eq!(
            lines[lines.len() - 3..],
            [
                "packet memory: at most 64 MiB in all",
                "each queue of eth0: at most 512 chunks, 64 of them to receive into; \
                 8 held, 0 in transmit; backpressure",
                "each queue of eth1: at most 512 chunks, 64 of them to receive into; \
                 8 held, 0 in transmit; backpressure",
            ]
        );
    }

    #[test]
    fn memory_that_is_not_what_it_might_be_has_its_reasons_below() {
        let mut setup = setup();
        let worker = &mut setup.workers[0];
        worker.huge_pages_fallback = Some("none".into());
        worker.memory_source_fallback = Some("refused".into());
        worker.numa = Numa {
            nodes: 2,
            cpu_node: Some(1),
            memory_node: Some(0),
            fallback: Some("mbind: no".into()),
        };

        let lines = lines(&setup);

        let (worker, reasons) = lines[lines.len() - 4..].split_first().expect("four");
        assert!(
            worker.contains("16 MiB on NUMA node 0, 4096 chunks"),
            "{worker}"
        );
        assert_eq!(
            reasons,
            [
                "  not in huge pages: none",
                "  not a memfd: refused",
                "  not all on NUMA node 1, which is the CPU's: mbind: no"
            ]
        );
    }
}
