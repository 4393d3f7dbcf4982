//! What the two applications of a soak count, for whoever prints it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cookies::CookieCounts;

/// Counters that grow while it runs.
#[derive(Default)]
pub struct Tally {
    pub received: AtomicU64,
    pub held: AtomicU64,
    pub detached: AtomicU64,
    pub dropped: AtomicU64,
    pub tagged: AtomicU64,
    pub retransmitted: AtomicU64,
    pub audits: AtomicU64,
    pub corrupt: AtomicU64,
    /// What went wrong first.
    fault: Mutex<Option<String>>,
    /// What became of the cookies, of each application that has ended.
    ended: Mutex<(CookieCounts, u64)>,
}

/// Counts one more.
pub fn count(counter: &AtomicU64) {
    // Relaxed throughout: each counter is written by few and says nothing of others.
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// Notes that something is wrong.
    pub fn fail(&self, what: impl FnOnce() -> String) {
        if let Ok(mut fault) = self.fault.lock() {
            fault.get_or_insert_with(what);
        }
    }

    pub fn fault(&self) -> Option<String> {
        self.fault.lock().ok()?.clone()
    }

    /// Adds the cookies of an application that has ended, of which some are outstanding.
    pub fn end(&self, counts: CookieCounts, outstanding: u64) {
        if let Ok(mut ended) = self.ended.lock() {
            ended.0.used += counts.used;
            ended.0.sent += counts.sent;
            ended.0.aborted += counts.aborted;
            ended.0.returned += counts.returned;
            ended.0.unexpected += counts.unexpected;
            ended.1 += outstanding;
        }
    }

    /// The cookies of all, and how many of them nobody reported.
    pub fn cookies(&self) -> (CookieCounts, u64) {
        self.ended.lock().map(|ended| *ended).unwrap_or_default()
    }
}
