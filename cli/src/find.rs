//! Finds the forwarder: the named one, or the only one that runs.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::{Client, ClientError, directory, running, socket_of};
use crate::exit::Failure;
use crate::{printable, privileges};

/// A connection to the forwarder at `path`, of process `pid`, or to the only one.
pub fn forwarder(path: Option<&Path>, pid: Option<u32>) -> Result<Client, Failure> {
    let path = match (path, pid) {
        (Some(path), _) => path.to_owned(),
        (None, Some(pid)) => socket_of(&directory(), pid),
        (None, None) => only_one(&directory())?,
    };
    let connected = Client::connect(&path, CONNECT_TIMEOUT, say).map(|(client, _)| client);
    connected.map_err(|error| {
        let text = error.to_string();
        if error.is_denied() {
            Failure::Run(format!(
                "{text}; run: {}",
                privileges::this_command_as_root()
            ))
        } else if pid.is_some() {
            Failure::Run(format!("{text}; {}", names(&directory())))
        } else {
            Failure::Run(text)
        }
    })
}

fn only_one(directory: &Path) -> Result<PathBuf, Failure> {
    let found = look(directory).map_err(|error| {
        let text = format!(
            "cannot look for forwarders in {}: {error}",
            directory.display()
        );
        match error.kind() {
            ErrorKind::PermissionDenied => Failure::Run(format!(
                "{text}; run: {}",
                privileges::this_command_as_root()
            )),
            _ => Failure::Run(text),
        }
    })?;
    match found.as_slice() {
        [(_, path)] => Ok(path.clone()),
        [] => Err(Failure::Run(format!(
            "no forwarder listens in {}: start one with `wharf forward`, or name its socket with --control PATH",
            directory.display()
        ))),
        _ => Err(Failure::Run(format!(
            "{}: choose one with --pid",
            names(directory)
        ))),
    }
}

/// The forwarders that run, with their interfaces.
fn names(directory: &Path) -> String {
    let found = look(directory).unwrap_or_default();
    let names: Vec<String> = found.iter().map(|(pid, path)| name(*pid, path)).collect();
    match names.len() {
        0 => "no forwarder runs".to_owned(),
        1 => format!("the only running forwarder is {}", names[0]),
        count => format!("{count} forwarders run, {}", names.join(", ")),
    }
}

fn name(pid: u32, path: &Path) -> String {
    match Client::connect(path, NAME_TIMEOUT, say) {
        Ok((_, info)) => format!("{pid} ({})", info.interfaces.join(" and ")),
        Err(_) => format!("{pid} (which does not answer)"),
    }
}

fn say(news: &str) {
    // Standard error may be closed.
    let _ = writeln!(printable::stderr(), "wharf: {news}");
}

/// No directory is no forwarder.
fn look(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    match running(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        found => found,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Run(error.to_string())
    }
}

/// For a thread of the forwarder to be scheduled, on a machine whose CPUs are busy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a forwarder that is only to be listed.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_without_a_forwarder_says_how_to_have_one() {
        let nowhere = Path::new("/nonexistent/wharf");

        let failure = only_one(nowhere).expect_err("nobody is there");

        assert!(
            matches!(&failure, Failure::Run(text) if text.contains("wharf forward") && text.contains("--control")),
            "{failure}"
        );
    }
}
