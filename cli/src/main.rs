//! The `wharf` command: a forwarder on the engine, what steers it while it runs,
//! and a demo of it that needs nothing but privileges.
//!
//! ```text
//!  args ──► forward ─┐                    ┌─► report/table   for people
//!       ├─► demo ────┴─► forwarder ─► session ─► report/json    for programs
//!       │                                └─► control ◄─┐
//!       ├─► doctor
//!       └─► steer ──────────────────────── Unix socket ─┘
//! ```
//!
//! `forward` and `demo` run the same application on the same engine builder
//! ([`forwarder`]) under the same loop ([`session`]), which turns the engine's
//! counters into one view model ([`report`]) that both renderers show. While
//! `forward` runs, `steer` looks at its rules and changes them ([`control`]).

mod args;
mod checksum;
mod control;
mod demo;
mod doctor;
mod exit;
mod forward;
mod forwarder;
mod language;
mod metrics;
mod pair;
mod privileges;
mod report;
mod rule_input;
mod session;
mod signals;
mod steer;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os()) {
        Ok(Some(Command::Forward(arguments))) => forward::run(&arguments),
        Ok(Some(Command::Steer(arguments))) => steer::run(&arguments),
        Ok(Some(Command::Demo(arguments))) => demo::run(&arguments),
        Ok(Some(Command::Doctor(arguments))) => doctor::run(&arguments),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
