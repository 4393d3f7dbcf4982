//! The arguments of `wharf bench soak`.

use std::time::Duration;

use clap::Args;

use super::number::{seconds, whole, within};

/// Arguments of `wharf bench soak`.
#[derive(Args, Debug)]
pub struct SoakArgs {
    /// End when so many frames were received, by both ends together
    #[arg(long, value_parser = within::<u64>(1..=u64::MAX), default_value_t = 50_000_000, allow_negative_numbers = true)]
    pub frames: u64,
    /// End after this many seconds, if it has not ended before
    #[arg(long, value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<Duration>,
    /// Choose what happens: the same number makes the same choices
    #[arg(long, value_parser = whole::<u64>, default_value_t = 1, allow_negative_numbers = true)]
    pub seed: u64,
}
