#!/usr/bin/env python3
"""Counts the instructions of a route with callgrind and says what a change did to each row.

    bench/instructions.py                     counts every row, compares with bench/instructions.json
    bench/instructions.py 'topic 1k uniq'     counts rows whose name contains one of the arguments
    bench/instructions.py --update            writes what was counted into bench/instructions.json
    bench/instructions.py --limit 2           fails if a row grew by more than 2%

A row is the difference of two runs of `workload-route` that differ only in how many keys they route, divided by the
number of those keys: building the table, reading the files and warming up cancel out. The same program on the same
files gives the same count to within one instruction, whatever else the machine does; another compiler or C library
may give another, so the baseline names the compiler.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "bench" / "instructions.json"
WORKLOAD = ROOT / "target" / "workload"

# Caches and buffers reach their size before counting begins: routes that are not counted, and those that are.
WARM = {"uniq": 20_000, "zipf": 60_000}
COUNTED = 100_000
# What finds a thousand queues, or asks a thousand bindings, says the same after fewer.
FEW = {"fanout 1k": (100, 2_000), "fanout 100k": (5, 50), "headers 4k": (500, 5_000)}

# What a row is to stay below, where that was said.
ROWS = {
    "topic 10 uniq": 577, "topic 1k uniq": 899, "topic 10k uniq": 1795, "topic 100k uniq": 2845,
    "topic 10 zipf": 292, "topic 1k zipf": 371, "topic 10k zipf": 656, "topic 100k zipf": 970,
    "direct 10 uniq": 165, "direct 1k uniq": 165, "direct 10k uniq": 165, "direct 100k uniq": 165,
    "direct 1m uniq": 165,
    "direct 10 zipf": 165, "direct 1k zipf": 165, "direct 10k zipf": 165, "direct 100k zipf": 165,
    "fanout 1k": None, "fanout 100k": None, "headers 4k": None,
}


def main():
    options = argparse.ArgumentParser(description="Counts the instructions of a route.")
    options.add_argument("rows", nargs="*", help="count only rows whose name contains one of these")
    options.add_argument("--update", action="store_true", help="make what was counted the baseline")
    options.add_argument("--limit", type=float, metavar="PERCENT", help="fail if a row grew by more")
    options = options.parse_args()

    rows = [row for row in ROWS if not options.rows or any(part in row for part in options.rows)]
    if not rows:
        sys.exit(f"error: no row is called so; there are: {', '.join(ROWS)}")
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"compiler": None, "rows": {}}
    program = prepare(1_000_000 if any(" 1m " in row for row in rows) else 100_000)
    compiler = subprocess.check_output(["rustc", "--version"], text=True).split()[1]
    if baseline["compiler"] not in (None, compiler):
        print(f"note: the baseline was counted with rustc {baseline['compiler']}, this is {compiler}")

    print(f"{'instructions a route':<22}{'baseline':>10}{'now':>10}{'change':>9}{'aim':>8}")
    grown = []
    counted = {}
    for row in rows:
        old, new = baseline["rows"].get(row), count(program, row)
        change = "" if old is None else f"{100 * (new - old) / old:+.1f}%"
        if old is not None and options.limit is not None and new > old * (1 + options.limit / 100):
            grown.append(row)
        aim = ROWS[row]
        print(f"{row:<22}{old or '':>10}{new:>10}{change:>9}{aim or '':>8}{'  missed' if aim and new > aim else ''}", flush=True)
        counted[row] = new
    if options.update:
        merged = {row: {**baseline["rows"], **counted}.get(row) for row in ROWS}
        merged = {row: value for row, value in merged.items() if value is not None}
        BASELINE.write_text(json.dumps({"compiler": compiler, "rows": merged}, indent=2) + "\n")
    if grown:
        sys.exit(f"error: more than {options.limit:g}% more instructions: {', '.join(grown)}")


def prepare(largest):
    """Builds the programs and, once, the workload; gives the program that is counted."""
    subprocess.run([ROOT / "scripts/setup/valgrind.sh"], check=True)
    build = ["cargo", "build", "--release", "--quiet", "--package", "keyrail-workload"]
    subprocess.run(build, cwd=ROOT, check=True)
    programs = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    last = "headers_4k.keys", "direct_100k.uniq.keys", "direct_1m.uniq.keys" if largest > 100_000 else "fanout.keys"
    if not all((WORKLOAD / name).exists() for name in last):
        WORKLOAD.mkdir(parents=True, exist_ok=True)
        subprocess.run([programs / "keyrail-workload", WORKLOAD, str(largest)], check=True)
    return programs / "workload-route"


def count(program, row):
    kind, size, *keys = row.split()
    table = f"{kind}_{size}"
    file = f"{table}.{keys[0]}" if keys else "fanout" if kind == "fanout" else table
    warm, routes = (WARM[keys[0]], COUNTED) if keys else FEW[row]
    files = [WORKLOAD / f"{table}.tbl", WORKLOAD / f"{file}.keys"]
    # Both at once: the count does not mind, and the machine has more than one core.
    runs = [start(program, kind, *files, str(each), str(warm)) for each in (0, routes)]
    before, after = (finish(run) for run in runs)
    return round((after - before) / routes)


def start(*command):
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    return subprocess.Popen(
        [*callgrind, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # Where the stack begins depends on the size of the environment, and alignment on that.
        env={"PATH": os.environ["PATH"]},
    )


def finish(run):
    _, log = run.communicate()
    collected = re.search(r"Collected : (\d+)", log)
    if run.returncode != 0 or not collected:
        sys.exit(f"error: callgrind failed\n{log}")
    return int(collected[1])


if __name__ == "__main__":
    main()
