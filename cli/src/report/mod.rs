//! What the command shows: one view model, two renderers.
//!
//! [`Setup`], [`Interval`] and [`Summary`] are computed once from the engine's
//! own counters; the table and the JSON lines show the same values and compute
//! nothing themselves.

mod drops;
mod interval;
mod json;
mod rules;
mod setup;
mod summary;
mod table;
mod text;

use std::io;

#[cfg(test)]
pub use drops::DropCounts;
pub use interval::{Interval, WorkerLoad};
pub use rules::write_listing;
pub use setup::Setup;
pub use summary::{ChunkAudit, Ending, Summary};
pub use text::grouped;

#[cfg(test)]
pub use summary::tests;

use crate::demo::Verdict;

/// Shows a run, in the order of the methods.
pub trait Renderer: Send {
    /// What is about to be shown, for people.
    fn title(&mut self, title: &str) -> io::Result<()>;
    /// What was set up, once.
    fn setup(&mut self, setup: &Setup) -> io::Result<()>;
    /// What the last second brought.
    fn interval(&mut self, interval: &Interval) -> io::Result<()>;
    /// The end of `wharf forward`.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
    /// The end of `wharf demo`.
    fn verdict(&mut self, verdict: &Verdict, summary: &Summary) -> io::Result<()>;
}

/// The renderer for programs or for people, on standard output.
pub fn renderer(format: Format) -> Box<dyn Renderer> {
    match format {
        Format::Json => Box::new(json::Json::new(io::stdout())),
        Format::Table => Box::new(table::Table::new(io::stdout())),
    }
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one object per line.
    Json,
}

impl Format {
    /// The format `--json` stands for.
    pub fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}
