#!/usr/bin/env bash
# Runs the tests that `tests/guest/cases` names on other kernels: builds them
# static, boots each kernel in QEMU (software emulation, so that it works inside
# virtual machines too), and prints a table. Needs no root and installs nothing:
# QEMU and the kernels come from Debian's mirror and are unpacked under
# target/guest, where the logs are too.
#
#   tests/guest/run.sh [--kernels 5.10,6.1,6.12,6.18,7.2] [--cases REGEX]
#                      [--suites a,b] [--try-holes]
#
#   --kernels     `host` is this machine as it is, without a guest; takes root
#   --cases       those whose `KERNEL SUITE TEST` it matches: '^7.2 zero_copy'
#   --suites      builds and runs only these
#   --try-holes   runs only what would be skipped, and says what of it passes
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
suites=$(sed -n 's/^\([a-z_]\+\) .*/\1/p' $here/cases | sort -u | paste -sd,)
tried=""
while [ $# -gt 0 ]; do
    case $1 in
        --try-holes) tried=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || usage "$1 is unknown or lacks its value"
    case $1 in
        --kernels) kernels=$2 ;;
        --cases) filter=$2 ;;
        --suites) suites=$2 ;;
        *) usage "$1 is unknown" ;;
    esac
    shift 2
done
IFS=, read -r -a kernels <<<"$kernels"
IFS=, read -r -a suites <<<"$suites"
for kernel in "${kernels[@]}"; do
    [[ $kernel =~ ^([0-9]+\.[0-9]+|host)$ ]] || usage "\`$kernel\` is no kernel version such as 6.12"
done
for suite in "${suites[@]}"; do
    grep -q "^$suite " $here/cases || usage "\`$suite\` is no suite that $here/cases names"
done

# Seconds a case may take. A boot has some to spare, and a part of that for each
# of its cases: when most of them hang, it is over before the last has its turn.
case_limit=${CASE_LIMIT:-60}
boot_limit() { echo "${BOOT_LIMIT:-$((120 + 12 * $1))}"; }
guest=${CARGO_TARGET_DIR:-target}/guest
mkdir -p "$guest"
guest=$(cd "$guest" && pwd)
logs=$guest/logs
rm -rf "$logs"
mkdir -p "$logs"
# An interrupted run leaves no guest behind.
trap 'exit 130' INT TERM HUP
trap 'jobs -rp | xargs -r kill 2>/dev/null' EXIT

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
    [ "$kernel" != host ] || continue
    reason=$(fetch "kernel-$kernel" $here/get-kernel.sh "$guest/kernel-$kernel" "$kernel") ||
        unavailable "no kernel $kernel: $reason"
done

# The tests, static: the guest has no libraries. Some optimisation, because
# emulation is slow; the checks of a debug build stay.
targets=()
for suite in "${suites[@]}"; do
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
static test --no-run --package wharf-xdp --package wharf-tests "${targets[@]}"
declare -A binaries
while read -r path; do
    name=$(basename "$path")
    binaries[${name%-*}]=$path
done < <(sed -n 's/^ *Executable .* (\(.*\))$/\1/p' "$logs/build" | xargs -r realpath)
command=${WHARF_COMMAND:-${guest%/guest}/x86_64-unknown-linux-gnu/guest/wharf}

for suite in "${suites[@]}"; do
    "${binaries[$suite]}" --list --format terse | sed -n "s/^\(.*\): test\$/$suite \1/p"
done >"$logs/tests"
# A hole is a line like those of `cases`, for each of its modes.
awk '!/^#/ && NF {
    count = split($2 == "all" ? "native,generic,zero_copy" : $2, mode, ",")
    rest = $0; sub(/^[^ ]+ +[^ ]+ +/, "", rest)
    for (i = 1; i <= count; i++) print (mode[i] == "zero_copy" ? "zero_copy_" : "") "scenarios", mode[i] "::(" $1 ")", rest
}' $here/holes >"$logs/holes"

