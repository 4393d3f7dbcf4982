//! The command line of impairments: those to start with, and `wharf impair`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};

use super::number::{seconds_within, whole, within};
use super::target::TargetArgs;

/// The impairments to start with.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Impairment")]
pub struct ImpairmentArgs {
    /// Delay, lose, duplicate or reorder frames, e.g. 'delay 20ms loss 1%'
    ///
    /// IMPAIRMENT is written as for `tc netem`: delay TIME [JITTER], loss PERCENT,
    /// duplicate PERCENT, corrupt PERCENT, reorder PERCENT, rate RATE, limit FRAMES. It
    /// applies to both directions, and only to frames that are forwarded.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "IMPAIRMENT",
        allow_hyphen_values = true
    )]
    pub impair: Option<String>,
    /// Impair only what comes in on one interface, e.g. eth0 'delay 20ms'
    ///
    /// For that direction, it takes the place of --impair.
    #[arg(long, hide_short_help = true, num_args = 2, value_names = ["INTERFACE", "IMPAIRMENT"], action = ArgAction::Append, allow_hyphen_values = true)]
    pub impair_from: Vec<String>,
}

/// Arguments of `wharf impair`.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct ImpairArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    #[command(subcommand)]
    pub command: ImpairCommand,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum ImpairCommand {
    /// List the impairments with what they did, and the revision
    #[command(visible_aliases = ["show", "ls"])]
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// List again every SECONDS
        #[arg(long, value_name = "SECONDS", value_parser = seconds_within(WATCH_SECONDS), num_args = 0..=1, default_missing_value = "1", allow_negative_numbers = true)]
        watch: Option<Duration>,
    },
    /// Impair frames from now on: those of both directions, or of one
    #[command(alias = "change")]
    Set {
        #[command(flatten)]
        direction: ImpairDirection,
        /// E.g. 'delay 20ms loss 1%', in one word or several
        ///
        /// It takes the place of the impairment before, all of it.
        #[arg(required = true, value_name = "IMPAIRMENT", allow_hyphen_values = true)]
        impairment: Vec<String>,
    },
    /// Stop impairing frames of both directions, or of one
    ///
    /// Frames that are held keep their times.
    #[command(visible_aliases = ["rm", "del"], alias = "delete")]
    Clear {
        #[command(flatten)]
        direction: ImpairDirection,
    },
}

/// Which direction, and as of which revision.
#[derive(Args, Clone, Debug, Default)]
pub struct ImpairDirection {
    /// Change only what comes in on this interface [default: both]
    #[arg(long, value_name = "INTERFACE")]
    pub from: Option<String>,
    /// Refuse the change if the impairments have changed since this revision
    #[arg(long, value_name = "REVISION", value_parser = whole::<u64>, allow_negative_numbers = true)]
    pub revision: Option<u64>,
}

/// The forwarder closes a connection after a minute without a request.
const WATCH_SECONDS: RangeInclusive<f64> = 0.1..=30.0;

/// Arguments of `wharf bench impair`.
#[derive(Args, Debug)]
pub struct BenchImpairArgs {
    /// Delay frames by this time
    #[arg(long, value_name = "MS", default_value_t = 50.0, value_parser = milliseconds, allow_negative_numbers = true)]
    pub delay_milliseconds: f64,
    /// Send so many frames per second
    #[arg(long, value_name = "FRAMES", default_value_t = 100_000, value_parser = within::<u32>(1..=10_000_000), allow_negative_numbers = true)]
    pub frames_per_second: u32,
    /// Send for so many seconds, without a delay and with it
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = within::<u64>(1..=60), allow_negative_numbers = true)]
    pub seconds: u64,
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let time: f64 = text
        .parse()
        .map_err(|_| "use a number, e.g. 50".to_owned())?;
    if (0.001..=10_000.0).contains(&time) {
        Ok(time)
    } else {
        Err("use 0.001 to 10000".to_owned())
    }
}
