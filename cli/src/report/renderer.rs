//! The interface of the renderers.

use std::io;

use super::event::InterfaceEvent;
use super::interval::Interval;
use super::setup::Setup;
use super::summary::Summary;

/// Shows a run: title, setup, intervals and events, summary.
pub trait Renderer: Send {
    /// What is about to be shown, for people.
    fn title(&mut self, title: &str) -> io::Result<()>;
    /// What was set up, once.
    fn setup(&mut self, setup: &Setup) -> io::Result<()>;
    /// What happened in the last second.
    fn interval(&mut self, interval: &Interval) -> io::Result<()>;
    /// What happened to an interface.
    fn event(&mut self, event: &InterfaceEvent) -> io::Result<()>;
    /// The end of `wharf forward`.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
}
