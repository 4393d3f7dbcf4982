//! The interface of the renderers.

use std::io;

use super::interval::Interval;
use super::setup::Setup;
use super::summary::Summary;

/// Shows a run, in the order of the methods.
pub trait Renderer: Send {
    /// What is about to be shown, for people.
    fn title(&mut self, title: &str) -> io::Result<()>;
    /// What was set up, once.
    fn setup(&mut self, setup: &Setup) -> io::Result<()>;
    /// What happened in the last second.
    fn interval(&mut self, interval: &Interval) -> io::Result<()>;
    /// The end of `wharf forward`.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
}
