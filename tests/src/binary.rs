//! Where the `wharf` command is: cargo puts it beside the tests.
//!
//! Cargo tells only the tests of `wharf-cli` itself where their binary is
//! (`CARGO_BIN_EXE_wharf`), and gives other packages no stable way to depend on
//! a binary. But `cargo test --workspace` builds it, in the same profile, to
//! the directory above the one this test runs from.

use std::env;
use std::path::PathBuf;

/// The `wharf` command of this build.
///
/// # Panics
///
/// When it has not been built.
#[must_use]
pub fn wharf() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    // target/PROFILE/deps/TEST-HASH
    let profile = test.parent().and_then(|deps| deps.parent());
    let command = profile
        .expect("cargo runs tests from target/PROFILE/deps")
        .join("wharf");
    assert!(
        command.is_file(),
        "{} is not there: run `cargo test --workspace`, which builds it, or `cargo build -p wharf-cli` in this profile",
        command.display()
    );
    command
}
