//! Commands whose processes start inside a host.

use std::ffi::OsStr;
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::child::{ChildGuard, text};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::sys::namespace::die_with_parent;

/// A program to start in a host, put together like a [`Command`].
///
/// By default it reads nothing, and both its outputs are collected.
/// It runs in a process group of its own and dies with the host's last handle,
/// and with this process. A program with capabilities in its file, as `ping`
/// has, is the exception: those outlive a `SIGKILL` of this process until they
/// end by themselves (`prctl(2)`, `PR_SET_PDEATHSIG`).
///
/// ```no_run
/// # fn main() -> wharf_testbed::Result<()> {
/// use std::time::Duration;
/// use wharf_testbed::Host;
///
/// let host = Host::new("alone")?;
/// let said = host
///     .command("ip")
///     .args(["-brief", "link"])
///     .run_checked(Duration::from_secs(5))?;
/// assert!(said.starts_with("lo"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HostCommand {
    command: Command,
    program: String,
    host: Host,
}

impl Host {
    /// A command whose processes start inside the host.
    pub fn command(&self, program: &str) -> HostCommand {
        HostCommand::new(self, program)
    }
}

impl HostCommand {
    pub(crate) fn new(host: &Host, program: &str) -> Self {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_parent(&mut command);
        Self {
            command,
            program: program.to_owned(),
            host: host.clone(),
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// Sets the directory to start in.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.command.current_dir(directory);
        self
    }

    /// Sets where standard input comes from, instead of nowhere.
    pub fn stdin(&mut self, input: impl Into<Stdio>) -> &mut Self {
        self.command.stdin(input);
        self
    }

    /// Sets where standard output goes, instead of being collected.
    pub fn stdout(&mut self, output: impl Into<Stdio>) -> &mut Self {
        self.command.stdout(output);
        self
    }

    /// Sets where standard error goes, instead of being collected.
    pub fn stderr(&mut self, output: impl Into<Stdio>) -> &mut Self {
        self.command.stderr(output);
        self
    }

    /// Starts the program, to run until the guard is dropped at the latest.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] when it cannot be started.
    pub fn spawn(&mut self) -> Result<ChildGuard> {
        let command = mem::replace(&mut self.command, Command::new(&self.program));
        let (command, child) = self.host.start(command);
        self.command = command;
        let child = child.map_err(|source| Error::Spawn {
            host: self.host.name().to_owned(),
            program: self.program.clone(),
            source,
        })?;
        ChildGuard::watch(child, &self.program, &self.host)
    }

    /// Runs the program to its end and returns how it ended and what it said.
    /// A program that takes longer than `limit` is killed.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] when it cannot be started, and
    /// [`Error::CommandTimeout`] with what it said until it was killed.
    pub fn run_bounded(&mut self, limit: Duration) -> Result<Output> {
        self.spawn()?.finish(limit)
    }

    /// As [`HostCommand::run_bounded`], but failure is an error; returns what
    /// the program said on standard output.
    ///
    /// # Errors
    ///
    /// As [`HostCommand::run_bounded`], and [`Error::CommandFailed`] with what
    /// it said when it ended without success.
    pub fn run_checked(&mut self, limit: Duration) -> Result<String> {
        let output = self.run_bounded(limit)?;
        if !output.status.success() {
            return Err(Error::CommandFailed {
                host: self.host.name().to_owned(),
                program: self.program.clone(),
                status: output.status,
                output: text(&[output.stdout, output.stderr].concat()),
            });
        }
        Ok(text(&output.stdout))
    }
}
