#!/usr/bin/env python3
"""Measures publishing and consuming on Redis beside its peers, and prints what was to be reached beside what was.

    bench/delivery.py                 eleven rounds: some minutes
    bench/delivery.py --quick         three rounds
    bench/delivery.py --only batches  targets whose name contains one of the arguments

All sides are processes that stay; in each round every one of them is asked in turn, on one Redis of the bench's own, so
that what else the machine does falls on all. A ratio is the median of the rounds' ratios. The exit status is 1 if Redis
was asked for more than one push a copy.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
RESULTS = ROOT / "target" / "bench"
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
PYTHON = ROOT / ".tools/python/kombu57/bin/python"
HIREDIS = ROOT / ".tools/python/hiredis"

SIZES = [10, 1_000, 10_000]
# With it a message takes about 600 bytes in Redis.
TEXT = "0123456789abcdef" * 9


@dataclass
class Figure:
    """How one side does one thing; `run` gives messages a second, or microseconds."""

    name: str
    run: callable = field(repr=False)


@dataclass
class Target:
    """`ours / theirs` is to be at least `least`, or at most `most`; with neither it is only shown."""

    name: str
    ours: str
    theirs: str
    least: float | None = None
    most: float | None = None

    def ratio(self, rounds):
        """The median of the rounds' ratios; nothing if none has both."""
        ratios = [each[self.ours] / each[self.theirs] for each in rounds if self.ours in each and self.theirs in each]
        return statistics.median(ratios) if ratios else None

    def wanted(self):
        return f"at least {self.least:g}" if self.least else f"at most {self.most:g}" if self.most else ""

    def verdict(self, ratio):
        if not self.wanted():
            return ""
        return "met" if (ratio >= self.least if self.least else ratio <= self.most) else "missed"


TARGETS = [
    Target("publish, 10 bindings, of Kombu", "publish 10", "kombu 10", least=5),
    Target("publish, 1,000 bindings, of Kombu", "publish 1000", "kombu 1000"),
    Target("publish, 10,000 bindings, of Kombu", "publish 10000", "kombu 10000", least=200),
    Target("publish, 50 tasks, of rusty-celery", "tasks", "rusty-celery", least=1.5),
    Target("publish, 50 tasks, of celery-node", "tasks", "celery-node", least=3),
    Target("batches of 64, of redis-benchmark -P 64", "batches", "redis-benchmark", least=0.7),
    Target("batches, four under way, of redis-benchmark -P 64 -c 4", "batches 4", "redis-benchmark 4", least=0.85),
    Target("consume and ack, of a bare loop", "consume", "bare loop", least=0.5),
    Target("consume and ack, of Kombu", "consume", "kombu consume", least=40),
    Target("latency of a publish, of a bare LPUSH", "latency", "bare latency", most=1.25),
]


def main():
    options = argparse.ArgumentParser(description="Measures publishing and consuming on Redis.")
    options.add_argument("--quick", action="store_true", help="three rounds")
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="targets whose name contains one of these")
    options = options.parse_args()
    targets = [each for each in TARGETS if not options.only or any(text in each.name for text in options.only)]
    prepare()
    with contextlib.ExitStack() as stack:
        bench = Bench(stack)
        wasted = bench.count()
        rounds = bench.measure(targets, 3 if options.quick else options.rounds)
    keep(rounds)
    report(targets, rounds)
    for line in wasted:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if wasted else 0)


def prepare():
    """Builds and installs what is missing."""
    run = lambda *command, cwd=ROOT: subprocess.run([str(part) for part in command], check=True, cwd=cwd)
    for step in ["rust", "redis", "node", "python"]:
        run(ROOT / f"scripts/setup/{step}.sh")
    # The library serves the page, too.
    run(ROOT / "scripts/www.sh")
    if not HIREDIS.exists():
        print("bench: installing hiredis for Kombu's side", file=sys.stderr)
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--target", HIREDIS, "hiredis==3.5.0")
    if not (BENCH / "js/node_modules/celery-node").exists():
        run("npm", "ci", "--no-progress", "--loglevel=error", cwd=BENCH / "js")
    peer = ["--manifest-path", BENCH / "rusty-celery/Cargo.toml", "--target-dir", BUILT / "rusty-celery"]
    run("cargo", "build", "--release", "--quiet", "--locked", *peer)
    run("cargo", "build", "--release", "--quiet", "--package", "keyrail-side")


