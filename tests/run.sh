#!/usr/bin/env bash
# Runs all of Wharf's tests. Installs the traffic programs they use where apt-get
# is there, else says in one line what is missing. Takes root for the cases that
# make network namespaces, and asks for it with sudo.
#
#   WHARF_TESTS_REQUIRED=1   a case that cannot run is a failure (CI); set here
#                            by default, 0 lets cases skip loudly
#
# Takes 10 to 20 minutes on 2 CPUs, the first time with the build. The last line says
# how long it took, and names the cases that were skipped: without the variable, those
# that cannot run; with it, those that the kernel leaves a hole in.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

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
programs="ip:iproute2 tc:iproute2 ping:iputils-ping ethtool:ethtool iperf3:iperf3 curl:curl \
setpriv:util-linux nsenter:util-linux sha256sum:coreutils"
packages=""
for program in $programs; do
    command -v "${program%%:*}" >/dev/null || packages="$packages ${program##*:}"
done
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || fail "install these programs first:$packages"
    echo "tests/run.sh: installing$packages"
    install_packages /tmp/wharf-apt.log $packages \
        || fail "could not install$packages: see /tmp/wharf-apt.log"
fi

export WHARF_TESTS_REQUIRED="${WHARF_TESTS_REQUIRED:-1}"
echo "tests/run.sh: builds and runs all tests, which takes 10 to 20 minutes on 2 CPUs"

# Cases with real traffic can starve on a machine that others share. Those that
# failed get a second try, one at a time with nothing beside them, and are named.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cargo test --workspace --no-fail-fast "$@" 2>&1 | tee "$log"; then
    mapfile -t failed < <(sed -n 's/^test \([^ ]*\) \.\.\. FAILED$/\1/p' "$log" | sort -u)
    # All that went wrong must be such cases: no crash, no build error, no example.
    [ "$(grep -c '^error: ' "$log")" = "$(($(grep -c '^test result: FAILED' "$log") + 1))" ] \
        && [ "$(grep -c '^test .* \.\.\. FAILED$' "$log")" = "${#failed[@]}" ] \
        && [ "${#failed[@]}" -le 4 ] || fail "see the failures above"
    echo "tests/run.sh: second try, alone: ${failed[*]}"
    cargo test --workspace --no-fail-fast --lib --bins --tests -- --exact --test-threads=1 "${failed[@]}" 2>&1 \
        | tee -a "$log"
    printf 'flaky: %s failed beside others and passed alone\n' "${failed[@]}"
fi

echo "tests/run.sh: the rings' models, every interleaving"
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test --package wharf-xdp --release --lib models

mapfile -t skipped < <(sed -n 's/^SKIPPED \(.*\)$/\1/p' "$log" | sort -u)
names="none skipped"
[ "${#skipped[@]}" = 0 ] || names="${#skipped[@]} skipped: $(printf '%s; ' "${skipped[@]}")"
echo "tests/run.sh: all tests passed in $((SECONDS / 60)) minutes $((SECONDS % 60)) seconds, ${names%; }"
