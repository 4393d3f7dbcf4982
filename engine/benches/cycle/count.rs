//! Instructions, counted by valgrind's callgrind: what a loop costs whatever
//! else the machine does.
//!
//! Counts are the same in every run of one binary: valgrind lays out memory the
//! same way each time, the process that is counted has an environment of its own,
//! and libc is held to the instructions that every x86-64 machine has, because
//! its `memcpy` differs from CPU to CPU. Another compiler makes another binary.

use std::process::Command;

/// Set in the process that valgrind runs, to what it runs.
pub(crate) const LOOP: &str = "WHARF_BENCH_LOOP";

/// Batches that are not counted, in which rings and pools get to be as they stay,
/// and then those that are.
const WARM_UP: u32 = 64;
const COUNTED: u32 = 256;

/// What libc shall not use, where this machine has it.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX512VL,-AVX512F,-AVX2,-AVX,-ERMS,-FSRM,-RTM";

/// Calling it forgets all that was counted before.
#[inline(never)]
fn counting_starts_here() {
    std::hint::black_box(());
}

/// Runs the loop under valgrind: what `batch` returns is what it handled.
pub(crate) fn run_counted(mut batch: impl FnMut() -> u32, expected: u32) {
    for _ in 0..WARM_UP {
        batch();
    }
    counting_starts_here();
    let handled: u32 = (0..COUNTED).map(|_| batch()).sum();
    assert_eq!(handled, COUNTED * expected, "every batch is full");
}

/// Instructions of a batch in `function`, which [`run_counted`] calls once for
/// each in the process with [`LOOP`] set to `what`.
pub(crate) fn instructions_per_batch(function: &str, what: &str) -> Result<f64, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=*::{function}"))
        .arg(format!("--toggle-collect={function}"))
        .arg("--zero-before=*counting_starts_here*")
        .arg(myself)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", TUNABLES)
        .env(LOOP, what)
        .output()
        .map_err(|error| format!("valgrind cannot be run ({error}); install it to count"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse::<f64>().ok())
        .filter(|count| *count > 0.0 && output.status.success())
        .ok_or_else(|| format!("valgrind printed no count: {}", text.trim()))?;
    Ok(collected / f64::from(COUNTED))
}