class Side:
    """A process that answers requests, a line each."""

    def __init__(self, stack, *command, **options):
        pipe = subprocess.PIPE
        command = [str(part) for part in command]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=BENCH, **options)
        stack.callback(self.stop)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.process.args} gave up at {words[0]}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Bench:
    def __init__(self, stack):
        self.port = free_port()
        server = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(server, stdout=subprocess.DEVNULL, cwd="/")
        stack.callback(process.wait)
        stack.callback(process.terminate)
        while subprocess.run(self.client("PING"), capture_output=True).returncode:
            time.sleep(0.02)
        url = f"redis://127.0.0.1:{self.port}/0"
        self.keyrail = Side(stack, BUILT / "release/keyrail-side", url)
        paths = {**os.environ, "PYTHONPATH": str(HIREDIS)}
        self.kombu = Side(stack, PYTHON, "py/kombu_side.py", url, env=paths)
        self.celery_node = Side(stack, "node", "js/celery-node.mjs", url)
        self.rusty_celery = Side(stack, BUILT / "rusty-celery/release/keyrail-bench-rusty-celery", url)
        self.versions = self.kombu.ask("versions")
        if not self.versions["hiredis"]:
            raise SystemExit("bench: redis-py does not parse with hiredis")

    def client(self, *words):
        return ["redis-cli", "-p", str(self.port), *(str(word) for word in words)]

    def redis(self, *words):
        return subprocess.run(self.client(*words), check=True, capture_output=True, text=True).stdout.rstrip("\n")

    def count(self):
        """Binds, warms everything up, and looks at what a publish asks of Redis; what was too much."""
        wasted = []
        for size in SIZES:
            self.keyrail.ask("bind", f"topic{size}", size)
            self.keyrail.ask("publish", f"topic{size}", size, 1000, TEXT)
            self.redis("CONFIG", "RESETSTAT")
            self.keyrail.ask("publish", f"topic{size}", size, 1000, TEXT)
            calls = dict(re.findall(r"cmdstat_(\S+?):calls=(\d+)", self.redis("INFO", "commandstats")))
            calls = {name: int(count) for name, count in calls.items() if not name.startswith("config")}
            print(f"bench: 1,000 publishes at {size:,} bindings are {calls}", file=sys.stderr)
            if calls != {"lpush": 1000}:
                wasted.append(f"1,000 publishes at {size:,} bindings are {calls}, not 1,000 LPUSH")
            self.kombu.ask("publish", f"topic{size}", size, 3, TEXT)
        self.payload = self.redis("LINDEX", "topic10.1", 0)
        print(f"bench: a message takes {len(self.payload)} bytes, {self.versions}", file=sys.stderr)
        for side in [self.celery_node, self.rusty_celery]:
            side.ask("tasks", 2000, TEXT)
        return wasted

    def measure(self, targets, count):
        figures = self.figures()
        wanted = {name for each in targets for name in (each.ours, each.theirs)}
        rounds = []
        for number in range(count):
            rounds.append({})
            for name, run in figures.items():
                if name in wanted:
                    self.forget()
                    rounds[-1].update(run())
            said = ", ".join(f"{name} {rate:,.0f}" for name, rate in rounds[-1].items())
            print(f"round {number + 1}: {said}", file=sys.stderr, flush=True)
        return rounds

    def forget(self):
        """Empties the queues; the bindings stay."""
        lists = "for _, key in ipairs(redis.call('KEYS', '*')) do"
        lists += " if redis.call('TYPE', key).ok == 'list' then redis.call('DEL', key) end end"
        self.redis("EVAL", lists, 0)

    def figures(self):
        """What each side is asked for, in the order of a round: peers beside what they are compared with."""
        rate = lambda name, side, *words: (name, lambda: {name: side.ask(*words)["per_second"]})
        figures = []
        for size, count in zip(SIZES, [400, 200, 20]):
            figures.append(rate(f"publish {size}", self.keyrail, "publish", f"topic{size}", size, 3000, TEXT))
            figures.append(rate(f"kombu {size}", self.kombu, "publish", f"topic{size}", size, count, TEXT))
        figures.append(rate("rusty-celery", self.rusty_celery, "tasks", 20_000, TEXT))
        figures.append(rate("tasks", self.keyrail, "tasks", "topic10", 10, 30_000, TEXT))
        figures.append(rate("celery-node", self.celery_node, "tasks", 10_000, TEXT))
        figures.append(("redis-benchmark", lambda: {"redis-benchmark": self.benchmark(1)}))
        figures.append(rate("batches", self.keyrail, "batches", "topic10", 10, 100_000, 64, TEXT))
        figures.append(("redis-benchmark 4", lambda: {"redis-benchmark 4": self.benchmark(4)}))
        figures.append(rate("batches 4", self.keyrail, "batches", "topic10", 10, 100_000, 4096, TEXT))
        for name, side, what, count in [
            ("consume", self.keyrail, "consume", 20_000),
            ("bare loop", self.keyrail, "consume-bare", 20_000),
            ("kombu consume", self.kombu, "consume", 1_000),
        ]:
            figures.append((name, lambda each=(name, side, what, count): self.consume(*each)))
        figures.append(("latency", self.latency))
        return dict(figures)

    def benchmark(self, clients):
        """redis-benchmark's rate of pushing the same bytes, 64 in a pipeline; a client has one pipeline under way."""
        effort = ["-p", str(self.port), "-c", str(clients), "-P", "64", "-n", "100000", "--csv"]
        done = subprocess.run(["redis-benchmark", *effort, "LPUSH", "pushed", self.payload], check=True,
                              capture_output=True, text=True)
        # Behind the command, which holds quotes of its own: the rate and six latencies.
        return float(re.findall(r'"([\d.]+)"', done.stdout)[-7])

    def consume(self, name, side, what, count):
        self.keyrail.ask("fill", "work", count, TEXT)
        return {name: side.ask(what, "work", count)["per_second"]}

    def latency(self):
        both = self.keyrail.ask("latency", "topic10", 10, 2000, TEXT)
        return {"latency": both["keyrail_us"], "bare latency": both["bare_us"]}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def keep(rounds):
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    file = RESULTS / f"{now:%Y%m%d-%H%M%S}-delivery.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in rounds))
    print(f"bench: the rounds are in {file.relative_to(ROOT)}", file=sys.stderr)


def report(targets, rounds):
    """Prints what was to be reached beside what was."""
    print("| what | target | reached | keyrail | the other | |")
    print("|---|---|---|---|---|---|")
    for each in targets:
        ratio = each.ratio(rounds)
        if ratio is None:
            continue
        medians = [statistics.median(of[name] for of in rounds if name in of) for name in (each.ours, each.theirs)]
        figures = " | ".join(f"{median:,.0f}" for median in medians)
        print(f"| {each.name} | {each.wanted()} | {ratio:.3g} | {figures} | {each.verdict(ratio)} |")


if __name__ == "__main__":
    main()
