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
    /// Add a rule, e.g. 'tcp port 8080' or 'drop udp'
    ///
    /// RULE is [ACTION] EXPRESSION, e.g. 'udp dst port 4433' to forward these frames, or
    /// 'drop src net 192.0.2.0/24'. Repeat the option for more rules. Without rules, every
    /// frame is forwarded. With rules, frames that match none pass to the kernel.
    #[arg(long = "match", value_name = "RULE")]
    pub matches: Vec<String>,
    /// Add the rules of a file, one per line
    ///
    /// They come after those of --match. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Choose what becomes of frames to redirect where no socket is there to take
    /// them: while the forwarder starts and ends, and on queues beyond --queues
    #[arg(long, value_enum, default_value_t, hide_short_help = true)]
    pub no_socket: NoSocketArg,
    /// Set the action for frames that match no rule
    ///
    /// ACTION is redirect, pass or drop. The default is what the rules file says, else
    /// pass, and redirect without rules.
    #[arg(long, value_name = "ACTION")]
    pub default: Option<String>,
    /// Set the action for frames that do not show whether a rule matches
    ///
    /// A fragment, for example, has no ports that a rule could compare. ACTION is
    /// redirect, pass or drop. It applies only where a match of that rule would change
    /// what becomes of the frame. `next` asks the next rule instead. The default is what
    /// the rules file says, else next.
    #[arg(long, value_name = "ACTION", hide_short_help = true)]
    pub undecided: Option<String>,
    /// Reserve room for N exact flows per interface, for `wharf steer flow`
    #[arg(
        long,
        hide_short_help = true,
        value_name = "N",
        default_value_t = SteeringConfig::default().flow_capacity,
        value_parser = within::<u32>(0..=FLOW_CAPACITY_MAX),
        allow_negative_numbers = true
    )]
    pub flow_capacity: u32,
    /// Listen for `wharf steer` at PATH [default: /run/wharf/forward-PID.sock]
    #[arg(
        long,
        hide_short_help = true,
        value_name = "PATH",
        conflicts_with = "no_control"
    )]
    pub control: Option<PathBuf>,
    /// Do not listen for `wharf steer`
    #[arg(long, hide_short_help = true)]
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
