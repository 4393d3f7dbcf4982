//! Socket calls with a timeout: how they end when the time is over, and when a
//! signal comes.

use std::io::{self, ErrorKind};

/// Makes the call again after a signal: with a timeout set, a signal interrupts
/// a call even if its handler asks to restart it (signal(7)).
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether the time was over.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_call_is_made_again() {
        let mut answers = [Ok(7), Err(ErrorKind::Interrupted.into())]
            .into_iter()
            .rev();

        let answer = uninterrupted(|| answers.next().expect("two calls"));

        assert_eq!(answer.ok(), Some(7));
    }
}
