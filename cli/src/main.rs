//! The `wharf` command: a forwarder on the engine, and a demo of it that needs
//! nothing but privileges.
//!
//! ```text
//!  args ──► forward ─┐                    ┌─► report/table   for people
//!       └─► demo ────┴─► forwarder ─► session ─► report/json    for programs
//!       └─► doctor
//! ```
//!
//! `forward` and `demo` run the same application on the same engine builder
//! ([`forwarder`]) under the same loop ([`session`]), which turns the engine's
//! counters into one view model ([`report`]) that both renderers show.

mod args;
mod checksum;
mod demo;
mod doctor;
mod exit;
mod forward;
mod forwarder;
mod metrics;
mod privileges;
mod report;
mod session;
mod signals;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os()) {
        Ok(Some(Command::Forward(arguments))) => forward::run(&arguments),
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