# The cases of one kernel: `SUITE TEST`, or `SUITE TEST skip REASON`. The first
# line that matches a test decides. With --try-holes only the latter, as `hole`.
cases_of() {
    local version=$1
    [ "$version" != host ] || version=$(uname -r)
    filter=$filter awk -v kernel="$1" -v version="$version" -v suites="${suites[*]}" -v tried="$tried" '
        function number(text,  part) { split(text, part, "."); return part[1] * 1000 + part[2] }
        FILENAME ~ /tests$/ { suite[++count] = $1; test[count] = $2; next }
        /^#/ || !NF || index(" " suites " ", " " $1 " ") == 0 { next }
        {
            reason = $0
            sub("^[^ ]+ +[^ ]+ +[^ ]+ *" ($3 == "never" ? "" : "[^ ]+ *"), "", reason)
            skipped = $3 == "never" || ($3 == "since" && number(version) < number($4)) || ($3 == "before" && number(version) >= number($4))
            matched = FILENAME ~ /holes$/
            for (i = 1; i <= count; i++) {
                if (suite[i] != $1 || test[i] !~ "^(" $2 ")$") continue
                matched = 1
                if (seen[i]++ || (kernel " " suite[i] " " test[i]) !~ ENVIRON["filter"]) continue
                if (!tried && !skipped) print suite[i], test[i]
                if (!tried && skipped) print suite[i], test[i], "skip", reason
                if (tried && skipped) print suite[i], test[i], "hole", reason
            }
            if (!matched) { print "tests/guest/cases: no test of " $1 " matches " $2 >"/dev/stderr"; exit 1 }
        }' "$logs/tests" "$logs/holes" $here/cases
}

# A script that runs these cases, from the folder $1.
script_of() {
    local suite test rest
    echo 'echo "@@KERNEL $(uname -r) $(uname -v)"
export WHARF_TESTS_REQUIRED=1
seconds() { cut -d. -f1 /proc/uptime; }
run() {
    echo "@@CASE $1 $2"
    begin=$(seconds)
    timeout -s KILL '$case_limit' "$3" --exact "$2" --test-threads 1 2>&1
    rc=$?
    echo
    echo "@@DONE $rc $(($(seconds) - begin))"
}'
    [ "$1" = host ] || echo 'export WHARF_GUEST=1 WHARF_BINARY=/wharf '"${GUEST_ENVIRONMENT:-}"'
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
for nic in eth0 eth1 eth2 eth3; do ip link set $nic up; done'
    while read -r suite test rest; do
        [ "$1" = host ] && path=${binaries[$suite]} || path=/$(basename "${binaries[$suite]}")
        echo "run $suite '$test' $path"
    done
}

boot() {
    local kernel=$1 boots=0 status pid="" begun paths used
    trap 'kill $pid 2>/dev/null; exit 143' TERM
    grep -v '^[^ ]* [^ ]* skip ' "$logs/$kernel.cases" >"$logs/$kernel.left" || true
    : >"$logs/$kernel.log"
    if [ "$kernel" = host ]; then
        bash -c "$(script_of host <"$logs/host.left")" >"$logs/host.log" 2>&1 </dev/null || true
        return
    fi
    read -r -a paths <"$guest/kernel-$kernel.paths"
    used=$(cut -d' ' -f1 "$logs/$kernel.left" | sort -u | while read -r suite; do echo "${binaries[$suite]}"; done)
    # A guest that dies takes one case with it, so the others get another boot.
    while [ -s "$logs/$kernel.left" ] && [ $boots -lt 4 ]; do
        boots=$((boots + 1))
        env "${paths[@]}" FILES="$command $used" PROGRAMS="ip ss tc" NICS="virtio virtio" \
            TIMEOUT="$(boot_limit "$(wc -l <"$logs/$kernel.left")")" LOG="$logs/$kernel.console$boots" \
            $here/run-guest.sh "$(script_of guest <"$logs/$kernel.left")" >"$logs/$kernel.boot" 2>&1 &
        pid=$!
        status=0
        wait "$pid" || status=$?
        cat "$logs/$kernel.boot" >>"$logs/$kernel.log"
        begun=$(grep -c '^@@CASE ' "$logs/$kernel.boot" || true)
        case $status in
            124) echo "@@DIED the boot took too long" ;;
            125) echo "@@DIED the guest died" ;;
            *) break ;;
        esac >>"$logs/$kernel.log"
        # One that ends before its first case says nothing of a case: once more.
        [ "$begun" -gt 0 ] || [ $boots = 1 ] || break
        [ "$begun" = 0 ] || sed -i "1,${begun}d" "$logs/$kernel.left"
    done
}

selected=()
for kernel in "${kernels[@]}"; do
    cases_of "$kernel" >"$logs/$kernel.cases" || exit 1
    [ ! -s "$logs/$kernel.cases" ] || selected+=("$kernel")
