#!/bin/sh
# What takes too long for `make test`.
#
# The npm package: a million pairs of bind and unbind, ten million routes, and the memory as it was. Writes
# wasm/results/soak.json.
#
# Consumers: kills 200 under load, with SIGTERM, Redis restarts, cut connections and CLIENT KILL in between; 50 on a
# cluster, with failovers; then 20 each of Kombu's and Celery's, for comparison. Writes host-redis/results/kills.jsonl, a
# line for each kind of consumer.
#
# Other servers: the tests of host-redis and the interop tests on Redis 6.2, 7.0, 8.0 and 8.2 and on Valkey
# 8.0 and 8.1. Writes host-redis/results/servers.jsonl, a line for each.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

scripts/wasm.sh
say soak 'a million binds and unbinds, ten million routes; the figures go to wasm/results/soak.json'
mkdir -p wasm/results
node --expose-gc wasm/test/soak.mjs 1000000 10000000 >wasm/results/soak.json ||
    fail soak "memory has grown: $(cat wasm/results/soak.json)" 'find who keeps what nobody needs'
cat wasm/results/soak.json >&2

scripts/setup/rust.sh
scripts/setup/redis.sh
scripts/setup/python.sh
report=$PWD/host-redis/results/kills.jsonl
say soak "200 kills of keyrail, 50 on a cluster, 20 of each peer; the figures go to $report"
rm -f "$report"
KEYRAIL_KILLS=200 KEYRAIL_CLUSTER_KILLS=50 KEYRAIL_KILL_REPORT=$report KEYRAIL_KILL_PEERS=$PWD/.tools/python/kombu57/bin/python \
    cargo test -p keyrail-redis --test kill -- --nocapture

scripts/release.sh keyrail keyrail-peer
scripts/checks/redis-versions.sh
