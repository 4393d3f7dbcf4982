#!/usr/bin/env bash
# Runs the tests against independent peers. Installs what building those takes
# where apt-get is there, else says in one line what is missing. Takes root for
# the network namespaces and XDP programs, and asks for it with sudo. Options go
# to `cargo test`.
#
#   WHARF_TESTS_REQUIRED=1   a case that cannot run is a failure; set here by
#                            default, 0 lets cases skip loudly
set -euo pipefail
# cargo reads .cargo/config.toml from here.
cd "$(dirname "$0")"
. ../packages.sh

fail() {
    echo "tests/peers/run.sh: $*" >&2
    exit 1
}

command -v cargo >/dev/null || fail "cargo is missing: install a Rust toolchain (https://rustup.rs)"

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "root is needed for network namespaces and XDP: run it as root"
    exec sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME,CARGO_TARGET_DIR,WHARF_TESTS_REQUIRED \
        "$BASH" "$PWD/run.sh" "$@"
fi

lints() { sed -n '/^\[workspace.lints.rust\]/,$p' "$1"; }
diff <(lints ../../Cargo.toml) <(lints Cargo.toml) || fail "the lints differ from those of the main workspace: copy them over"

# What the build scripts run and include, and the Debian package that has it:
# libbpf-sys 1.5.1 needs a C compiler, make and pkg-config, libelf and zlib;
# libxdp-sys 0.2.4 needs m4, clang for the BPF target, ld, ar and objcopy, and
# its bindgen needs libclang, which clang brings along. The C loops of `cycle`
# need libxdp's header, and valgrind counts them.
has_header() { echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1; }
packages=""
for program in cc:gcc make:make pkg-config:pkg-config m4:m4 clang:clang objcopy:binutils valgrind:valgrind; do
    command -v "${program%%:*}" >/dev/null || packages="$packages ${program##*:}"
done
for header in libelf.h:libelf-dev zlib.h:zlib1g-dev linux/if_xdp.h:libc6-dev xdp/xsk.h:libxdp-dev; do
    has_header "${header%%:*}" || packages="$packages ${header##*:}"
done
ldconfig -p | grep -Eq 'libclang(-[0-9.]+)?\.so' || [ -n "${LIBCLANG_PATH:-}" ] || packages="$packages libclang-dev"
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || fail "install these packages first (Debian's names):$packages"
    echo "tests/peers/run.sh: installing$packages"
    log=$(mktemp /tmp/wharf-peers-apt.XXXXXX)
    install_packages "$log" --no-install-recommends $packages \
        || fail "could not install$packages: see $log"
    rm "$log"
fi

export WHARF_TESTS_REQUIRED="${WHARF_TESTS_REQUIRED:-1}"

# Both workspaces' locks have most versions in common: what one built serves the other.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../target}"

cargo test --workspace --locked --no-run "$@"
# Every wait in the tests is bounded; this is for what they do not foresee.
timeout --kill-after=10 600 cargo test --workspace --locked --no-fail-fast "$@"

# What a frame costs, beside the same cycle on libxdp's inline functions in C.
cargo run --locked --release --package wharf-peer-cycle
