//! Which running forwarder a command is for.

use std::path::PathBuf;

use clap::Args;

use super::number::whole;

/// Options of the commands that ask a running forwarder.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// Connect to the forwarder that listens at PATH
    ///
    /// By default, connects to the only running forwarder.
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "pid")]
    pub control: Option<PathBuf>,
    /// Connect to the forwarder of process PID
    ///
    /// By default, connects to the only running forwarder.
    #[arg(long, value_name = "PID", value_parser = whole::<u32>, global = true, allow_negative_numbers = true)]
    pub pid: Option<u32>,
}
