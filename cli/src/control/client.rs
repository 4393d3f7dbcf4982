//! The client's side of the socket: one request at a time.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use thiserror::Error;
use wharf::{KernelCall, explain_refusal};

use super::line::{Lines, ReadLimits};
use super::message::{Command, Info, Refusal, reply_from_line};
use super::socket::connect;

/// A connection to a running forwarder.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
    timeout: Duration,
    /// What is done with the news that a reply takes long.
    tell: fn(&str),
}

/// Why there is no usable reply. One line each.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The forwarder refused the request.
    #[error("{}", .0.error)]
    Refused(Refusal),
    #[error("cannot reach a forwarder at {}: {source}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the forwarder at {} does not answer: {source}", path.display())]
    Exchange { path: PathBuf, source: io::Error },
    #[error("what listens at {} is not a forwarder of this version: {reason}", path.display())]
    Reply { path: PathBuf, reason: String },
}

impl ClientError {
    /// Whether the socket is there, but not for this user.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    }
}

impl Client {
    /// Connects to the forwarder that listens at `path` and asks which it is. The
    /// kernel accepts the connection of a stopped process too, but nothing replies:
    /// that is an error after `timeout`. Later replies may take [`REPLY_TIMEOUT`].
    ///
    /// `tell` is called when a reply takes longer than [`PATIENCE`], and is waited for.
    pub fn connect(
        path: &Path,
        timeout: Duration,
        tell: fn(&str),
    ) -> Result<(Self, Info), ClientError> {
        let connected = connect(path).and_then(|stream| {
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        });
        let stream = connected.map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source: explained(source),
        })?;
        let mut client = Self {
            stream,
            path: path.to_owned(),
            timeout,
            tell,
        };
        let info = client.ask(&Command::Info {})?;
        client.timeout = REPLY_TIMEOUT;
        Ok((client, info))
    }

    /// The reply to `command`.
    pub fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, ClientError> {
        let line = self
            .exchange(&command.to_line())
            .map_err(|source| ClientError::Exchange {
                path: self.path.clone(),
                source: explained(source),
            })?;
        let reply = reply_from_line(&line).map_err(|error| self.bad_reply(&error))?;
        let object = reply.map_err(ClientError::Refused)?;
        serde_json::from_value(object).map_err(|error| self.bad_reply(&error))
    }

    fn exchange(&mut self, request: &str) -> io::Result<String> {
        (&mut &self.stream).write_all(request.as_bytes())?;
        let begin = Instant::now();
        self.await_reply()?;
        let limits = ReadLimits {
            idle: self.timeout.saturating_sub(begin.elapsed()),
            line: self.timeout,
        };
        Lines::of(&self.stream)
            .next(limits)?
            .ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Waits for a while, and says so if there is no reply by then.
    fn await_reply(&self) -> io::Result<()> {
        if self.timeout <= PATIENCE {
            return Ok(());
        }
        let quiet = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let mut reply = [PollFd::new(&self.stream, PollFlags::IN)];
        let is_there = match poll(&mut reply, Some(&quiet)) {
            // It is waited for again below.
            Err(Errno::INTR) => true,
            outcome => outcome? > 0,
        };
        if !is_there {
            (self.tell)(&format!(
                "the forwarder at {} has not answered for {} s, as if it were stopped or very busy: waiting for up to {} s more",
                self.path.display(),
                PATIENCE.as_secs(),
                (self.timeout - PATIENCE).as_secs()
            ));
        }
        Ok(())
    }

    fn bad_reply(&self, error: &serde_json::Error) -> ClientError {
        ClientError::Reply {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// How long a reply may take before that is said.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a reply may take. A new program has to pass the kernel's verifier, on a
/// machine that may be busy.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The error in the terms of the caller.
fn explained(error: io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::NotFound => "there is no such socket".to_owned(),
        ErrorKind::ConnectionRefused => "nothing listens there any more".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it takes too long".to_owned(),
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            "it has ended".to_owned()
        }
        _ => explain_refusal(&error, KernelCall::Other),
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::control::socket::tests::Scratch;

    #[test]
    fn forwarder_that_accepts_and_does_not_reply_is_given_up_after_the_timeout() {
        let scratch = Scratch::new("stopped");
        let path = scratch.0.join("control");
        let _listener = UnixListener::bind(&path).expect("the path is free");
        let begin = Instant::now();

        let error = Client::connect(&path, Duration::from_millis(50), |_| {
            panic!("it is given up before")
        });
        let error = error.expect_err("no reply");

        assert!(begin.elapsed() < REPLY_TIMEOUT / 3, "{:?}", begin.elapsed());
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
}
