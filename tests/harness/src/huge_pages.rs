//! Huge pages, set aside while a test needs them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::requirements::met_or_skipped;

/// How many there are on the whole machine, whatever the namespace.
const COUNT: &str = "/proc/sys/vm/nr_hugepages";

/// Huge pages of the default size that are there for one test. No other test has
/// any meanwhile, in any process. They go on drop.
#[derive(Debug)]
pub struct HugePages {
    before: u64,
    _turn: File,
}

impl HugePages {
    /// Has the kernel set `count` free huge pages aside. `None` says that this
    /// machine has no huge pages, or not so many, and that the test is skipped.
    ///
    /// # Panics
    ///
    /// When they are missing and [`REQUIRED_VARIABLE`](crate::REQUIRED_VARIABLE) is
    /// `1`.
    #[must_use = "return from the test when there are none"]
    pub fn reserve(count: u64) -> Option<Self> {
        match Self::try_reserve(count) {
            Ok(pages) => Some(pages),
            Err(error) => {
                let missing = format!("{count} huge pages are not to be had: {error}");
                met_or_skipped(Some(missing));
                None
            }
        }
    }

    fn try_reserve(count: u64) -> io::Result<Self> {
        let path = std::env::temp_dir().join("wharf-testbed-huge-pages.lock");
        let turn = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        let before = there_are()?;
        // From here on, whatever happens, they go.
        let pages = Self {
            before,
            _turn: turn,
        };
        // Sought anew each time, as memory must be moved to make room.
        for _ in 0..10 {
            fs::write(COUNT, (before + count).to_string())?;
            if there_are()? >= before + count {
                return Ok(pages);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("memory is too scattered"))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // What cannot be undone here could not be done either.
        let _ = fs::write(COUNT, self.before.to_string());
    }
}

fn there_are() -> io::Result<u64> {
    let text = fs::read_to_string(COUNT)?;
    text.trim().parse().map_err(io::Error::other)
}
