#!/bin/sh
# What takes too long for `make test`: kills 200 consumers under load, with SIGTERM, Redis restarts, cut connections and
# CLIENT KILL in between; then 20 each of Kombu's and Celery's, for comparison.
# Writes host-redis/results/kills.jsonl, a line for each kind of consumer.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

scripts/setup/rust.sh
scripts/setup/redis.sh
scripts/setup/python.sh
report=$PWD/host-redis/results/kills.jsonl
say soak "200 kills of keyrail, 20 of each peer; the figures go to $report"
rm -f "$report"
KEYRAIL_KILLS=200 KEYRAIL_KILL_REPORT=$report KEYRAIL_KILL_PEERS=$PWD/.tools/python/kombu57/bin/python \
    cargo test -p keyrail-redis --test kill -- --nocapture
