//! Which cookies are outstanding: each must be reported once.

use wharf::{Completion, Outcome};

/// Cookies at a time; a power of two.
const PLACES: usize = 1 << 14;

/// The cookies of an application. A cookie has the place where it is noted, and above it
/// how often that was used before.
pub struct Cookies {
    /// The cookie that is outstanding, plus one; zero is none.
    places: Box<[u64]>,
    next: u64,
    outstanding: u64,
    pub counts: CookieCounts,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct CookieCounts {
    pub used: u64,
    pub sent: u64,
    pub aborted: u64,
    /// Of those, the ones that had their frame.
    pub returned: u64,
    /// Reported though they were not outstanding.
    pub unexpected: u64,
}

impl Cookies {
    pub fn new() -> Self {
        Self {
            places: vec![0; PLACES].into_boxed_slice(),
            next: 0,
            outstanding: 0,
            counts: CookieCounts::default(),
        }
    }

    /// A cookie that is not outstanding, if there is one at hand. It is when it is
    /// [sent](Self::note_sent).
    pub fn pick(&mut self) -> Option<u64> {
        self.next += 1;
        (self.places[place(self.next)] == 0).then_some(self.next)
    }

    pub fn note_sent(&mut self, cookie: u64) {
        self.places[place(cookie)] = cookie + 1;
        self.outstanding += 1;
        self.counts.used += 1;
    }

    pub fn note(&mut self, completion: &Completion) {
        let noted = &mut self.places[place(completion.cookie)];
        if *noted == completion.cookie + 1 {
            *noted = 0;
            self.outstanding -= 1;
        } else {
            self.counts.unexpected += 1;
        }
        match completion.outcome {
            Outcome::Sent => self.counts.sent += 1,
            _ => self.counts.aborted += 1,
        }
        self.counts.returned += u64::from(completion.frame.is_some());
    }

    /// Those that nobody has reported.
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower bits are the place"
)]
fn place(cookie: u64) -> usize {
    cookie as usize & (PLACES - 1)
}
