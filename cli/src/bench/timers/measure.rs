//! What can be measured.

use std::time::Duration;

/// What a run measures.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    Wake,
    /// Ticks so far apart.
    Tick(Duration),
    /// Frames held for so long.
    Hold(Duration),
}

impl Measure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Wake => "wake",
            Self::Tick(_) => "tick",
            Self::Hold(_) => "hold",
        }
    }
}
