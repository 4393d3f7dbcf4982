//! The command line of `wharf steer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `wharf steer`.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct SteerArgs {
    /// The forwarder's control socket [default: that of the only one running]
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "pid")]
    pub control: Option<PathBuf>,
    /// The forwarder's process id [default: that of the only one running]
    #[arg(long, value_name = "PID", global = true)]
    pub pid: Option<u32>,

    #[command(subcommand)]
    pub command: SteerCommand,
}

/// What to ask of the forwarder.
#[derive(Debug, Subcommand)]
pub enum SteerCommand {
    /// Show the rules, how many frames each of them decided, and the revision
    List {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Add a rule: behind the others, or at a place among them
    Add {
        /// The number it shall have; those from there on move back
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        at: Option<usize>,
        #[command(flatten)]
        guard: Guard,
        /// [redirect|redirect:N|pass|drop] EXPRESSION, in one word or several
        #[arg(required = true, value_name = "RULE")]
        rule: Vec<String>,
    },
    /// Take a rule away
    Remove {
        /// The rule's number in `wharf steer list`
        #[arg(value_name = "N", allow_negative_numbers = true)]
        number: usize,
        #[command(flatten)]
        guard: Guard,
    },
    /// Put the rules of a file in the place of all there are, at once
    Replace {
        /// One rule a line; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        guard: Guard,
    },
    /// Say what becomes of frames that no rule matches
    Default {
        /// redirect, redirect:N, pass or drop
        #[arg(value_name = "ACTION")]
        action: String,
        #[command(flatten)]
        guard: Guard,
    },
    /// Exact flows, which a hash finds before any rule is asked
    #[command(subcommand, subcommand_required = true, arg_required_else_help = false)]
    Flow(FlowCommand),
}

/// The rules an edit was meant for.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Guard {
    /// Only if the rules still are those of this revision
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<u64>,
}

/// What to do with exact flows.
#[derive(Debug, Subcommand)]
pub enum FlowCommand {
    /// Add a flow, or give the one there is another action
    Add {
        /// What becomes of its frames: redirect, redirect:N, pass or drop
        #[arg(long, value_name = "ACTION", default_value = "redirect")]
        action: String,
        /// E.g. 'tcp 10.0.0.1:1234 > 10.0.0.2:80' (quoted, for the shell's sake)
        #[arg(required = true, value_name = "FLOW")]
        flow: Vec<String>,
    },
    /// Take a flow away
    Remove {
        /// As in `flow add`
        #[arg(required = true, value_name = "FLOW")]
        flow: Vec<String>,
    },
    /// Add the flows of a file, once all of it has been read and found good
    Load {
        /// What becomes of flows whose line does not begin with an action
        #[arg(long, value_name = "ACTION", default_value = "redirect")]
        action: String,
        /// `[ACTION] FLOW`, one a line; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the flows, one a line, as `flow load` reads them
    List,
    /// Show how many flows there are, and how many there may be
    Count {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}
