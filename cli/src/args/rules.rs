//! The command line of `wharf rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `wharf rules`.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub struct RulesArgs {
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Print which rule decides each frame of a capture, and why
    Test {
        /// The rules, one per line; `-` is standard input
        #[arg(value_name = "RULES")]
        rules: PathBuf,
        /// A pcap or pcapng file, `-` for standard input, or one frame in hexadecimal
        /// digits
        #[arg(value_name = "PCAP", required = true)]
        frames: Vec<String>,
        /// Print one JSON object per frame and a final one
        #[arg(long)]
        json: bool,
    },
}
