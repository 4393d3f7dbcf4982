#!/usr/bin/env bash
# Runs the comparison with libpcap. Installs libpcap where apt-get is there, else
# says in one line what is missing. Needs root for nothing else. Options go to
# `cargo test`.
#
#   WHARF_ORACLE_SEED=N   other frames and expressions than those of every run
set -euo pipefail
cd "$(dirname "$0")"
. ../packages.sh

fail() {
    echo "tests/oracle/run.sh: $*" >&2
    exit 1
}

command -v cargo >/dev/null || fail "cargo is missing: install a Rust toolchain (https://rustup.rs)"

lints() { sed -n '/^\[workspace.lints.rust\]/,$p' "$1"; }
diff <(lints ../../Cargo.toml) <(lints Cargo.toml) || fail "the lints differ from those of the main workspace: copy them over"

# The crate takes the library by its linker name; no header is read.
if ! echo 'int main(void) { return 0; }' | cc -x c - -lpcap -o /dev/null 2>/dev/null; then
    command -v apt-get >/dev/null || fail "install libpcap's development package first (Debian's name: libpcap-dev)"
    [ "$(id -u)" = 0 ] || fail "libpcap-dev is missing: apt-get install libpcap-dev"
    echo "tests/oracle/run.sh: installing libpcap-dev"
    log=$(mktemp /tmp/wharf-oracle-apt.XXXXXX)
    install_packages "$log" --no-install-recommends gcc libpcap-dev \
        || fail "could not install libpcap-dev: see $log"
    rm "$log"
fi

# Both workspaces' locks have most versions in common: what one built serves the other.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../target}"

cargo test --locked --no-run "$@"
# With what was compared, and how much of it.
timeout --kill-after=10 600 cargo test --locked --no-fail-fast "$@" -- --show-output
