#!/usr/bin/env bash
# The matrix: kernels x modes x the scenarios of tests/src/scenario, as a table,
# and in docs/kernels.md when all of it ran. The machine's own kernel runs on the
# machine, but for zero copy, which like all else runs in guests (tests/guest).
# Takes root, because the host's cases make network namespaces.
#
#   tests/matrix.sh [--kernels 5.10,6.1,6.12,6.18,7.2] [--scenarios REGEX]
#   tests/matrix.sh --try-holes ...    runs only what the matrix leaves out, and
#                                      says what of it passes
#   tests/matrix.sh --host-only [--repeat N] [--scenarios REGEX]
#                                      the host's part alone, so many times
#
# REGEX is for whole names in lower case. Rows are in tests/guest/rows, holes and
# their reasons in tests/guest/holes, logs in target/guest/logs.
#
# exit: 0 all passed or has a reason not to run, 1 something failed, a scenario
# has no test or a test no row, 2 bad usage
set -euo pipefail
cd "$(dirname "$0")/.."
here=tests/guest
page=docs/kernels.md

usage() {
    echo "tests/matrix.sh: $*; usage: tests/matrix.sh [--kernels 5.10,7.2] [--scenarios REGEX]" \
        "[--try-holes | --host-only [--repeat N]]" >&2
    exit 2
}
all=5.10,6.1,6.12,6.18,7.2
kernels=$all scenarios='.*' tried="" host_only="" repeat=1
while [ $# -gt 0 ]; do
    case $1 in
        --try-holes) tried=--try-holes; shift; continue ;;
        --host-only) host_only=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || usage "$1 is unknown or lacks its value"
    case $1 in
        --kernels) kernels=$2 ;;
        --scenarios) scenarios=$2 ;;
        --repeat) repeat=$2 ;;
        *) usage "$1 is unknown" ;;
    esac
    shift 2
done
[[ $repeat =~ ^[1-9][0-9]*$ ]] || usage "\`$repeat\` is no number of runs"
[ "$repeat" = 1 ] || [ -n "$host_only" ] || usage "--repeat goes with --host-only"
[ -z "$host_only" ] || [ -z "$tried" ] || usage "--try-holes does not go with --host-only"
[ "$(id -u)" = 0 ] || { echo "tests/matrix.sh: root is needed for network namespaces and XDP: run it as root" >&2; exit 1; }
logs=${CARGO_TARGET_DIR:-target}/guest/logs
report=$(mktemp)
trap 'rm -f "$report" "$report".*' EXIT

# The suites on these kernels, as far as their `KERNEL SUITE TEST` matches. What
# they say goes to $report.
run() {
    # Nothing here may be skipped in silence.
    WHARF_TESTS_REQUIRED=1 $here/run.sh --kernels "$1" --suites scenarios,zero_copy_scenarios --cases "$2" $tried \
        >"$report" 2>"$report.error" && return
    [ -s "$logs/results" ] || { cat "$report" "$report.error" >&2; exit 1; }
}

# Replaces what stands between the markers of a section of the page.
record() {
    awk -v section="$1" -v text="$2" '
        $0 == "<!-- " section ": end -->" { inside = 0; seen++ }
        !inside
        $0 == "<!-- " section ": begin -->" { inside = 1; print ""; while ((getline line <text) > 0) print line; print "" }
        END { exit seen != 1 }' $page >"$report.page" || { echo "tests/matrix.sh: $page has no section $1" >&2; exit 1; }
    cat "$report.page" >$page
}

host=$(uname -r | cut -d. -f1,2)
host_filter="host scenarios (native|generic)::($scenarios)\$"

