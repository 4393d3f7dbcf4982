//! Where the `wharf` command is: cargo puts it beside the tests.
//!
//! Cargo tells only the tests of `wharf-cli` itself where their binary is
//! (`CARGO_BIN_EXE_wharf`), and gives other packages no stable way to depend on
//! a binary. But `cargo test --workspace` builds it, in the same profile, to
//! the directory above the one this test runs from. Where tests run from
//! elsewhere, as in a guest, `WHARF_BINARY` says where it is.

use std::env;
use std::path::PathBuf;

use wharf_testbed::{Host, HostCommand};

/// The `wharf` command of this build, to run inside `host`, with its control sockets
/// [apart](keep_sockets_apart).
///
/// # Panics
///
/// As [`wharf()`].
#[must_use]
pub fn wharf_in(host: &Host) -> HostCommand {
    let mut command = host.command(&wharf().display().to_string());
    keep_sockets_apart(&mut command);
    command
}

/// Keeps control sockets of `command` from those of the machine.
pub fn keep_sockets_apart(command: &mut HostCommand) {
    command.env(
        CONTROL_VARIABLE,
        env::temp_dir().join("wharf-tests-control"),
    );
}

/// Names the directory of control sockets.
pub const CONTROL_VARIABLE: &str = "WHARF_CONTROL_DIR";

/// Names the command, where it is not beside the tests.
const BINARY_VARIABLE: &str = "WHARF_BINARY";

/// The `wharf` command of this build.
///
/// # Panics
///
/// When it has not been built, or is not where `WHARF_BINARY` says.
#[must_use]
pub fn wharf() -> PathBuf {
    if let Some(path) = env::var_os(BINARY_VARIABLE) {
        let command = PathBuf::from(path);
        assert!(
            command.is_file(),
            "{} is not there, but {BINARY_VARIABLE} says so",
            command.display()
        );
        return command;
    }
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
