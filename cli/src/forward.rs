//! `wharf forward A B`: a bump in the wire.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::args::ForwardArgs;
use crate::exit::Failure;
use crate::forwarder::{self, Forwarder};
use crate::report::Format;
use crate::{metrics, privileges, report, session, signals};

/// Forwards until a signal, the end of the asked duration, the end of standard
/// output, or a failure of the engine.
pub fn run(arguments: &ForwardArgs) -> Result<(), Failure> {
    let builder = forwarder::builder(&arguments.a, &arguments.b, &arguments.engine)?
        .keep_management(arguments.management.into());
    let stop = signals::stop_flag()?;
    if let Some(address) = arguments.metrics {
        metrics::serve(address)?;
    }

    let engine = builder.start(Forwarder::new).map_err(privileges::explain)?;
    let mut renderer = report::renderer(Format::of(arguments.json));
    let is_over = |elapsed: Duration| {
        stop.load(Ordering::Relaxed)
            || arguments
                .duration
                .is_some_and(|duration| elapsed >= duration)
    };
    let ended = session::watch(engine, renderer.as_mut(), &stop, is_over);

    let written = ended.output.and_then(|()| renderer.summary(&ended.summary));
    if let Some(reason) = ended.summary.failure() {
        return Err(Failure::Run(reason));
    }
    session::judge_output(written)
}
