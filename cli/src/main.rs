//! The `wharf` command: a forwarder on the engine, a client that steers it while it
//! runs, a check of the machine, and a demo and benchmarks that need nothing but privileges.
//!
//! A module uses those below it only:
//!
//! ```text
//!  commands    forward   demo   doctor   steer   impair   rules   bench
//!  the run     session                           runs an engine, reports, serves steer
//!  answers     explain                           what rules decide about frames
//!  output      report                            one view model, two renderers
//!  input       forwarder   rule_input   impair_input   frame_input   find
//!                                                the engine, rules to start with, frames to ask about
//!  parts       args   control   metrics   privileges   signals   stdout
//!  ground      exit   flow_line   pair   printable   rule_notes
//! ```
//!
//! `forward` and `demo` run the same application on the same engine builder
//! ([`forwarder`]) under the same loop ([`session`]), which turns the engine's
//! counters into one view model ([`report`]). While `forward` runs, `steer` lists and
//! changes its rules through a Unix socket ([`control`]).

mod args;
mod bench;
mod control;
mod demo;
mod doctor;
mod exit;
mod explain;
mod find;
mod flow_line;
mod forward;
mod forwarder;
mod frame_input;
mod impair;
mod impair_input;
mod metrics;
mod pair;
mod printable;
mod privileges;
mod report;
mod rule_input;
mod rule_notes;
mod rules;
mod session;
mod signals;
mod stdout;
mod steer;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os()) {
        Ok(Some(Command::Forward(arguments))) => forward::run(&arguments),
        Ok(Some(Command::Steer(arguments))) => steer::run(&arguments),
        Ok(Some(Command::Impair(arguments))) => impair::run(&arguments),
        Ok(Some(Command::Rules(arguments))) => rules::run(&arguments),
        Ok(Some(Command::Demo(arguments))) => demo::run(&arguments),
        Ok(Some(Command::Doctor(arguments))) => doctor::run(&arguments),
        Ok(Some(Command::Bench(arguments))) => bench::run(&arguments),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
