//! The command line and its `--help`.
//!
//! Options default to what the engine defaults to. What clap accepts here is
//! checked once more as a whole by [`wharf::EngineBuilder::validate`].

mod bench;
mod copybreak;
mod engine;
mod impair;
mod limit;
mod management;
mod notes;
mod number;
mod rules;
mod size;
mod soak;
mod steer;
mod steering;
mod target;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::exit::{Failure, one_line};
pub use bench::{
    BackstoreArgs, BenchArgs, BenchCommand, BenchTimersArgs, HandlingArg, LatencyArgs, PassArgs,
    StressArgs, SweepArgs,
};
pub use engine::EngineArgs;
pub use impair::{BenchImpairArgs, ImpairArgs, ImpairCommand, ImpairDirection, ImpairmentArgs};
pub use limit::apply as apply_limits;
pub use management::ManagementArgs;
pub use number::CpuList;
use number::{seconds, seconds_within};
pub use rules::{RulesArgs, RulesCommand};
pub use size::Size;
pub use soak::SoakArgs;
pub use steer::{FlowCommand, Guard, SteerArgs, SteerCommand};
pub use steering::SteeringArgs;

/// Reads the command line. Prints the help or the version if asked to, and returns
/// `None`.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Option<Command>, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            if let Command::Forward(forward) = &cli.command {
                limit::check(&forward.engine.limits).map_err(Failure::Usage)?;
            }
            Ok(Some(cli.command))
        }
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A closed standard output (`wharf --help | head -1`) is fine.
                let _ = error.print();
                Ok(None)
            }
            _ => Err(Failure::Usage(format!(
                "{} (see `{} --help`)",
                describe(&error.render().to_string()),
                command_of(&arguments)
            ))),
        },
    }
}

/// Forward frames between network interfaces in user space, on AF_XDP
#[derive(Debug, Parser)]
#[command(name = "wharf", version, max_term_width = HELP_COLUMNS, after_help = notes::START, after_long_help = notes::EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forward frames between two interfaces, all or by rules, until stopped
    #[command(after_long_help = notes::FORWARD)]
    Forward(Box<ForwardArgs>),
    /// List and change the rules of a running forwarder
    #[command(after_long_help = notes::STEER)]
    Steer(SteerArgs),
    /// List and change the delay, loss and rate of a running forwarder
    #[command(after_long_help = notes::IMPAIR)]
    Impair(ImpairArgs),
    /// Work on rules without an interface
    #[command(after_long_help = notes::RULES)]
    Rules(RulesArgs),
    /// Send real traffic through the forwarder, on virtual interfaces
    #[command(after_long_help = notes::DEMO)]
    Demo(DemoArgs),
    /// Check what forwarding would get on this machine, and what to change
    #[command(after_long_help = notes::DOCTOR)]
    Doctor(DoctorArgs),
    /// Measure this machine, on virtual interfaces
    #[command(after_long_help = notes::BENCH)]
    Bench(BenchArgs),
}

/// Arguments of `wharf forward`.
#[derive(Args, Debug)]
pub struct ForwardArgs {
    /// One interface, e.g. eth0
    #[arg(value_name = "A", value_parser = NonEmptyStringValueParser::new())]
    pub a: String,
    /// The other interface, e.g. eth1
    #[arg(value_name = "B", value_parser = NonEmptyStringValueParser::new())]
    pub b: String,

    /// Stop after this time [default: run until Ctrl-C]
    ///
    /// E.g. 10 or 0.5.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub duration: Option<Duration>,
    /// Set the time between two reports
    ///
    /// E.g. 10 or 0.5. A tenth of a second is the least.
    #[arg(long, value_name = "SECONDS", value_parser = seconds_within(INTERVAL_SECONDS), default_value = "1", allow_negative_numbers = true)]
    pub interval: Duration,
    /// Print no reports, only the setup and the summary
    ///
    /// Warnings and what happens to the interfaces are printed, too. With --json, only
    /// the last object and what happens.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON object per report and a final one
    #[arg(long)]
    pub json: bool,
    /// Serve Prometheus metrics, e.g. at 127.0.0.1:9100
    ///
    /// They are at http://ADDR/metrics.
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub metrics: Option<SocketAddr>,

    #[command(flatten)]
    pub management: ManagementArgs,
    #[command(flatten)]
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub impairment: ImpairmentArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Arguments of `wharf demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Send traffic for N seconds, e.g. 5 or 0.5
    #[arg(long, value_name = "N", value_parser = seconds_within(0.1..=DEMO_SECONDS_MAX), default_value = "5", allow_negative_numbers = true)]
    pub seconds: Duration,
    /// Print one JSON object per second and a final one
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wharf doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Check these interfaces [default: all but lo]
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub interfaces: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Longer lines are hard to read, and terminals have at least as many columns.
const HELP_COLUMNS: usize = 80;

/// Workers publish their counters every 50 ms, so less shows nothing new.
const INTERVAL_SECONDS: RangeInclusive<f64> = 0.1..=86_400.0;

/// The longest demo, in seconds.
const DEMO_SECONDS_MAX: f64 = 3600.0;

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .ok()
        .filter(|address: &SocketAddr| address.port() != 0)
        .ok_or_else(|| {
            "use an IP address and a port above 0, e.g. 127.0.0.1:9100 or [::1]:9100".to_owned()
        })
}

/// clap's error in one line, without its paragraphs of usage and its hint at the help.
fn describe(rendered: &str) -> String {
    let paragraphs: Vec<String> = rendered
        .split("\n\n")
        .map(one_line)
        .filter(|paragraph| !paragraph.is_empty())
        .filter(|paragraph| !paragraph.starts_with("Usage:"))
        .filter(|paragraph| !paragraph.starts_with("For more information"))
        .collect();
    let text = paragraphs.join("; ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// The subcommand that `arguments` name, as far as it exists: `wharf steer flow add`.
fn command_of(arguments: &[OsString]) -> String {
    let mut words = vec!["wharf".to_owned()];
    let lenient = Cli::command().ignore_errors(true);
    if let Ok(matches) = lenient.try_get_matches_from(arguments) {
        let mut named = matches.subcommand();
        while let Some((name, matches)) = named {
            words.push(name.to_owned());
            named = matches.subcommand();
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
