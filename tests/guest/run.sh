#!/usr/bin/env bash
# Runs the tests that `tests/guest/cases` names on other kernels: builds them
# static, boots each kernel in QEMU (software emulation, so that it works inside
# virtual machines too), and prints a table. Needs no root and installs nothing:
# QEMU and the kernels come from Debian's mirror and are unpacked under
# target/guest, where the logs are too.
#
#   tests/guest/run.sh [--kernels 5.10,6.1,6.12,6.18,7.2] [--cases REGEX]
#
#   QEMU, BUSYBOX, CPIO      programs to use in place of downloaded ones
#   WHARF_TESTS_REQUIRED=1   where it cannot run at all, that is a failure (CI);
#                            otherwise it says so in one line and succeeds
#
# exit: 0 all passed or were skipped with a reason, 1 some failed, 2 bad usage
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/guest

usage() {
    echo "tests/guest/run.sh: $*; usage: tests/guest/run.sh [--kernels 5.10,7.2] [--cases REGEX]" >&2
    exit 2
}
kernels=5.10,6.1,6.12,6.18,7.2
filter=.
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage "$1 is unknown or lacks its value"
    case $1 in
        --kernels) kernels=$2 ;;
        --cases) filter=$2 ;;
        *) usage "$1 is unknown" ;;
    esac
    shift 2
done
IFS=, read -r -a kernels <<<"$kernels"
for kernel in "${kernels[@]}"; do
    [[ $kernel =~ ^[0-9]+\.[0-9]+$ ]] || usage "\`$kernel\` is no kernel version such as 6.12"
done

# Seconds a case may take, and a boot with all its cases.
case_limit=${CASE_LIMIT:-60}
boot_limit=${BOOT_LIMIT:-300}
guest=${CARGO_TARGET_DIR:-target}/guest
mkdir -p "$guest"
guest=$(cd "$guest" && pwd)
logs=$guest/logs
rm -rf "$logs"
mkdir -p "$logs"

unavailable() {
    if [ "${WHARF_TESTS_REQUIRED:-0}" = 1 ]; then
        echo "tests/guest/run.sh: WHARF_TESTS_REQUIRED=1, but $*" >&2
        exit 1
    fi
    echo "tests/guest/run.sh: SKIPPED: $*" >&2
    exit 0
}

# Remembers in a file what a download printed: one `NAME=value` a word.
fetch() {
    local answer=$guest/$1.paths error
    shift
    if [ ! -s "$answer" ]; then
        error=$("$@" 2>&1 >"$answer.new") || { rm -f "$answer.new"; echo "${error##*$'\n'}"; return 1; }
        mv "$answer.new" "$answer"
    fi
}
if [ -z "${QEMU:-}" ] || [ -z "${BUSYBOX:-}" ] || [ -z "${CPIO:-}" ]; then
    reason=$(fetch qemu $here/get-qemu.sh "$guest/qemu") || unavailable "no QEMU: $reason"
    read -r -a tools <"$guest/qemu.paths"
    export "${tools[@]}"
fi
for kernel in "${kernels[@]}"; do
    reason=$(fetch "kernel-$kernel" $here/get-kernel.sh "$guest/kernel-$kernel" "$kernel") ||
        unavailable "no kernel $kernel: $reason"
done

# The tests, static: the guest has no libraries. Some optimisation, because
# emulation is slow; the checks of a debug build stay.
suites=$(sed -n 's/^\([a-z_]\+\) .*/\1/p' $here/cases | sort -u)
targets=()
for suite in $suites; do
    [ "$suite" = wharf ] && targets+=(--lib) || targets+=(--test "$suite")
done
profile=()
for setting in 'inherits="dev"' 'opt-level=1' 'debug=0' 'strip="debuginfo"'; do
    profile+=(--config "profile.guest.$setting")
done
static() {
    RUSTFLAGS="-C target-feature=+crt-static" cargo "$@" --target x86_64-unknown-linux-gnu "${profile[@]}" --profile guest \
        >>"$logs/build" 2>&1 || { cat "$logs/build" >&2; exit 1; }
}
static build --package wharf-cli --bin wharf
static test --no-run --package wharf --package wharf-tests "${targets[@]}"
declare -A binaries
while read -r path; do
    name=$(basename "$path")
    binaries[${name%-*}]=$path
done < <(sed -n 's/^ *Executable .* (\(.*\))$/\1/p' "$logs/build" | xargs -r realpath)
command=${WHARF_COMMAND:-${guest%/guest}/x86_64-unknown-linux-gnu/guest/wharf}

# $1 is older than $2
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# The cases of one kernel: `SUITE TEST`, or `SUITE TEST skip REASON`. The first
# line of the file that matches a test decides.
cases_of() {
    local kernel=$1 suite pattern condition version reason test skip
    while read -r suite pattern condition version reason; do
        skip=""
        case $condition in
            since) ! older "$kernel" "$version" || skip=" skip $reason" ;;
            before) older "$kernel" "$version" || skip=" skip $reason" ;;
        esac
        "${binaries[$suite]}" --list --format terse | sed -n 's/: test$//p' | grep -Ex -- "$pattern" |
            while read -r test; do echo "$suite $test$skip"; done ||
            { echo "tests/guest/cases: no test of $suite matches $pattern" >&2; return 1; }
    done < <(grep -v '^#' $here/cases | grep .) | awk '!seen[$1 " " $2]++' | grep -E -- "$filter"
}

