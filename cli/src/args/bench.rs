//! The arguments of `wharf bench`: one subcommand per benchmark.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use wharf::Copybreak;

use super::copybreak::copybreak;
use super::engine::WaitArg;
use super::impair::BenchImpairArgs;
use super::notes;
use super::number::{seconds_within, within};
use super::size::Size;
use super::soak::SoakArgs;

/// Arguments of `wharf bench`.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = false)]
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
    /// Measure round trips by wait policy, beside a kernel socket
    #[command(after_long_help = notes::BENCH_LATENCY)]
    Latency(LatencyArgs),
    /// Show what the benchmarks run on, and measure nothing
    #[command(after_long_help = notes::BENCH_MACHINE)]
    Machine,
    /// Pass frames to the kernel's stack, and count what arrives
    #[command(after_long_help = notes::BENCH_PASS)]
    Pass(PassArgs),
    /// Send many messages over many sockets, and verify every byte
    #[command(after_long_help = notes::BENCH_STRESS)]
    Stress(StressArgs),
    /// Compare copying frames that stay with keeping them in place
    #[command(after_long_help = notes::BENCH_SWEEP)]
    Sweep(SweepArgs),
    /// Measure how late wakes, ticks and held frames are
    #[command(after_long_help = notes::BENCH_TIMERS)]
    Timers(BenchTimersArgs),
    /// Measure how punctual delayed frames are, through an impaired wire
    #[command(after_long_help = notes::BENCH_IMPAIR)]
    Impair(BenchImpairArgs),
    /// Hold, detach, drop and resend frames, and account for each
    #[command(after_long_help = notes::BENCH_SOAK)]
    Soak(SoakArgs),
    /// Run a block server over frames, in place and with copies
    #[command(after_long_help = notes::BENCH_BACKSTORE)]
    Backstore(BackstoreArgs),
}

/// Arguments of `wharf bench backstore`.
#[derive(Args, Debug)]
pub struct BackstoreArgs {
    /// Use N jobs, each with a socket, a thread and blocks of its own at the server
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=64), default_value = "4", allow_negative_numbers = true)]
    pub jobs: u32,
    /// Keep N requests of each job under way
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=256), default_value = "8", allow_negative_numbers = true)]
    pub depth: u32,
    /// Write and read blocks of this size, e.g. 4096 or 256K
    #[arg(long, value_name = "SIZE", value_parser = size_above_zero, default_value = "256K", allow_negative_numbers = true)]
    pub size: Size,
    /// Make N requests in each run, half of them writes
    #[arg(long, value_name = "N", value_parser = within::<u64>(1..=100_000_000), default_value = "4000", allow_negative_numbers = true)]
    pub requests: u64,
    /// Set the MTU of the interfaces
    #[arg(long, value_name = "BYTES", value_parser = within::<u32>(576..=65_000), default_value = "30000", allow_negative_numbers = true)]
    pub mtu: u32,
    /// Let at most N frames be under way to an end of a socket
    #[arg(long, value_name = "N", value_parser = within::<u32>(8..=4096), default_value = "64", allow_negative_numbers = true)]
    pub window: u32,
}

/// Reads a size of at least a byte.
fn size_above_zero(text: &str) -> Result<Size, String> {
    match text.parse()? {
        Size(0) => Err("it must be at least 1".to_owned()),
        size => Ok(size),
    }
}

/// Arguments of `wharf bench pass`.
#[derive(Args, Debug)]
pub struct PassArgs {
    /// Pass frames of this many bytes
    #[arg(long, value_name = "BYTES", value_parser = within::<u32>(60..=1514), default_value = "60", allow_negative_numbers = true)]
    pub size: u32,
    /// Pass for this time in each run
    #[arg(long, value_name = "SECONDS", value_parser = seconds_within(0.1..=3600.0), default_value = "3", allow_negative_numbers = true)]
    pub duration: Duration,
}

