#!/usr/bin/env python3
"""measure.py ENGINE KIND TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]: as keyrail-peers does in Rust,
for Kombu. Needs the environment that scripts/setup/python.sh makes.
"""

import argparse
import gc
import json
import os
import re
import time
import tracemalloc

from kombu.transport.virtual import exchange

STEPS = [1, 10, 50, 100, 200, 1000, 2000]


def main():
    arguments = argparse.ArgumentParser()
    for name in ("engine", "kind", "table", "keys"):
        arguments.add_argument(name)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--run-seconds", type=float, default=0.2)
    arguments.add_argument("--max-seconds", type=float, default=20)
    arguments = arguments.parse_args()
    if arguments.engine != "kombu":
        raise SystemExit(f"error: no engine is called `{arguments.engine}`")

    rows = []
    for line in lines(arguments.table):
        pattern, _, queue = line.rpartition("\t")
        rows.append((pattern, int(queue)))
    keys = lines(arguments.keys)

    start = time.process_time()
    route = build(rows, arguments.kind)
    build_ms = (time.process_time() - start) * 1e3
    digest_n, first, digest, average = check(route, keys, arguments.max_seconds / 4)
    times = sorted(measure(route, keys, digest_n, arguments))
    bytes_per_binding = memory(rows, arguments.kind)
    print(json.dumps({
        "engine": arguments.engine, "semantics": "nats" if arguments.kind == "topic" else "amqp",
        "table": os.path.basename(arguments.table), "keys": os.path.basename(arguments.keys), "n": len(rows),
        "build_ms": round(build_ms, 1), "bytes_per_binding": bytes_per_binding,
        "median_ns": round(times[len(times) // 2], 1), "min_ns": round(times[0], 1), "runs": len(times),
        "avg_out": round(average, 2), "digest_n": digest_n, "digest200": first, "digest": digest,
    }))


def lines(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")[:-1]


def build(rows, kind):
    """The look-up of a publish, without Redis: the table is in memory, and every pattern compiled before it counts."""
    which = exchange.STANDARD_EXCHANGE_TYPES[kind](None)
    table = [which.prepare_bind(queue, "bench", pattern, None) for pattern, queue in rows]
    if kind == "topic":
        for _, pattern, _ in table:
            which._compiled[pattern] = re.compile(pattern, re.U)
    return lambda key: which.lookup(table, "bench", key, None)


def memory(rows, kind):
    """Bytes a binding, in a second build: counting allocations makes everything slow."""
    exchange.TopicExchange._compiled.clear()
    re.purge()
    gc.collect()
    tracemalloc.start()
    route = build(rows, kind)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del route
    return round(used / len(rows))


def check(route, keys, most):
    start = time.process_time()
    state = first = 2166136261
    queues, checked = 0, None
    for number, key in enumerate(keys[:STEPS[-1]], 1):
        found = route(key)
        queues += len(found)
        total = sum((queue + 1) * 0x9E3779B1 for queue in found) & 0xFFFFFFFF
        state = (state ^ total) * 16777619 & 0xFFFFFFFF
        if number <= 200:
            first = state
        if number in STEPS or number == len(keys):
            checked = number, first, state, queues / number
        if time.process_time() - start > most:
            break
    return checked


def measure(route, keys, at, arguments):
    """Nanoseconds of CPU time a route, one number a run."""
    batch = 1

    def run(seconds):
        nonlocal at, batch
        start = last = time.process_time()
        routes = 0
        while True:
            for _ in range(batch):
                at = at + 1 if at + 1 < len(keys) else 0
                route(keys[at])
            routes += batch
            now = time.process_time()
            if now - last < 0.002:
                batch = min(batch * 2, 1 << 14)
            last = now
            if now - start >= seconds:
                return (now - start) * 1e9 / routes

    begin = time.process_time()
    run(min(arguments.run_seconds, arguments.max_seconds / 8))
    times = [run(arguments.run_seconds)]
    while len(times) < arguments.runs and time.process_time() - begin < arguments.max_seconds:
        times.append(run(arguments.run_seconds))
    return times


if __name__ == "__main__":
    main()
