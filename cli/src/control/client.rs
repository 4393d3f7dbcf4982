//! The client's side of the socket: one request at a time.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::line::{Lines, ReadLimits};
use super::message::{Command, Refusal, reply_from_line};
use super::socket::connect;

/// A connection to a running forwarder.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
    timeout: Duration,
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
    #[error("what listens at {} is no forwarder of this version: {reason}", path.display())]
    Reply { path: PathBuf, reason: String },
}

impl ClientError {
    /// Whether the socket is there, but not for this user.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    }
}

impl Client {
    /// Connects to the forwarder that listens at `path`, to wait up to `timeout`
    /// for each of its replies.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let connected = connect(path).and_then(|stream| {
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self {
                stream,
                path: path.to_owned(),
                timeout,
            }),
            Err(source) => Err(ClientError::Connect {
                path: path.to_owned(),
                source: explained(source),
            }),
        }
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
        let limits = ReadLimits {
            idle: self.timeout,
            line: self.timeout,
        };
        Lines::of(&self.stream)
            .next(limits)?
            .ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    fn bad_reply(&self, error: &serde_json::Error) -> ClientError {
        ClientError::Reply {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// The error in the terms of the caller.
fn explained(error: io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::NotFound => "there is no such socket",
        ErrorKind::ConnectionRefused => "nothing listens there any more",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it takes too long",
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            "it has ended"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}