if [ -n "$host_only" ]; then
    : >"$report.runs"
    : >"$report.text"
    for ((i = 1; i <= repeat; i++)); do
        rm -f "$logs/results"
        begin=$SECONDS
        run host "^$host_filter"
        sed -n '/^FAILED/,$p' "$report"
        awk -F '\t' -v run="$i" -v seconds=$((SECONDS - begin)) '{ n[$2]++ } END {
            printf "- run %d: %d passed, %d failed, %d skipped, %d s\n", run, n["pass"], n["FAIL"], n["skip"], seconds }' \
            "$logs/results" | tee -a "$report.text"
        cat "$logs/results" >>"$report.runs"
    done
    failed=0
    awk -F '\t' -v runs="$repeat" '
        $2 == "FAIL" { sub(/^[^ ]* /, "", $4); if (!failed[$4]++) name[++count] = $4 }
        END {
            for (i = 1; i <= count; i++)
                print "- " (failed[name[i]] < runs ? "flaky" : "failed") ": " name[i] ": " failed[name[i]] " of " runs " runs failed"
            exit count > 0
        }' "$report.runs" >"$report.failed" || failed=1
    cat "$report.failed"
    if [ "$scenarios" = '.*' ] && [ "$repeat" -gt 1 ]; then
        { echo "$(date +%F), $(uname -r | cut -d- -f1):"; echo; cat "$report.text" "$report.failed"; } >"$report.page-text"
        record repeats "$report.page-text"
    fi
    exit $failed
fi

