#!/usr/bin/env bash
# What forwarding a frame costs in zero copy, native copy and generic, in guest
# instructions: boots a kernel on one emulated CPU whose clock advances by one
# nanosecond an instruction (QEMU's -icount), has the case `compare` forward the
# same bursts in every mode, interleaved, and prints a table of medians. What is
# counted and what not: docs/zero-copy.md.
#
#   tests/guest/compare.sh [--kernel 7.2] [--rounds 5]
set -euo pipefail
cd "$(dirname "$0")/../.."

kernel=7.2 rounds=5
while [ $# -gt 0 ]; do
    case $1${2:+ $2} in
        --kernel\ *) kernel=$2 ;;
        --rounds\ [1-9]*) rounds=$2 ;;
        *) echo "tests/guest/compare.sh: usage: [--kernel 7.2] [--rounds 5]" >&2; exit 2 ;;
    esac
    shift 2
done
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)

# The command as users have it. The ends need not be fast.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --release --package wharf-cli --bin wharf \
    --target x86_64-unknown-linux-gnu

# A hub delivers a burst in one go. Without erms and fsrm the kernel copies 8
# bytes an instruction; `rep movsb` would count as one for every byte.
export WHARF_COMMAND=$target/x86_64-unknown-linux-gnu/release/wharf
export WIRE=hub SMP=1 ACCEL=tcg CASE_LIMIT=300 BOOT_LIMIT=1200
export OPTIONS="-icount shift=0 -cpu max,-erms,-fsrm"
# Interrupts in threads, so that the scheduler knows how long each of them takes.
export APPEND=threadirqs
export GUEST_ENVIRONMENT="WHARF_COMPARE_ROUNDS=$rounds" WHARF_TESTS_REQUIRED=1
tests/guest/run.sh --kernels "$kernel" --suites zero_copy --cases "^$kernel zero_copy compare::" >&2

log=$target/guest/logs/$kernel.log
echo
echo "wharf forward eth1 eth2, $(sed -n 's/^@@KERNEL //p' "$log"), virtio_net, 1 emulated CPU ($(uname -m) host), $rounds rounds"
awk '
    function sorted(key, into, count, i, j, x) {
        count = n[key]
        for (i = 1; i <= count; i++) {
            x = value[key, i]
            for (j = i - 1; j > 0 && into[j] > x; j--) into[j + 1] = into[j]
            into[j + 1] = x
        }
        return count
    }
    # Median, and how far the rounds are from it at most.
    function cell(way, bytes, less, of, count, m, spread) {
        count = sorted(way " " bytes, of)
        m = count % 2 ? of[(count + 1) / 2] : (of[count / 2] + of[count / 2 + 1]) / 2
        spread = of[count] - m > m - of[1] ? of[count] - m : m - of[1]
        median[way, bytes] = m
        return sprintf("%.0f ± %.1f %%", m, 100 * spread / m)
    }
    # The first one is on the line on which the test harness names the test.
    sub(/^.*@@COST /, "") { key = $1 " " $2; value[key, ++n[key]] = $4 / $3; if (!seen[$2]++) length_of[++lengths] = $2 }
    END {
        ways = split("straight zero-copy copy generic", way, " ")
        print ""
        printf "| instructions a frame |"; for (l = 1; l <= lengths; l++) printf " %s bytes, all | of these the forwarder and its NICs |", length_of[l]; print ""
        printf "|---|"; for (l = 1; l <= lengths; l++) printf "---|---|"; print ""
        for (w = 1; w <= ways; w++) {
            printf "| %s |", way[w] == "straight" ? "the ends alone" : way[w]
            for (l = 1; l <= lengths; l++) {
                all = cell(way[w], length_of[l])
                printf " %s | %s |", all, w == 1 ? "" : sprintf("%.0f", median[way[w], length_of[l]] - median["straight", length_of[l]])
            }
            print ""
        }
    }' "$log"
