#!/usr/bin/env bash
# Runs the tests of host-redis and the interop tests against other servers than the system's, and the system's for
# comparison: scripts/checks/redis-versions.sh [NAME...], default all. Writes host-redis/results/servers.jsonl, a line for
# each server: its version, how many tests passed, and the names of those that failed.
#
# Left out are the tests of TLS, which not every build has, those of the kills, which are the soak's own, of large tables,
# whose time is the machine's, and of recordings, which compare what MONITOR shows (Valkey 8.1 quotes otherwise), those that
# start no server, and on Redis 6.2 those of `cluster_repeat`: its nodes cannot be told another port while they run.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

scripts/setup/rust.sh
scripts/setup/redis.sh
scripts/setup/redis-versions.sh
without=(answers bench captures http kill large readme tls)
tests=()
for file in host-redis/tests/*.rs host-redis/tests/*/main.rs; do
    test=$(basename "${file%/main.rs}" .rs)
    [[ " ${without[*]} " = *" $test "* ]] || tests+=("$test")
done
report=host-redis/results/servers.jsonl
(($# > 0)) || set -- redis-6.2 system redis-8.0 redis-8.2 valkey-8.0 valkey-8.1
lines=()

for name in "$@"; do
    server=$PWD/.tools/redis/$name
    [[ $name != system ]] || server=$(command -v redis-server)
    # Words in front of the version are `Redis server` or `Valkey server`.
    version=$("$server" --version | sed 's/ server v=/ /; s/ sha=.*//')
    flags=()
    for test in "${tests[@]}"; do
        [[ $name = redis-6.2 && $test = cluster_repeat ]] || flags+=(--test "$test")
    done
    say redis "$version: the tests of host-redis"
    log=target/test/redis-$name.log
    mkdir -p target/test
    REDIS_SERVER=$server cargo test -p keyrail-redis --no-fail-fast "${flags[@]}" >"$log" 2>&1 || true
    read -r passed failed _ < <(awk -v counts=cargo -f scripts/counts.awk "$log")
    names=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/"\1"/p' "$log" | sort -u | paste -sd, -)
    interop='null, null'
    if [[ -x target/release/keyrail-peer && -x target/release/keyrail && -x .tools/python/kombu57/bin/python ]]; then
        say redis "$version: the interop tests"
        REDIS_SERVER=$server KEYRAIL_BIN=$PWD/target/release/keyrail KOMBU57_PYTHON=$PWD/.tools/python/kombu57/bin/python \
            KOMBU56_PYTHON=$PWD/.tools/python/kombu56/bin/python \
            .tools/python/kombu57/bin/python -m unittest discover -v -s tests/interop -p 'test_*.py' >>"$log" 2>&1 || true
        read -r interop_passed interop_failed _ < <(sed -n '/^test_.* \.\.\. /,$p' "$log" | awk -v counts=unittest -f scripts/counts.awk)
        interop="$interop_passed, $interop_failed"
    fi
    lines+=("{\"server\": \"$version\", \"passed\": $passed, \"failed\": $failed, \"names\": [$names], \"interop\": [$interop]}")
    printf '%s\n' "${lines[-1]}"
done
printf '%s\n' "${lines[@]}" >"$report"
