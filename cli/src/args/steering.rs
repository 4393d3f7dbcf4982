//! Which frames the forwarder takes, and the socket through which that can be
//! changed while it runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wharf::SteeringConfig;

use super::number::within;

/// The rules to start with, and the way to change them.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Steering")]
pub struct SteeringArgs {
    /// Apply RULE, e.g. 'udp dst port 4433' to take these frames, or 'drop src net
    /// 192.0.2.0/24'; repeat for more rules. Without rules, every frame is taken;
    /// with rules, frames that match none pass to the kernel
    #[arg(long = "match", value_name = "RULE")]
    pub matches: Vec<String>,
    /// Read rules from a file, one per line, to follow those of --match; `-` is
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Choose what becomes of frames to redirect where no socket is there to take
    /// them: while the forwarder starts and ends, and on queues beyond --queues
    #[arg(long, value_enum, default_value_t)]
    pub no_socket: NoSocketArg,
    /// Set the action for frames that match no rule: redirect, pass or drop [default:
    /// what the rules file says, else pass; redirect without rules]
    #[arg(long, value_name = "ACTION")]
    pub default: Option<String>,
    /// Reserve room for N exact flows per interface, for `wharf steer flow`
    #[arg(
        long,
        value_name = "N",
        default_value_t = SteeringConfig::default().flow_capacity,
        value_parser = within::<u32>(0..=FLOW_CAPACITY_MAX),
        allow_negative_numbers = true
    )]
    pub flow_capacity: u32,
    /// Listen for `wharf steer` at PATH [default: /run/wharf/forward-PID.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "no_control")]
    pub control: Option<PathBuf>,
    /// Do not listen for `wharf steer`
    #[arg(long)]
    pub no_control: bool,
}

/// [`wharf::NoXsk`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NoSocketArg {
    /// Pass them to the kernel, as without the forwarder
    #[default]
    Pass,
    /// Drop them, so that none gets past the forwarder
    Drop,
}

impl From<NoSocketArg> for wharf::NoXsk {
    fn from(no_socket: NoSocketArg) -> Self {
        match no_socket {
            NoSocketArg::Pass => Self::Pass,
            NoSocketArg::Drop => Self::Drop,
        }
    }
}

/// Sixteen million: a flow takes some 650 bytes over two interfaces.
const FLOW_CAPACITY_MAX: u64 = 1 << 24;