filter=""
for kernel in ${kernels//,/ }; do
    dotted=${kernel//./\\.}
    if [ "$kernel" = "$host" ]; then
        filter+="|$host_filter|$dotted zero_copy_scenarios zero_copy::($scenarios)\$"
    else
        filter+="|$dotted [a-z_]+ [a-z_]+::($scenarios)\$"
    fi
done
list=$kernels
[[ ",$kernels," != *",$host,"* ]] || list="host,$kernels"
rm -f "$logs/results"
run "$list" "^(${filter#|})"

if [ -n "$tried" ]; then
    grep -E '^(hole on|PASSES on|NOT TRIED on|holes tried)' "$report" >"$report.holes" || { cat "$report" >&2; exit 1; }
    cat "$report.holes"
    {
        echo "$(date +%F): $(tail -n 1 "$report.holes")."
        echo
        sed -n 's/^\(PASSES\|NOT TRIED\) on/- \1 on/p' "$report.holes"
        # What a case said when it failed tells whether it failed for its reason.
        awk -F '\t' '
            $2 == "hole" { text = "- " $1 ": " $5; if (!seen[text]++) order[++count] = text }
            END { for (i = 1; i <= count; i++) print order[i] ": " seen[order[i]] (seen[order[i]] == 1 ? " case" : " cases") }' "$logs/results"
    } >"$report.text"
    [ "$kernels,$scenarios" != "$all,.*" ] || record holes "$report.text"
    exit
fi
grep '^booted again' "$report" || true
sed -n '/^FAILED/,/^test result/p' "$report" | grep -v '^test result' || true

# The table, and in a file of its own what is wrong with it.
awk -F '\t' -v kernels="$kernels" -v host="$host" -v scenarios="$scenarios" -v wrong="$report.wrong" '
    function reason_of(text,  i) {
        for (i = 1; i <= reasons; i++) if (reason[i] == text) return i
        reason[++reasons] = text
        return reasons
    }
    # The first hole for a test that does not exist.
    function never(name, mode,  i) {
        for (i = 1; i <= holes; i++)
            if (condition[i] == "never" && name ~ ("^(" pattern[i] ")$") && index("," modes[i] ",", "," mode ",")) return because[i]
    }
    FILENAME ~ /rows$/ { if ($0 != "" && $0 !~ /^#/) { row[++rows] = $0; known[tolower($0)] = 1 } next }
    FILENAME ~ /holes$/ {
        if ($0 == "" || $0 ~ /^#/) next
        split($0, word, " ")
        pattern[++holes] = word[1]; condition[holes] = word[3]
        modes[holes] = word[2] == "all" ? "native,generic,zero_copy" : word[2]
        because[holes] = $0; sub("^[^ ]+ +[^ ]+ +[^ ]+ *", "", because[holes])
        next
    }
    {
        name = $4; sub(/^[^ ]* /, "", name); split(name, part, "::")
        place = ($1 == "host" ? host : $1) " " part[1] " " part[2]
        verdict[place] = $2; said[place] = $5
        if (!(part[2] in known) && !told[part[2]]++) print "no row in tests/guest/rows for the test of " part[2] >wrong
    }
    END {
        columns = split(kernels, kernel, ","); split("native generic zero_copy", mode, " ")
        width = 36
        line = sprintf("| %-*s |", width, "scenario"); rule = line; gsub(/[^|]/, "-", rule)
        for (k = 1; k <= columns; k++) for (m = 1; m <= 3; m++) {
            title[k, m] = kernel[k] " " substr("NGZ", m, 1)
            line = line sprintf(" %-*s |", length(title[k, m]), title[k, m])
            dashes = sprintf("%*s", length(title[k, m]) + 2, ""); gsub(/ /, "-", dashes); rule = rule dashes "|"
        }
        print line; print rule
        for (r = 1; r <= rows; r++) {
            name = tolower(row[r])
            if (name !~ ("^(" scenarios ")$")) continue
            shown++
            line = sprintf("| %-*s |", width, row[r])
            for (k = 1; k <= columns; k++) for (m = 1; m <= 3; m++) {
                place = kernel[k] " " mode[m] " " name
                if (!(place in verdict)) {
                    text = never(name, mode[m])
                    if (text != "") cell = reason_of(text)
                    else { cell = "none"; if (!missed[r, m]++) missing[r] = missing[r] (missing[r] ? ", " : "") mode[m] }
                } else if (verdict[place] == "skip") cell = reason_of(said[place])
                else cell = verdict[place]
                if (cell == "pass") passed[k, m]++
                if (cell == "FAIL") print row[r] " fails on " kernel[k] ", " mode[m] ": " said[place] >wrong
                if (cell == "pass" || cell == "FAIL") total++
                line = line sprintf(" %-*s |", length(title[k, m]), cell)
            }
            print line
            if (missing[r]) print row[r] " has no test (" missing[r] "), nor a hole that says why" >wrong
        }
        line = sprintf("| %-*s |", width, "passed, of " shown + 0)
        for (k = 1; k <= columns; k++) for (m = 1; m <= 3; m++) { line = line sprintf(" %-*d |", length(title[k, m]), passed[k, m]); sum += passed[k, m] }
        print line
        print ""
        print "N: native, G: generic, Z: zero copy. " sum + 0 " of " total + 0 " runs passed. Numbers are reasons not to run:"
        print ""
        for (i = 1; i <= reasons; i++) print i ". " reason[i]
    }' $here/rows $here/holes "$logs/results" >"$report.table"

{
    echo "$(date +%F), \`tests/matrix.sh\`, $((SECONDS / 60)) min $((SECONDS % 60)) s on $(nproc) CPUs, with what there was to build."
    echo
    for kernel in ${list//,/ }; do
        version=$(sed -n 's/^@@KERNEL //p' "$logs/$kernel.log" 2>/dev/null | head -n 1 | tr -d '\r')
        case $kernel in
            host) echo "- $host: ${version%%[- ]*}, the machine itself; native and generic" ;;
            *) echo "- $kernel: ${version%% *}$(sed -n 's/.*\(Debian [^ ]*\).*/, \1/p' <<<"$version")$([ "$kernel" != "$host" ] || echo '; zero copy')" ;;
        esac
    done
    echo
    cat "$report.table"
    grep '^the kernel complained on' "$report" | sed 's/\(zero_copy_\)\?scenarios //; s/^the kernel complained on/-/' >"$report.complaints" || true
    if [ -s "$report.complaints" ]; then
        echo
        echo "What a guest's kernel said of itself in a case, whatever became of the case:"
        echo
        # Page frames and process ids are others each time.
        sed 's/ *pfn:.*//; s/ for address.*//; s/, probably for.*//' "$report.complaints"
    fi
} >"$report.text"
cat "$report.text"
[ "$kernels,$scenarios" != "$all,.*" ] || record matrix "$report.text"
if [ -s "$report.wrong" ]; then
    echo
    sed 's/^/tests\/matrix.sh: /' "$report.wrong" >&2
    exit 1
fi
