#!/bin/sh
# Compiles the tests' programs as ebpf/build.sh compiles Wharf's, or compares the
# committed objects with their sources.
#
#   build.sh [--check]
set -eu
cd "$(dirname "$0")"
exec ../../ebpf/build.sh "$@" ./*.bpf.c
