//! A running engine, watched: one [`Interval`] a second to the renderer, and a
//! [`Summary`] at the end.
//!
//! The last interval ends with the engine, so that the intervals add up to the
//! summary's totals to the last frame.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wharf::{Engine, Snapshot};

use crate::control::{Editor, ForwarderInfo, Server, Socket};
use crate::exit::Failure;
use crate::report::{Ending, Interval, Renderer, Setup, Summary};

/// How a watched engine ended.
pub struct Ended {
    pub summary: Summary,
    /// Whether everything so far could be shown.
    pub output: io::Result<()>,
}

/// Who sees the run, and who may change it.
pub struct Watch<'a> {
    pub renderer: &'a mut dyn Renderer,
    /// Set when nobody reads any more: what nobody reads need not go on, as with
    /// `… | head -1`.
    pub stop: &'a AtomicBool,
    /// Where steering can be changed.
    pub control: Option<&'a Socket>,
    /// What the engine was told.
    pub flow_capacity: u32,
}

impl Watch<'_> {
    /// Watches `engine` until `is_over` says so (it is asked with the time since
    /// the call) or the engine fails, then stops it.
    ///
    /// Has to be called in the engine's network namespace, as stopping it undoes
    /// what it did to its interfaces.
    pub fn run(self, engine: Engine, is_over: impl Fn(Duration) -> bool) -> Ended {
        let info = ForwarderInfo::of(&engine, self.flow_capacity);
        let control = self.control.map(Socket::path);
        let setup = Setup::of(engine.report()).steered(&engine.rules(), &info, control);
        let mut output = Output {
            stop: self.stop,
            result: self.renderer.setup(&setup),
        };
        output.give_up_if_lost();

        let mut before = Snapshot::default();
        let editor = Editor::new(&engine, info);
        thread::scope(|scope| {
            let server = self
                .control
                .map(|socket| Server::start(scope, socket, &editor));
            if let Some(Err(error)) = &server {
                // With standard error closed there is nobody left to tell.
                let _ = writeln!(io::stderr(), "wharf: cannot take requests: {error}");
            }
            look_on(&engine, is_over, || {
                let now = engine.stats();
                let interval = Interval::between(&setup, &before, &now);
                output.then(|| self.renderer.interval(&interval));
                before = now;
            });
        });
        // Nobody changes the rules from here on.
        let rules = editor.close();

        let was_stopped = self.stop.load(Ordering::Relaxed);
        let end = engine.stop();
        output.then(|| {
            let interval = Interval::between(&setup, &before, &end.stats);
            self.renderer.interval(&interval)
        });
        let ending = match (&output.result, was_stopped) {
            (Err(_), _) => Ending::OutputLost,
            (Ok(()), true) => Ending::Interrupted,
            (Ok(()), false) => Ending::Finished,
        };
        Ended {
            summary: Summary::of(setup, &end, &rules, ending),
            output: output.result,
        }
    }
}

/// Calls `interval` once a second until it is over or the engine fails.
fn look_on(engine: &Engine, is_over: impl Fn(Duration) -> bool, mut interval: impl FnMut()) {
    let begin = Instant::now();
    let mut next_interval = INTERVAL;
    loop {
        let elapsed = begin.elapsed();
        if is_over(elapsed) {
            return;
        }
        if elapsed >= next_interval {
            interval();
            // Whole seconds, and no burst of intervals after a pause.
            next_interval = Duration::from_secs(elapsed.as_secs()) + INTERVAL;
        }
        let is_running = engine.wait(next_interval.saturating_sub(elapsed).min(LOOK));
        if !is_running {
            return;
        }
    }
}

/// Whether the output's fate is a failure of the command: a reader that had
/// enough is not, a full disk is.
pub fn judge_output(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Standard output until the first error.
struct Output<'a> {
    stop: &'a AtomicBool,
    result: io::Result<()>,
}

impl Output<'_> {
    fn then(&mut self, write: impl FnOnce() -> io::Result<()>) {
        if self.result.is_ok() {
            self.result = write();
            self.give_up_if_lost();
        }
    }

    fn give_up_if_lost(&self) {
        if self.result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks at the stop flag: soon enough for whoever pressed Ctrl-C,
/// and next to no CPU.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_pipe_is_no_failure_and_full_disk_is() {
        let closed = judge_output(Err(io::ErrorKind::BrokenPipe.into()));
        let full = judge_output(Err(io::ErrorKind::StorageFull.into()));

        assert_eq!(closed, Ok(()));
        assert!(matches!(full, Err(Failure::Run(text)) if text.contains("standard output")));
    }

    #[test]
    fn lost_output_asks_for_the_end_and_is_not_written_to_again() {
        let stop = AtomicBool::new(false);
        let mut output = Output {
            stop: &stop,
            result: Ok(()),
        };

        output.then(|| Err(io::ErrorKind::BrokenPipe.into()));
        output.then(|| panic!("the output is lost"));

        assert!(stop.load(Ordering::Relaxed));
    }
}
