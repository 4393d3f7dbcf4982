//! What a run of `stress` does.

use serde::Serialize;

use super::super::channel::ChannelPlan;

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub channel: ChannelPlan,
    pub handling: Handling,
    pub sockets: u32,
    pub depth: u32,
    pub messages: u64,
    pub size_bytes: u32,
}

/// What becomes of payloads at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// They are written and read in frames.
    InPlace,
    /// They are written and read in heap buffers, and copied into and out of frames.
    CopiedOut,
}

impl Handling {
    pub fn label(self) -> &'static str {
        match self {
            Self::InPlace => "in place",
            Self::CopiedOut => "copied out",
        }
    }
}
