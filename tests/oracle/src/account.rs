//! What was compared, and what could not be and why.

use std::collections::BTreeMap;
use std::fmt;

use wharf::Truth;

/// Counts of one test.
#[derive(Debug, Default)]
pub struct Account {
    /// Both true.
    pub matched: u64,
    /// Both false.
    pub not_matched: u64,
    /// Wharf gives no answer, by reason.
    pub set_aside: BTreeMap<String, u64>,
    failures: Vec<String>,
    failed: u64,
}

impl Account {
    /// Enters a pair: where Wharf is decided, libpcap says the same.
    ///
    /// `undecided` names why Wharf may have no answer for this frame; without
    /// a reason it must have one.
    pub fn enter(
        &mut self,
        wharf: Truth,
        libpcap: Option<bool>,
        undecided: Option<impl fmt::Debug>,
        describe: impl FnOnce() -> String,
    ) {
        match (wharf, libpcap, undecided) {
            (Truth::True, Some(true), _) => self.matched += 1,
            (Truth::False, Some(false), _) => self.not_matched += 1,
            (Truth::Undecided, _, Some(reason)) => {
                *self.set_aside.entry(format!("{reason:?}")).or_default() += 1;
            }
            _ => {
                self.failed += 1;
                if self.failures.len() < 5 {
                    self.failures.push(format!(
                        "Wharf: {wharf:?}, libpcap: {libpcap:?} \
                         (None: depends on bytes that do not count)\n{}",
                        describe()
                    ));
                }
            }
        }
    }

    /// Pairs on which both gave an answer.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.matched + self.not_matched
    }

    /// Prints the counts and asserts that there was no disagreement, that
    /// there was enough to compare and that little enough was set aside.
    ///
    /// # Panics
    ///
    /// When one of them does not hold.
    pub fn close(&self, title: &str, least_decided: u64, most_aside_percent: u64) {
        println!("{title}: {self}");

        assert!(
            self.failed == 0,
            "{} disagreements, the first of them:\n\n{}",
            self.failed,
            self.failures.join("\n\n")
        );
        assert!(self.decided() >= least_decided, "too little was compared");
        // A matcher that never matches shall not pass.
        assert!(self.matched * 20 >= self.decided(), "too little matched");
        let aside: u64 = self.set_aside.values().sum();
        assert!(
            aside * 100 <= (aside + self.decided()) * most_aside_percent,
            "more than {most_aside_percent}% was set aside"
        );
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (matched, not_matched) = (self.matched, self.not_matched);
        write!(f, "{} decided pairs agree", self.decided())?;
        write!(f, " ({matched} match, {not_matched} do not)")?;
        for (reason, count) in &self.set_aside {
            write!(f, "; {count} undecided: {reason}")?;
        }
        Ok(())
    }
}

/// Bytes as a test reports them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
