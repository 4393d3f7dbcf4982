//! `wharf bench`: measures this machine in the terms of the systems that Wharf learned
//! from.
//!
//! ```text
//!   client ─── eth0  veth pair  eth0 ─── server      private network namespaces
//! ```
//!
//! Every benchmark is a module of its own: it builds its [`Bed`](testbed), prints one
//! [`Header`](header) with what it runs on, and then rows through one
//! [`Output`](output), as a table or as JSON. The namespaces have no names, so the
//! kernel takes them down with the process, however that ends.
//!
//! A benchmark looks at the flag that signals set at least ten times a second, bounds
//! every wait, and fails where something got lost: a figure of a broken run is worth
//! nothing.

mod backstore;
mod channel;
mod cpu_time;
mod ends;
mod flow;
mod header;
mod impair;
mod latency;
mod machine;
mod output;
mod pass;
mod pattern;
mod soak;
mod stress;
mod summary;
mod sweep;
mod testbed;
mod timers;

use std::sync::Arc;

use crate::args::{BenchArgs, BenchCommand};
use crate::exit::Failure;
use crate::{privileges, signals};
use output::Output;

/// Runs one benchmark.
pub fn run(arguments: &BenchArgs) -> Result<(), Failure> {
    // It does without interfaces.
    if !matches!(arguments.command, BenchCommand::Sweep(_)) {
        privileges::require("a benchmark", testbed::NEEDED)?;
    }
    let stop = signals::stop_flag()?;
    let mut output = Output::new(arguments.json, Arc::clone(&stop));
    match &arguments.command {
        BenchCommand::Latency(arguments) => latency::run(arguments, &mut output, &stop),
        BenchCommand::Machine => machine::run(&mut output, &stop),
        BenchCommand::Pass(arguments) => pass::run(arguments, &mut output, &stop),
        BenchCommand::Backstore(arguments) => backstore::run(arguments, &mut output, &stop),
        BenchCommand::Stress(arguments) => stress::run(arguments, &mut output, &stop),
        BenchCommand::Timers(timers) => timers::run(timers, &mut output, &stop),
        BenchCommand::Impair(arguments) => impair::run(arguments, &mut output, &stop),
        BenchCommand::Soak(arguments) => soak::run(arguments, &mut output, &stop),
        BenchCommand::Sweep(arguments) => sweep::run(arguments, &mut output, &stop),
    }
}