/// Arguments of `wharf bench sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// Keep N frames at a time
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=65_536), default_value = "256", allow_negative_numbers = true)]
    pub held: u32,
    /// Measure each size in N turns of each column
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=100_000), default_value = "51", allow_negative_numbers = true)]
    pub rounds: u32,
    /// Leave out sizes above this one, e.g. 1500 or 4K
    #[arg(long, value_name = "SIZE", value_parser = size_above_zero, default_value = "64K", allow_negative_numbers = true)]
    pub max_size: Size,
    /// Let the column `auto` copy frames below so many bytes, or `off` [default: off]
    #[arg(long, value_name = "BYTES", value_parser = copybreak, allow_negative_numbers = true)]
    pub copybreak: Option<Copybreak>,
}

/// Arguments of `wharf bench stress`.
#[derive(Args, Debug)]
pub struct StressArgs {
    /// Use N sockets at each end, each on a queue of its own
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=64), default_value = "8", allow_negative_numbers = true)]
    pub sockets: u32,
    /// Keep N messages of each socket under way
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=1024), default_value = "64", allow_negative_numbers = true)]
    pub depth: u32,
    /// Send messages of this size, e.g. 4096, 256K or 1M
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1M",
        allow_negative_numbers = true
    )]
    pub size: Size,
    /// Send N messages in each run
    #[arg(long, value_name = "N", value_parser = within::<u64>(1..=10_000_000), default_value = "2000", allow_negative_numbers = true)]
    pub messages: u64,
    /// Choose where payloads are written and read
    #[arg(long, value_enum, default_value_t)]
    pub handling: HandlingArg,
    /// Set the MTU of the interfaces
    #[arg(long, value_name = "BYTES", value_parser = within::<u32>(576..=65_000), default_value = "30000", allow_negative_numbers = true)]
    pub mtu: u32,
    /// Let at most N frames be under way to an end of a socket
    #[arg(long, value_name = "N", value_parser = within::<u32>(8..=4096), default_value = "64", allow_negative_numbers = true)]
    pub window: u32,
}

/// Where payloads are written and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HandlingArg {
    /// In frames, then in heap buffers
    #[default]
    Both,
    /// In frames
    InPlace,
    /// In heap buffers, copied into and out of frames
    CopiedOut,
}

/// Arguments of `wharf bench timers`.
#[derive(Args, Debug)]
pub struct BenchTimersArgs {
    /// Measure each for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = within::<u64>(1..=3600), allow_negative_numbers = true)]
    pub seconds: u64,
    /// Ask for so many ticks a second
    #[arg(long, value_name = "TICKS", default_value = "1000", value_parser = within::<u32>(1..=100_000), allow_negative_numbers = true)]
    pub ticks_per_second: u32,
    /// Hold so many frames a second
    #[arg(long, value_name = "FRAMES", default_value = "100000", value_parser = within::<u32>(1..=10_000_000), allow_negative_numbers = true)]
    pub frames_per_second: u32,
    /// Hold each frame for so many milliseconds
    #[arg(long, value_name = "MS", default_value = "50", value_parser = within::<u64>(1..=10_000), allow_negative_numbers = true)]
    pub hold_milliseconds: u64,
    /// Choose what the worker does when idle
    #[arg(long, value_enum, default_value_t)]
    pub wait: WaitArg,
}

/// Arguments of `wharf bench latency`.
#[derive(Args, Debug)]
pub struct LatencyArgs {
    /// Send this many requests per second; several rates, e.g. 1000,20000, are measured in turn
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "1000,20000", value_parser = within::<u32>(1..=1_000_000), allow_negative_numbers = true)]
    pub rate: Vec<u32>,
    /// Measure each server at each rate for this long
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds_within(0.1..=3600.0), allow_negative_numbers = true)]
    pub seconds: Duration,
    /// Send UDP payloads of this many bytes, 8 to 1472
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = within::<u16>(8..=1472), allow_negative_numbers = true)]
    pub size: u16,
}
