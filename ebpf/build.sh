#!/bin/sh
# Compiles wharf.bpf.c, and the headers beside it, to wharf.bpf.o, which is committed so that building the
# workspace needs no clang.
#
#   build.sh           rebuild wharf.bpf.o in place
#   build.sh --check   rebuild elsewhere and compare with the committed object:
#                      instructions, relocations, licence and BTF, which holds
#                      the maps. Exit 1 when they differ. A comment on a line of
#                      its own makes no difference.
#
# Another compiler may choose other instructions, so one version is fixed here.
# CLANG, LLVM_STRIP, LLVM_OBJDUMP and LLVM_OBJCOPY override the tools.
set -eu
cd "$(dirname "$0")"

COMPILER=14 # the clang whose output is committed
SOURCE=wharf.bpf.c
OBJECT=wharf.bpf.o

fail() {
	echo "build.sh: $1" >&2
	exit 1
}

# tool NAME OVERRIDE: the override, else NAME-14, else NAME.
tool() {
	for candidate in ${2:+"$2"} "$1-$COMPILER" "$1"; do
		if command -v "$candidate" >/dev/null 2>&1; then
			echo "$candidate"
			return
		fi
	done
	fail "$1 not found: install it, for example with apt-get install clang-$COMPILER llvm-$COMPILER"
}

compile() { # compile OUTPUT
	# -mcpu is fixed because its default differs between clang versions; v3 is
	# known to every kernel since 5.1. The source is named relative to a
	# compilation directory of '.' so that no path of this host is recorded.
	"$clang" -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror \
		-nostdinc -fdebug-compilation-dir=. -c "$SOURCE" -o "$1"
	# Drops DWARF, keeps .BTF and .BTF.ext.
	"$strip" -g "$1"
}

describe() { # describe OBJECT: what the loader and the kernel act on, as text
	# -r prints each relocation by symbol name under its instruction; the first
	# lines name the file.
	"$objdump" -d -r -j xdp -j xdp.frags "$1" | sed 1,3d
	for section in license .rodata .BTF; do
		"$objcopy" --dump-section "$section=$scratch/section" "$1" "$scratch/copy.o"
		echo "$section: checksum and size $(cksum <"$scratch/section")"
	done
}

clang=$(tool clang "${CLANG:-}") || exit 1
strip=$(tool llvm-strip "${LLVM_STRIP:-}") || exit 1

case "${1:-}" in
'')
	compile "$OBJECT"
	;;
--check)
	objdump=$(tool llvm-objdump "${LLVM_OBJDUMP:-}") || exit 1
	objcopy=$(tool llvm-objcopy "${LLVM_OBJCOPY:-}") || exit 1
	[ -f "$OBJECT" ] || fail "$OBJECT is missing: run ebpf/build.sh and commit it"
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	compile "$scratch/rebuilt.o"
	describe "$OBJECT" >"$scratch/committed"
	describe "$scratch/rebuilt.o" >"$scratch/rebuilt"
	if ! diff -u "$scratch/committed" "$scratch/rebuilt" >&2; then
		fail "$OBJECT was not built from $SOURCE as it is now ($("$clang" --version | head -n 1)); run ebpf/build.sh with clang $COMPILER and commit the object"
	fi
	echo "build.sh: $OBJECT has the instructions of $SOURCE"
	;;
*)
	fail "unknown argument '$1'; usage: build.sh [--check]"
	;;
esac
