#!/usr/bin/env bash
# Runs the sections of scripts/sections.txt, or those named: scripts/test.sh [SECTION...]
#
# Every section runs even if an earlier one failed. A section fails if its command fails, if a test in it fails,
# if its set-up fails, or if it ran no test at all. The output of each is kept in target/test/SECTION.log.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# What the commands may rely on. Plain output, since it is read by scripts/counts.awk.
export KEYRAIL_BIN=$PWD/target/release/keyrail
export KOMBU57_PYTHON=$PWD/.tools/python/kombu57/bin/python
export KOMBU56_PYTHON=$PWD/.tools/python/kombu56/bin/python
export REDIS_SERVER=redis-server CHROMIUM=/usr/bin/chromium
export KEYRAIL_ARTIFACTS=$PWD/target/test/artifacts
export VECTORS='tests/vectors/amqp.jsonl tests/vectors/amqp-consistent-hash.jsonl tests/vectors/kombu57.jsonl tests/vectors/kombu56.jsonl'
export NO_COLOR=1 CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never PYTHONUNBUFFERED=1
unset FORCE_COLOR

mkdir -p target/test "$KEYRAIL_ARTIFACTS"

minutes() {
    awk -v s="$1" 'BEGIN { printf "%.1f min", s / 60 }'
}

# need NAME: runs that set-up or build script, once a run; false if it failed, then or before.
declare -A met=()
need() {
    local script=scripts/setup/$1.sh
    [[ -f $script ]] || script=scripts/$1.sh
    if [[ -z ${met[$1]:-} ]]; then
        met[$1]=yes
        "$script" >/dev/null || met[$1]=no
    fi
    [[ ${met[$1]} = yes ]]
}

total_passed=0 total_failed=0 total_skipped=0 failures=0 setup_seconds=0
summary=()

run_section() {
    local name=$1 counts=$2 needs=$3 command=$4
    local log=target/test/$name.log start=$SECONDS status=0 note='' passed=0 failed=0 skipped=0 one

    printf '\n=== %s: %s\n' "$name" "$command"
    for one in $needs; do
        need "$one" || note="set-up of $one failed"
    done
    setup_seconds=$((setup_seconds + SECONDS - start))
    start=$SECONDS

    if [[ -n $note ]]; then
        failed=1
    else
        bash -c "$command" 2>&1 </dev/null | tee "$log" || status=$?
        if [[ $counts = check ]]; then
            if ((status == 0)); then passed=1; else failed=1; fi
        else
            read -r passed failed skipped < <(awk -v counts="$counts" -f scripts/counts.awk "$log")
            if ((status != 0 && failed == 0)); then
                note="exit status $status" failed=1
            elif ((passed + failed == 0)); then
                note='ran no test' failed=1
            fi
        fi
    fi

    local result
    result=$(printf '%-12s %6d passed %5d failed %5d skipped   %s' \
        "$name" "$passed" "$failed" "$skipped" "$(minutes $((SECONDS - start)))${note:+   ($note)}")
    ((failed == 0)) || { failures=$((failures + 1)) result+='   FAILED'; }
    summary+=("$result")
    printf '%s\n' "--- $result"
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    total_skipped=$((total_skipped + skipped))
}

ran=0
while IFS='|' read -r name counts needs command <&3; do
    # Also trims the blanks around the columns.
    read -r name <<<"$name"
    [[ -n $name && $name != '#'* ]] || continue
    if (($# > 0)) && [[ " $* " != *" $name "* ]]; then
        continue
    fi
    read -r counts <<<"$counts"
    read -r command <<<"$command"
    ran=$((ran + 1))
    run_section "$name" "$counts" "$needs" "$command"
done 3<scripts/sections.txt

((ran > 0 && (ran == $# || $# == 0))) ||
    fail test "not every section of \"$*\" exists" 'see the first column of scripts/sections.txt'

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
printf '%-12s %45s %s\n' 'set-up' 'what was missing, and the builds:  ' "$(minutes "$setup_seconds")"
printf '%-12s %45s %s\n\n' 'all' "$ran sections, $failures failed:  " "$(minutes $SECONDS)"
printf '%d passed, %d failed, %d skipped\n' "$total_passed" "$total_failed" "$total_skipped"
((failures == 0))