boot() {
    local kernel=$1 suite test rest paths
    local script='echo "@@KERNEL $(uname -r)"
export WHARF_TESTS_REQUIRED=1 WHARF_GUEST=1 WHARF_BINARY=/wharf '"${GUEST_ENVIRONMENT:-}"'
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
for nic in eth0 eth1 eth2 eth3; do ip link set $nic up; done'
    while read -r suite test rest; do
        [ -z "$rest" ] || continue
        script+=$'\n'"echo '@@CASE $suite $test'; s=\$(cut -d. -f1 /proc/uptime)"
        script+=$'\n'"timeout -s KILL $case_limit /$(basename "${binaries[$suite]}") --exact '$test' --test-threads 1 2>&1; rc=\$?"
        script+=$'\n'"echo; echo \"@@DONE \$rc \$((\$(cut -d. -f1 /proc/uptime) - s))\""
    done <"$logs/$kernel.cases"
    read -r -a paths <"$guest/kernel-$kernel.paths"
    env "${paths[@]}" FILES="$command ${binaries[*]}" PROGRAMS="ip ss tc" NICS="virtio virtio" TIMEOUT=$boot_limit LOG="$logs/$kernel.console" \
        $here/run-guest.sh "$script" >"$logs/$kernel.log" 2>&1 && echo 0 >"$logs/$kernel.status" || echo $? >"$logs/$kernel.status"
}

for kernel in "${kernels[@]}"; do
    cases_of "$kernel" >"$logs/$kernel.cases" || usage "no case matches \`$filter\`"
    # Two boots at a time: each has two CPUs.
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    boot "$kernel" &
done
wait

# One line a case and kernel: KERNEL, VERDICT, SECONDS, `SUITE TEST`, REASON.
for kernel in "${kernels[@]}"; do
    awk -v kernel="$kernel" -v status="$(cat "$logs/$kernel.status")" -v limit=$case_limit -v boot_limit=$boot_limit -v OFS='\t' '
        FILENAME ~ /cases$/ { name = $1 " " $2; order[++count] = name; if ($3 == "skip") { sub(/^.* skip /, ""); skipped[name] = $0 } next }
        /^@@CASE / { name = $2 " " $3; begun[name] = 1; ran = 0; next }
        /^@@DONE / {
            seconds[name] = $3
            if ($2 == 0 && ran && name in said) verdict[name] = "skip"
            else if ($2 == 0 && ran) verdict[name] = "pass"
            else { verdict[name] = "FAIL"; said[name] = $2 == 137 ? "took longer than " limit " s" : "status " $2 }
            next
        }
        /^SKIPPED / { said[name] = $0; sub(/^SKIPPED [^ ]*: /, "", said[name]) }
        /^test result: ok. 1 passed/ { ran = 1 }
        END {
            died = status == 124 ? "the boot took longer than " boot_limit " s" : "the guest died"
            for (i = 1; i <= count; i++) {
                name = order[i]
                if (name in skipped) print kernel, "skip", 0, name, skipped[name]
                else if (name in verdict) print kernel, verdict[name], seconds[name], name, said[name]
                else print kernel, "FAIL", 0, name, (name in begun ? died " in this case" : died " before")
            }
        }' "$logs/$kernel.cases" "$logs/$kernel.log"
done >"$logs/results"

awk -F '\t' -v kernels="${kernels[*]}" '
    { cell[$4, $1] = $2 == "pass" ? "pass " $3 "s" : $2; if (!seen[$4]++) { order[++count] = $4; if (length($4) > width) width = length($4) } }
    END {
        columns = split(kernels, kernel, " ")
        printf "%-*s", width, "case"; for (k = 1; k <= columns; k++) printf "  %-9s", kernel[k]; print ""
        for (i = 1; i <= count; i++) { printf "%-*s", width, order[i]; for (k = 1; k <= columns; k++) printf "  %-9s", cell[order[i], kernel[k]]; print "" }
    }' "$logs/results"
echo
for kernel in "${kernels[@]}"; do
    echo "kernel $kernel: $(sed -n 's/^@@KERNEL //p' "$logs/$kernel.log" | head -n 1)"
done
awk -F '\t' '$2 == "skip" { print "skipped on " $1 ": " $4 ": " $5 }' "$logs/results"
while IFS=$'\t' read -r kernel _ _ name reason; do
    echo
    echo "FAILED on $kernel: $name: $reason"
    sed -n "/^@@CASE $name\$/,/^@@DONE/p" "$logs/$kernel.log" | grep -v '^@@' | grep . | head -n 60 | sed 's/^/    /'
    echo "    ($logs/$kernel.log, $logs/$kernel.console)"
done < <(awk -F '\t' '$2 == "FAIL"' "$logs/results")
echo
awk -F '\t' '{ n[$2]++ }
    END { printf "test result: %s. %d passed; %d failed; %d skipped, in guests\n", n["FAIL"] ? "FAILED" : "ok", n["pass"], n["FAIL"], n["skip"]; exit n["FAIL"] > 0 }' \
    "$logs/results"
