//! `wharf forward A B`: forwards all frames, or those that rules select.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wharf::impairment::Impairments;
use wharf::{Interface, KernelCall, RuleSet, explain_refusal};

use crate::args::{ForwardArgs, SteeringArgs};
use crate::control::{Socket, directory, listen_in};
use crate::exit::Failure;
use crate::forwarder;
use crate::printable;
use crate::report::Format;
use crate::session::Session;
use crate::{impair_input, metrics, pair, privileges, rule_input, rule_notes, signals, stdout};

/// Forwards until a signal, the end of `--duration`, the end of standard output, or a
/// failure of the engine.
pub fn run(arguments: &ForwardArgs) -> Result<(), Failure> {
    let steering = &arguments.steering;
    let mut rules = rule_input::initial(
        &steering.matches,
        steering.rules.as_deref(),
        steering.default.as_deref(),
        arguments.engine.xsks_per_queue,
    )?;
    if let Some(text) = &steering.undecided {
        rules.undecided = rule_input::undecided("--undecided", text)?;
    }
    let notes = start_notes(&rules, steering);
    let interfaces = [arguments.a.as_str(), arguments.b.as_str()];
    let initial = impair_input::initial(&arguments.impairment, interfaces)?;
    let builder = forwarder::builder(&arguments.a, &arguments.b, &arguments.engine)?
        .rules(rules)
        .flow_capacity(steering.flow_capacity)
        .no_xsk(steering.no_socket.into())
        .keep_management(arguments.management.into());
    builder.validate()?;
    let builder = builder.frames(impair_input::frames(
        &arguments.engine,
        &initial,
        interfaces,
    ));
    let impairments = Impairments::new();
    impairments
        .set_both(initial)
        .expect("there are no workers whose memory could be too small");
    let stop = signals::stop_flag()?;
    let control = Control::open(steering)?;
    let scrapes = arguments.metrics.map(metrics::serve).transpose()?;

    let wires = impairments.clone();
    let engine = builder.start(move |context| wires.wire(context));
    let engine = engine.map_err(privileges::explain)?;
    impair_input::check(&impairments, engine.report())?;
    control.warn();
    warn_of_pair(&arguments.a, &arguments.b);
    notes.iter().for_each(|note| warn(note));
    let mut renderer = Format::of(arguments.json).renderer();
    let is_over = |elapsed: Duration| {
        stop.load(Ordering::Relaxed)
            || arguments
                .duration
                .is_some_and(|duration| elapsed >= duration)
    };
    let session = Session {
        renderer: renderer.as_mut(),
        stop: &stop,
        control: control.socket(),
        flow_capacity: steering.flow_capacity,
        interval: (!arguments.quiet).then_some(arguments.interval),
        scrapes,
        impairments: &impairments,
    };
    let outcome = session.run(engine, is_over);

    let written = outcome
        .output
        .and_then(|()| renderer.summary(&outcome.summary));
    if let Some(reason) = outcome.summary.failure() {
        return Err(Failure::Run(reason));
    }
    stdout::outcome(written)
}

/// Warns once of what gets lost between the two interfaces as they are.
fn warn_of_pair(a: &str, b: &str) {
    let interfaces = Interface::by_name(a).and_then(|a| Ok((a, Interface::by_name(b)?)));
    let warnings = interfaces.and_then(|(a, b)| pair::warnings(&a, &b));
    // An interface that has gone since ends the run with an error of its own.
    for warning in warnings.unwrap_or_default() {
        warn(&warning);
    }
}

/// What is odd about the rules to start with, and what to do about it.
fn start_notes(rules: &RuleSet, steering: &SteeringArgs) -> Vec<String> {
    let mut notes = rule_notes::repeated(rules);
    // Flows come later, and may redirect.
    if !rule_notes::redirects(rules) && steering.flow_capacity == 0 {
        notes.push(format!(
            "{}: add `--default redirect` to forward what no rule matches, or a rule that redirects, such as --match 'tcp port 8080'",
            rule_notes::NOTHING_REDIRECTED
        ));
    }
    notes
}

fn warn(warning: &str) {
    // Standard error may be closed.
    let _ = writeln!(printable::stderr(), "wharf: {warning}");
}

/// The socket for `wharf steer`, if there is one.
enum Control {
    Open(Socket),
    /// `--no-control` was given.
    Closed,
    /// The default socket could not be made. The run goes on without.
    Failed(String),
}

impl Control {
    fn open(arguments: &SteeringArgs) -> Result<Self, Failure> {
        if arguments.no_control {
            return Ok(Self::Closed);
        }
        if let Some(path) = &arguments.control {
            return Socket::at(path).map(Self::Open).map_err(|error| {
                let path = path.display();
                Failure::Run(format!(
                    "cannot listen at {path}: {}; choose another --control path",
                    explain_refusal(&error, KernelCall::Other)
                ))
            });
        }
        let directory = directory();
        Ok(listen_in(&directory).map_or_else(
            |error| {
                let directory = directory.display();
                Self::Failed(format!(
                    "cannot listen in {directory}: {}; `wharf steer` will not reach this forwarder: restart it with --control PATH for that",
                    explain_refusal(&error, KernelCall::Other)
                ))
            },
            Self::Open,
        ))
    }

    /// Warns once that `wharf steer` will not work.
    fn warn(&self) {
        if let Self::Failed(reason) = self {
            warn(reason);
        }
    }

    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Open(socket) => Some(socket),
            Self::Closed | Self::Failed(_) => None,
        }
    }
}
