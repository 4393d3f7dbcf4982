//! Standard output, whose reader may go away.

use std::io::{self, Write};

use crate::exit::Failure;
use crate::printable;

/// Prints `text`.
pub fn print(text: &str) -> Result<(), Failure> {
    outcome(printable::stdout().write_all(text.as_bytes()))
}

/// What a write to standard output means for the command: a reader that has seen
/// enough is no failure, a full disk is.
pub fn outcome(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_pipe_is_no_failure_and_full_disk_is() {
        let closed = outcome(Err(io::ErrorKind::BrokenPipe.into()));
        let full = outcome(Err(io::ErrorKind::StorageFull.into()));

        assert_eq!(closed, Ok(()));
        assert!(matches!(full, Err(Failure::Run(text)) if text.contains("standard output")));
    }
}
