#!/bin/sh
# Compiles wharf.bpf.c and pass.bpf.c, with the headers beside them, to objects that are committed so that building
# the workspace needs no clang. tests/programs/build.sh does the same with the tests' programs.
#
#   build.sh [NAME.bpf.c ...]           rebuild NAME.bpf.o beside it; those of this
#                                       folder where none is named
#   build.sh --check [NAME.bpf.c ...]   rebuild elsewhere and compare with the
#                                       committed objects: instructions,
#                                       relocations, licence, data and BTF, which
#                                       holds the maps. Exit 1 when one differs.
#                                       A comment on a line of its own makes no
#                                       difference.
#
# Another compiler may choose other instructions, so one version is fixed here.
# CLANG, LLVM_STRIP, LLVM_OBJDUMP and LLVM_OBJCOPY override the tools.
set -eu

COMPILER=14 # the clang whose output is committed

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

compile() { # compile SOURCE OUTPUT
	# -mcpu is fixed because its default differs between clang versions; v3 is
	# known to every kernel since 5.1. The source is named relative to a
	# compilation directory of '.' so that no path of this host is recorded.
	(cd "$(dirname "$1")" &&
		"$clang" -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror \
			-nostdinc -fdebug-compilation-dir=. -c "$(basename "$1")" -o -) >"$2.new" ||
		{ rm -f "$2.new" && exit 1; }
	# Drops DWARF, keeps .BTF and .BTF.ext.
	"$strip" -g "$2.new"
	mv "$2.new" "$2"
}

describe() { # describe OBJECT: what the loader and the kernel act on, as text
	# -r prints each relocation by symbol name under its instruction; the first
	# lines name the file.
	"$objdump" -d -r -j xdp -j xdp.frags -j classifier "$1" | sed 1,3d
	for section in license .rodata .data .BTF; do
		"$objdump" -h "$1" | grep -q " $section " || continue
		"$objcopy" --dump-section "$section=$scratch/section" "$1" "$scratch/copy.o"
		echo "$section: checksum and size $(cksum <"$scratch/section")"
	done
}

check() { # check SOURCE: whether its object is what it makes
	object=${1%.c}.o
	[ -f "$object" ] || fail "$object is missing: run the build.sh beside it and commit it"
	compile "$1" "$scratch/rebuilt.o"
	describe "$object" >"$scratch/committed"
	describe "$scratch/rebuilt.o" >"$scratch/rebuilt"
	if ! diff -u "$scratch/committed" "$scratch/rebuilt" >&2; then
		fail "$object was not built from $1 as it is now ($("$clang" --version | head -n 1)); run the build.sh beside it with clang $COMPILER and commit the object"
	fi
	echo "build.sh: $object has the instructions of $1"
}

action=build
case "${1:-}" in
--check)
	action=check
	shift
	;;
-*)
	fail "unknown argument '$1'; usage: build.sh [--check] [NAME.bpf.c ...]"
	;;
esac
[ $# -gt 0 ] || set -- "$(dirname "$0")"/*.bpf.c

clang=$(tool clang "${CLANG:-}") || exit 1
strip=$(tool llvm-strip "${LLVM_STRIP:-}") || exit 1
if [ "$action" = check ]; then
	objdump=$(tool llvm-objdump "${LLVM_OBJDUMP:-}") || exit 1
	objcopy=$(tool llvm-objcopy "${LLVM_OBJCOPY:-}") || exit 1
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
fi
for source in "$@"; do
	case $action in
	build) compile "$source" "${source%.c}.o" ;;
	check) check "$source" ;;
	esac
done
