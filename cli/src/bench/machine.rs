//! `wharf bench machine`: what the benchmarks run on, found out by one start of an
//! engine on the testbed.

use std::sync::atomic::AtomicBool;

use serde::Serialize;
use wharf::{Application, Batch, Engine, Outbox, WorkerReport};

use super::header::Header;
use super::output::{Column, Output, Row};
use super::testbed::Bed;
use crate::exit::Failure;
use crate::privileges;

/// Prints the header, and the workers of an engine.
pub fn run(output: &mut Output, _stop: &AtomicBool) -> Result<(), Failure> {
    let bed = Bed::new(1, MTU_BYTES)?;
    let builder = Engine::builder().interface(bed.interface());
    let report = bed.on_client(|| {
        let engine = builder.start(|_| Nothing).map_err(privileges::explain)?;
        let report = engine.report().clone();
        engine.stop().outcome?;
        Ok(report)
    })?;
    output.header(&Header::of("machine", &report))?;
    let mut workers = report.workers.iter().map(Worker::of);
    workers.try_for_each(|worker| output.row(&worker))
}

/// A worker of the engine.
#[derive(Serialize)]
struct Worker {
    worker: usize,
    cpu: Option<usize>,
    queues: usize,
    chunks: u32,
    chunk_size_bytes: u32,
    memory_bytes: u64,
}

impl Worker {
    fn of(report: &WorkerReport) -> Self {
        Self {
            worker: report.worker,
            cpu: report.cpu,
            queues: report.queues.len(),
            chunks: report.chunks,
            chunk_size_bytes: report.chunk_size,
            memory_bytes: report.memory.bytes,
        }
    }
}

impl Row for Worker {
    const TYPE: &'static str = "worker";
    const COLUMNS: &'static [Column] = &[
        ("worker", 0),
        ("CPU", 0),
        ("queues", 0),
        ("chunks", 0),
        ("bytes each", 0),
        ("MiB pinned", 0),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.worker.to_string(),
            self.cpu
                .map_or_else(|| "any".to_owned(), |cpu| cpu.to_string()),
            self.queues.to_string(),
            self.chunks.to_string(),
            self.chunk_size_bytes.to_string(),
            (self.memory_bytes >> 20).to_string(),
        ]
    }
}

/// Drops what it receives.
struct Nothing;

impl Application for Nothing {
    fn receive(&mut self, _: Batch<'_>, _: &mut Outbox<'_>) {}
}

/// What interfaces have by default.
const MTU_BYTES: u32 = 1500;
