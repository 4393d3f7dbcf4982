//! Waits that end: for what happens soon, but on another thread or in the
//! kernel.

use std::thread;
use std::time::{Duration, Instant};

/// Asks until `look` gives something.
///
/// # Panics
///
/// When it has not after `limit`; the message says `what` was waited for.
pub fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        // Nothing is assumed to have happened after the pause.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Asks until `holds`.
///
/// # Panics
///
/// As [`eventually`].
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    eventually(what, limit, || holds().then_some(()));
}
