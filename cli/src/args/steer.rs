//! The command line of `wharf steer`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::number::{seconds_within, whole};
use super::target::TargetArgs;

/// Arguments of `wharf steer`.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct SteerArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    #[command(subcommand)]
    pub command: SteerCommand,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum SteerCommand {
    /// List the rules with their hits, and the revision
    #[command(visible_aliases = ["show", "ls"])]
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// List again every SECONDS, with hits per second
        #[arg(long, value_name = "SECONDS", value_parser = seconds_within(WATCH_SECONDS), num_args = 0..=1, default_missing_value = "1", allow_negative_numbers = true)]
        watch: Option<Duration>,
    },
    /// Add a rule: at the end, or as rule N
    Add {
        /// Insert the rule at position N; later rules move down
        #[arg(long, value_name = "N", value_parser = whole::<usize>, allow_negative_numbers = true)]
        at: Option<usize>,
        #[command(flatten)]
        guard: Guard,
        /// [ACTION] EXPRESSION, in one word or several
        ///
        /// ACTION is redirect (the default), redirect:N, pass or drop.
        #[arg(required = true, value_name = "RULE")]
        rule: Vec<String>,
    },
    /// Remove a rule
    #[command(visible_aliases = ["rm", "del"], alias = "delete")]
    Remove {
        /// The rule's number in `wharf steer list`
        #[arg(value_name = "N", value_parser = whole::<usize>, allow_negative_numbers = true)]
        number: usize,
        #[command(flatten)]
        guard: Guard,
    },
    /// Replace all rules with those of a file, at once
    ///
    /// The default action stays as it is, unless the file has a line `default ACTION`.
    Replace {
        /// The rules, one per line; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        guard: Guard,
    },
    /// Set the action for frames that match no rule
    Default {
        /// redirect, redirect:N, pass or drop
        #[arg(value_name = "ACTION")]
        action: String,
        #[command(flatten)]
        guard: Guard,
    },
    /// Set the action for frames that do not show whether a rule matches
    ///
    /// A fragment, for example, has no ports that a rule could compare. The action
    /// applies only where a match of that rule would change what becomes of the frame.
    Undecided {
        /// redirect, redirect:N, pass or drop; `next` asks the next rule
        #[arg(value_name = "ACTION|next")]
        action: String,
        #[command(flatten)]
        guard: Guard,
    },
    /// Print which rule or flow decides each frame, and why
    ///
    /// Management traffic is not told apart: it passes to the kernel before any rule.
    Explain {
        /// A frame in hexadecimal digits, a pcap or pcapng file, or `-` for standard
        /// input
        #[arg(value_name = "FRAME or PCAP", required = true)]
        frames: Vec<String>,
        /// Print one JSON object per frame and a final one
        #[arg(long)]
        json: bool,
    },
    /// Add, remove and list exact flows
    ///
    /// The forwarder looks them up by hash, before it asks the rules.
    #[command(subcommand, subcommand_required = true, arg_required_else_help = false)]
    Flow(FlowCommand),
}

/// The revision of the rules that an edit is for.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Guard {
    /// Refuse the edit if the rules have changed since this revision
    #[arg(long, value_name = "REVISION", value_parser = whole::<u64>, allow_negative_numbers = true)]
    pub revision: Option<u64>,
}

/// The subcommands of `wharf steer flow`.
#[derive(Debug, Subcommand)]
pub enum FlowCommand {
    /// Add a flow, or change the action of an existing one
    Add {
        /// Set the action: redirect, redirect:N, pass or drop
        #[arg(long, value_name = "ACTION", default_value = "redirect")]
        action: String,
        /// E.g. 'tcp 10.0.0.1:1234 > 10.0.0.2:80', in quotes
        #[arg(required = true, value_name = "FLOW")]
        flow: Vec<String>,
    },
    /// Remove a flow
    #[command(visible_aliases = ["rm", "del"], alias = "delete")]
    Remove {
        /// E.g. 'tcp 10.0.0.1:1234 > 10.0.0.2:80'
        #[arg(required = true, value_name = "FLOW")]
        flow: Vec<String>,
    },
    /// Add the flows of a file; add none if any line is wrong
    Load {
        /// Set the action for lines that do not begin with one
        #[arg(long, value_name = "ACTION", default_value = "redirect")]
        action: String,
        /// The flows, `[ACTION] FLOW` per line; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// List the flows, one per line
    ///
    /// `flow load` reads what this prints.
    #[command(visible_aliases = ["show", "ls"])]
    List,
    /// Print the number of flows and the room for them
    Count {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The forwarder closes a connection after a minute without a request.
const WATCH_SECONDS: RangeInclusive<f64> = 0.1..=30.0;
