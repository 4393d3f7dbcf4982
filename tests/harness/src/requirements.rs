//! What a test needs, and what to do where it is missing: skip, loudly.
//!
//! A skipped test looks like one that passed. So the skip goes to standard
//! error past the test runner's capture, and where skipping is not acceptable,
//! as in continuous integration, [`REQUIRED_VARIABLE`] turns it into a failure.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use crate::error::Result;
use crate::host::Host;
use crate::packet_socket::PacketSocket;

/// Set this environment variable to `1` to have missing requirements fail.
pub const REQUIRED_VARIABLE: &str = "WHARF_TESTS_REQUIRED";

/// Whether this process may make testbeds. If not, says so on standard error.
///
/// ```no_run
/// # use wharf_testbed::require_privileges;
/// fn some_test() {
///     if !require_privileges() {
///         return;
///     }
///     // …
/// }
/// ```
///
/// # Panics
///
/// When they are missing and [`REQUIRED_VARIABLE`] is `1`.
#[must_use = "return from the test when this is false"]
pub fn require_privileges() -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();

    // Trying tells more than reading capabilities, and never wrongly.
    let missing = MISSING.get_or_init(|| try_privileges().err().map(|error| error.to_string()));
    met_or_skipped(missing.clone())
}

/// Whether `program` is on the search path. If not, says so on standard error.
///
/// # Panics
///
/// When it is missing and [`REQUIRED_VARIABLE`] is `1`.
#[must_use = "return from the test when this is false"]
pub fn require_program(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&path).any(|directory| is_file(&directory.join(program)));
    met_or_skipped((!is_there).then(|| format!("`{program}` is not installed")))
}

/// Whether something else that a test needs is there: `missing` says what is not. If
/// so, says that on standard error.
///
/// # Panics
///
/// When something is missing and [`REQUIRED_VARIABLE`] is `1`.
#[must_use = "return from the test when this is false"]
pub fn require_nothing_missing(missing: Option<&str>) -> bool {
    met_or_skipped(missing.map(str::to_owned))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}

fn try_privileges() -> Result<()> {
    let host = Host::new("probe")?;
    PacketSocket::open(&host.interface("lo")?)?;
    Ok(())
}

pub(crate) fn met_or_skipped(missing: Option<String>) -> bool {
    let Some(missing) = missing else {
        return true;
    };
    assert!(
        env::var_os(REQUIRED_VARIABLE).is_none_or(|value| value != "1"),
        "{REQUIRED_VARIABLE}=1, but {missing}"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Past the test runner, which captures only what the print macros write.
    let _ = writeln!(io::stderr(), "\nSKIPPED {test}: {missing}");
    false
}