done
[ ${#selected[@]} -gt 0 ] || usage "no case matches \`$filter\`"
kernels=("${selected[@]}")
[[ " ${kernels[*]} " != *" host "* ]] || [ "$(id -u)" = 0 ] || unavailable "the host's cases take root"
[[ " ${kernels[*]} " != *" host "* ]] || boot host
# Two boots at a time, as each has two CPUs, and those with most cases first.
while read -r _ kernel; do
    [ "$kernel" != host ] || continue
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || true; done
    boot "$kernel" &
done < <(for kernel in "${kernels[@]}"; do echo "$(grep -vc ' skip ' "$logs/$kernel.cases" || true) $kernel"; done | sort -rn)
wait

# One line a case and kernel: KERNEL, VERDICT, SECONDS, `SUITE TEST`, REASON.
for kernel in "${kernels[@]}"; do
    awk -v kernel="$kernel" -v limit=$case_limit -v complaints="$logs/$kernel.complaints" -v OFS='\t' '
        FILENAME ~ /cases$/ {
            name = $1 " " $2; order[++count] = name
            if ($3 != "") { kind[name] = $3; reason = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", reason); reasons[name] = reason }
            next
        }
        /^@@CASE / { name = $2 " " $3; running = name; ran = 0; panicked = 0; next }
        /^@@DIED / { sub(/^@@DIED /, ""); death = $0; if (running != "") { verdict[running] = "FAIL"; said[running] = death " in this case"; running = "" } next }
        /^@@DONE / {
            running = ""; seconds[name] = $3
            if ($2 == 0 && ran && name in said) verdict[name] = "skip"
            else if ($2 == 0 && ran) verdict[name] = "pass"
            else {
                verdict[name] = "FAIL"
                if ($2 == 137) said[name] = "took longer than " limit " s"
                else if (!(name in said)) said[name] = "status " $2
            }
            next
        }
        panicked { said[name] = substr($0, 1, 200); panicked = 0 }
        /panicked at / && running && !(name in said) { panicked = 1 }
        /(BUG|Oops): / && running && !(running in complaint) { complaint[running] = 1; print kernel, running, $0 >complaints }
        /^SKIPPED / { said[name] = $0; sub(/^SKIPPED [^ ]*: /, "", said[name]) }
        /^test result: ok. 1 passed/ { ran = 1 }
        END {
            for (i = 1; i <= count; i++) {
                name = order[i]
                if (kind[name] == "skip") print kernel, "skip", 0, name, reasons[name]
                else if (kind[name] == "hole") print kernel, !(name in verdict) ? "untried" : verdict[name] == "pass" ? "passes" : "hole", seconds[name] + 0, name, reasons[name] (said[name] ? " (" said[name] ")" : "")
                else if (name in verdict) print kernel, verdict[name], seconds[name] + 0, name, said[name]
                else print kernel, "FAIL", 0, name, (death ? death : "the run ended") " before"
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
    [ ! -e "$logs/$kernel.console2" ] || echo "booted again after a boot that died: $kernel, see $logs/$kernel.console1"
    echo "kernel $kernel: $(sed -n 's/^@@KERNEL //p' "$logs/$kernel.log" | head -n 1)"
done
awk -F '\t' '$2 == "hole" { print "hole on " $1 ": " $4 ": " $5 } $2 == "passes" { print "PASSES on " $1 ": " $4 ": " $5 } $2 == "untried" { print "NOT TRIED on " $1 ": " $4 ": the guest died before" }' "$logs/results"
awk -F '\t' '$2 == "skip" { print "skipped on " $1 ": " $4 ": " $5 }' "$logs/results"
cat "$logs"/*.complaints 2>/dev/null | tr -d '\r' | sed 's/\(.*\)\t\(.*\)\t.*\(BUG\|Oops\)/the kernel complained on \1: \2: \3/' || true
while IFS=$'\t' read -r kernel _ _ name reason; do
    echo
    echo "FAILED on $kernel: $name: $reason"
    sed -n "/^@@CASE $name\$/,/^@@DONE/p" "$logs/$kernel.log" | grep -v '^@@' | grep . | head -n 60 | sed 's/^/    /'
    echo "    ($logs/$kernel.log, $logs/$kernel.console*)"
done < <(awk -F '\t' '$2 == "FAIL"' "$logs/results")
echo
[ -z "$tried" ] || awk -F '\t' '{ n[$2]++ } END { print "holes tried: " NR - n["untried"] ", of which pass: " n["passes"] + 0 (n["untried"] ? "; not tried: " n["untried"] : "") }' "$logs/results"
[ -n "$tried" ] || awk -F '\t' '{ n[$2]++ }
    END { printf "test result: %s. %d passed; %d failed; %d skipped, in guests\n", n["FAIL"] ? "FAILED" : "ok", n["pass"], n["FAIL"], n["skip"]; exit n["FAIL"] > 0 }' \
    "$logs/results"
