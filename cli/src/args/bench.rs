//! The arguments of `wharf bench`: one subcommand per benchmark.

use clap::{Args, Subcommand};

use super::notes;

/// Arguments of `wharf bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Show what the benchmarks run on, and measure nothing
    #[command(after_long_help = notes::BENCH_MACHINE)]
    Machine,
}
