#!/usr/bin/env bash
# Runs all of Wharf's tests. Installs the traffic programs they use where apt-get
# is there, else says in one line what is missing. Takes root for the cases that
# make network namespaces, and asks for it with sudo.
#
#   WHARF_TESTS_REQUIRED=1   a case that cannot run is a failure (CI); set here
#                            by default, 0 lets cases skip loudly
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "tests/run.sh: $*" >&2
    exit 1
}

command -v cargo >/dev/null || fail "cargo is missing: install a Rust toolchain (https://rustup.rs)"

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "root is needed for network namespaces and XDP: run it as root"
    exec sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME,CARGO_TARGET_DIR,WHARF_TESTS_REQUIRED \
        "$BASH" "$0" "$@"
fi

# program and the Debian package that has it
programs="ip:iproute2 ping:iputils-ping iperf3:iperf3 curl:curl setpriv:util-linux"
packages=""
for program in $programs; do
    command -v "${program%%:*}" >/dev/null || packages="$packages ${program##*:}"
done
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || fail "install these programs first:$packages"
    echo "tests/run.sh: installing$packages"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy $packages; } >/tmp/wharf-apt.log 2>&1 \
        || fail "could not install$packages: see /tmp/wharf-apt.log"
fi

export WHARF_TESTS_REQUIRED="${WHARF_TESTS_REQUIRED:-1}"

cargo test --workspace --no-fail-fast "$@"

echo "tests/run.sh: the rings' models, every interleaving"
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test --package wharf --release --lib models
