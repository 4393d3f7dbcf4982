//! Which frames the forwarder takes, and where it can be told otherwise while
//! it runs.

use std::path::PathBuf;

use clap::Args;

/// The rules to start with, and the way to change them.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Steering")]
pub struct SteeringArgs {
    /// Take the frames that RULE is about, e.g. 'udp dst port 4433' or 'drop
    /// src net 192.0.2.0/24'; may be given several times. Without any rule
    /// everything is taken; with rules, what none matches goes to the kernel
    #[arg(long = "match", value_name = "RULE")]
    pub matches: Vec<String>,
    /// Rules from a file, one a line, after those of --match; `-` is standard
    /// input
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Exact flows that `wharf steer flow` may add, per interface
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=FLOW_CAPACITY_MAX),
        allow_negative_numbers = true
    )]
    pub flow_capacity: u32,
    /// Where to listen for `wharf steer` [default: /run/wharf/forward-PID.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "no_control")]
    pub control: Option<PathBuf>,
    /// Do not listen for `wharf steer`
    #[arg(long)]
    pub no_control: bool,
}

/// Sixteen million: a flow takes some 650 bytes over two interfaces.
const FLOW_CAPACITY_MAX: i64 = 1 << 24;
