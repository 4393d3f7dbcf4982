//! `wharf demo`: runs the forwarder as the wire between two private hosts.
//!
//! ```text
//!   client                   wire                     server
//!   eth0 10.77.0.1 ───── left [forwarder] right ───── 10.77.0.2 eth0
//! ```
//!
//! Three private network namespaces; nothing but the forwarder joins `left` and
//! `right`, so every answer, ARP included, went through it. The same application
//! on the same builder as `wharf forward` runs there, watched by the same loop.
//! Client and server use their kernels' own stacks.
//!
//! Bounded in time: every wait has a limit, and a watchdog ends the process
//! should one of them not hold. The namespaces have no names, so the kernel
//! takes them down with the process, however that ends.

mod clock;
mod datagram;
mod echo;
mod pattern;
mod show;
mod tcp;
mod timed;
mod traffic;
mod udp;
mod verdict;

use std::io::Write;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use caps::Capability;
use wharf::impairment::Impairments;
use wharf_testbed::{Neighbours, Testbed, Wire};

use crate::args::{DemoArgs, EngineArgs};
use crate::exit::Failure;
use crate::forwarder;
use crate::printable;
use crate::report::{Format, Renderer};
use crate::session::{Outcome, Session};
use crate::{privileges, signals, stdout};
use clock::Clock;
use traffic::Traffic;
use verdict::Verdict;

/// Runs the demo; fails unless its verdict is `pass`.
pub fn run(arguments: &DemoArgs) -> Result<(), Failure> {
    privileges::require("the demo", NEEDED)?;
    let stop = signals::stop_flag()?;
    start_watchdog(arguments.seconds + WATCHDOG_GRACE);

    let wire = Testbed::options()
        .neighbours(Neighbours::Resolved)
        .wire()
        .map_err(|error| Failure::Run(format!("cannot build the demo's network: {error}")))?;
    let format = Format::of(arguments.json);
    let mut renderer = format.renderer();
    // If standard output is closed, the first interval notices.
    let _ = renderer.title(TITLE);
    let (outcome, traffic) = run_on(&wire, renderer.as_mut(), arguments.seconds, &stop)?;

    let verdict = Verdict::of(traffic, &outcome.summary);
    let written = outcome
        .output
        .and_then(|()| show::show(&mut printable::stdout(), format, &verdict, &outcome.summary));
    if let Some(reason) = verdict.failure() {
        return Err(Failure::Run(reason));
    }
    stdout::outcome(written)
}

/// Forwards on the wire while client and server talk through it.
fn run_on(
    wire: &Wire,
    renderer: &mut dyn Renderer,
    duration: Duration,
    stop: &AtomicBool,
) -> Result<(Outcome, Traffic), Failure> {
    let is_traffic_over = AtomicBool::new(false);
    let (started, start) = mpsc::channel();
    thread::scope(|scope| {
        let is_traffic_over = &is_traffic_over;
        let forwarding =
            scope.spawn(move || forward(wire, renderer, stop, is_traffic_over, &started));
        // Without a start there is nothing to send through, only the reason.
        let traffic = start
            .recv()
            .ok()
            .map(|()| traffic::run(wire, &Clock::new(duration, stop)));
        is_traffic_over.store(true, Ordering::Relaxed);
        let outcome = forwarding
            .join()
            .map_err(|_| Failure::Run("the forwarder's thread panicked".to_owned()))??;
        Ok((outcome, traffic.unwrap_or_default()))
    })
}

/// The same as `wharf forward left right`, inside the wire's namespace.
fn forward(
    wire: &Wire,
    renderer: &mut dyn Renderer,
    stop: &AtomicBool,
    is_traffic_over: &AtomicBool,
    started: &Sender<()>,
) -> Result<Outcome, Failure> {
    let (left, right) = (wire.left().name(), wire.right().name());
    let builder = forwarder::builder(left, right, &EngineArgs::default())?;
    let impairments = Impairments::new();
    let forwarding = wire.forwarder().try_run(|| {
        let engine = {
            let wires = impairments.clone();
            let started = builder.start(move |context| wires.wire(context));
            started.map_err(privileges::explain)?
        };
        // The receiver waits for this.
        let _ = started.send(());
        let session = Session {
            renderer,
            stop,
            control: None,
            flow_capacity: 0,
            interval: Some(INTERVAL),
            scrapes: None,
            impairments: &impairments,
        };
        let outcome = session.run(engine, |_| is_traffic_over.load(Ordering::Relaxed));
        // If the engine has failed, the traffic has to end too.
        stop.store(true, Ordering::Relaxed);
        Ok(outcome)
    });
    forwarding.unwrap_or_else(|error| Err(Failure::Run(error.to_string())))
}

fn start_watchdog(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        let _ = writeln!(
            printable::stderr(),
            "wharf: the demo did not end within {} s: this is a bug",
            limit.as_secs()
        );
        process::exit(1);
    });
}

/// Between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

const TITLE: &str =
    "client 10.77.0.1 == left [wharf] right == server 10.77.0.2, in private namespaces";

/// For namespaces, for interfaces in them, and for AF_XDP and ICMP sockets.
/// Loading the XDP program is covered by `CAP_SYS_ADMIN`, too.
const NEEDED: &[Capability] = &[
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
];

/// What setting up, draining and stopping may add, each bounded itself.
const WATCHDOG_GRACE: Duration = Duration::from_secs(40);
