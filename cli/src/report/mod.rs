//! What the command shows: one view model, two renderers.
//!
//! ```text
//!  setup, interval, event,
//!  summary                     the view model, computed once from the engine's counters
//!  text, units, drops, rules,
//!  queues                      numbers, rates, names and rows
//!  explained                   what rules decide about frames
//!  setup_text, summary_text    the view model as text
//!  renderer ◄── table, json    the two renderers show the same values
//!  format                      selects one of them
//!  prometheus                  the counters for scrapers
//! ```

mod drops;
mod event;
mod explained;
mod format;
mod impairments;
mod interval;
mod json;
mod limits;
mod prometheus;
mod queues;
mod renderer;
mod rules;
mod setup;
mod setup_text;
mod summary;
mod summary_text;
mod table;
mod text;
mod units;
mod usage;

pub use event::InterfaceEvent;
pub use explained::ExplainedFrames;
pub use format::Format;
pub use impairments::write_impairments;
pub use interval::Interval;
pub use json::write_line;
pub use prometheus::prometheus;
pub use renderer::Renderer;
pub use rules::{write_listing, write_listing_since};
pub use setup::Setup;
#[cfg(test)]
pub use summary::tests;
pub use summary::{ChunkAudit, Ending, Summary};
pub use summary_text::write_summary;
pub use text::{counted, filled, grouped, ranges};
