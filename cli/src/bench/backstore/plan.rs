//! What a run of `backstore` does.

use serde::Serialize;

use super::super::channel::ChannelPlan;
use super::request::HEAD_BYTES;

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub channel: ChannelPlan,
    pub handling: Handling,
    pub jobs: u32,
    pub depth: u32,
    pub requests: u64,
    pub size_bytes: u32,
}

impl Plan {
    /// Bytes of a message with a block.
    pub fn message_bytes(&self) -> u32 {
        self.size_bytes + HEAD_BYTES
    }

    /// Blocks of a job: each request under way has its own, and one more to go on with.
    pub fn blocks(&self) -> u32 {
        2 * self.depth
    }
}

/// How the server handles payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// A block is the frames that it was written in.
    InPlace,
    /// A block is bytes on the heap, which are copied from and to frames.
    StoreCopies,
    /// As that, through a buffer of the request.
    CopiedOut,
}

impl Handling {
    /// In the order of the runs.
    pub const ALL: [Self; 3] = [Self::CopiedOut, Self::StoreCopies, Self::InPlace];

    pub fn label(self) -> &'static str {
        match self {
            Self::InPlace => "in place",
            Self::StoreCopies => "store copies",
            Self::CopiedOut => "copied out",
        }
    }
}
