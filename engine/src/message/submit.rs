//! A message that a sender does not take.

use std::fmt;

use super::scatter::Scatter;

/// A message of that name is outstanding. It would be reported with the other, and nobody
/// could tell which was meant.
pub struct SubmitError<H, P> {
    /// The name.
    pub cookie: u64,
    /// The message that was to be sent.
    pub scatter: Scatter<H, P>,
}

impl<H, P> fmt::Display for SubmitError<H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cookie = self.cookie;
        write!(
            f,
            "a message with the cookie {cookie} is outstanding: use another one, or wait until \
             it is reported"
        )
    }
}

impl<H, P> fmt::Debug for SubmitError<H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

impl<H, P> std::error::Error for SubmitError<H, P> {}
