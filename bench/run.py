#!/usr/bin/env python3
"""Measures keyrail and its peers on the same files and prints one table with ratios.

    bench/run.py                      everything, three rounds: about an hour
    bench/run.py --targets            what a target looks at and nothing else, every size, two rounds: 20 minutes
    bench/run.py --quick              the same up to 10,000 bindings, one short round: minutes
    bench/run.py --only 'topic_1k '   rows whose name contains one of the arguments
    bench/run.py --engines keyrail,qlobber
    bench/run.py --from FILE...       the table again, from result files in target/bench

Each measurement is a process of its own that builds the table from the workload's file, compares its answers and then
routes; every engine is measured once in each round. Times are CPU time, medians over the rounds, ratios are those of
the same round. An engine whose digest is not the oracle's gets no time, and the exit status is 1.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import plan

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
WORKLOAD = ROOT / "target" / "workload"
RESULTS = ROOT / "target" / "bench"
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def main():
    options = argparse.ArgumentParser(description="Measures keyrail and its peers.")
    options.add_argument("--targets", action="store_true", help="only engines and tables that have a target; two rounds")
    options.add_argument("--quick", action="store_true", help="the same with small tables, one short round")
    options.add_argument("--rounds", type=int, help="three unless this, --targets or --quick says otherwise")
    options.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="rows whose name contains one of these")
    options.add_argument("--engines", type=lambda names: set(names.split(",")), help="these only, with commas")
    options.add_argument("--largest", type=int, default=1_000_000, help="the largest table, in bindings")
    options.add_argument("--from", nargs="+", dest="files", metavar="FILE", help="measure nothing, read results")
    options = options.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 2 if options.targets else 3)
    if options.quick:
        options.largest = min(options.largest, 10_000)

    rows = [row for row in plan.rows() if row.size <= options.largest and
            (not options.only or any(text in row.name for text in options.only))]
    if options.files:
        lines = (line for file in options.files for line in pathlib.Path(file).read_text().splitlines())
        records = [json.loads(line) for line in lines]
    else:
        prepare(options.largest)
        records = measure(rows, options)
    wrong = report(rows, records)
    sys.exit(1 if wrong else 0)


def prepare(largest):
    """Builds, installs and generates what is missing."""
    run = lambda *command, cwd=ROOT: subprocess.run([str(part) for part in command], check=True, cwd=cwd)
    run(ROOT / "scripts/setup/rust.sh")
    run("cargo", "build", "--release", "--quiet", "--package", "keyrail-workload")
    peers = ["--manifest-path", BENCH / "peers/Cargo.toml", "--target-dir", BUILT / "peers"]
    run("cargo", "build", "--release", "--quiet", "--locked", *peers)
    if not (BENCH / "js/node_modules").exists():
        run("npm", "ci", "--no-progress", "--loglevel=error", cwd=BENCH / "js")
    run(ROOT / "scripts/setup/python.sh")
    run(ROOT / "scripts/release.sh", "keyrail")
    wasm = ["--manifest-path", BENCH / "wasm/Cargo.toml", "--target-dir", BUILT / "bench-wasm"]
    exports = subprocess.check_output([ROOT / "scripts/setup/wasm-target.sh"], text=True)
    build = f'{exports}\nexec cargo build --release --quiet --locked --target wasm32-unknown-unknown "$@"'
    run("sh", "-c", build, "sh", *wasm)

    name = next(name for name, size in reversed(plan.SIZES.items()) if size <= max(largest, 10))
    if not (WORKLOAD / "headers_4k.keys").exists() or not (WORKLOAD / f"direct_{name}.uniq.keys").exists():
        print(f"bench: generating the workload into {WORKLOAD.relative_to(ROOT)}", file=sys.stderr)
        run(BUILT / "release/keyrail-workload", WORKLOAD, largest)
    pattern, key = plan.HASHES
    (WORKLOAD / "hashes.tbl").write_text(f"{pattern}\t0\n")
    (WORKLOAD / "hashes.keys").write_text(f"{key}\n")
    listed = (BENCH / "workload/SHA256").read_text().splitlines()
    present = "\n".join(line for line in listed if (WORKLOAD / line.split()[1]).exists())
    subprocess.run(["sha256sum", "--check", "--quiet"], input=present, text=True, check=True, cwd=WORKLOAD)


def measure(rows, options):
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    file = RESULTS / f"{now:%Y%m%d-%H%M%S}.jsonl"
    records, given_up = [], set()
    with file.open("w") as out:
        for number in range(options.rounds):
            for row in rows:
                for engine in plan.aimed(row) if options.targets or options.quick else row.engines:
                    if (options.engines and engine not in options.engines) or (row.name, engine) in given_up:
                        continue
                    record = {"row": row.name, "round": number, **measure_one(row, engine, options.quick)}
                    # Neither repeated when it failed nor when it took long: it is not about a few percent then.
                    if "error" in record or record["median_ns"] > 1e7:
                        given_up.add((row.name, engine))
                    records.append(record)
                    out.write(json.dumps(record) + "\n")
                    out.flush()
                    took = record.get("error") or f"{record['median_ns']:,.0f} ns"
                    print(f"round {number + 1}  {row.name:<32}{engine:<20}{took}", file=sys.stderr, flush=True)
    print(f"bench: results are in {file.relative_to(ROOT)}", file=sys.stderr)
    return records


def measure_one(row, engine, quick):
    """One process; its line of JSON with `agrees`, or an `error`."""
    hostile = row.table.startswith("adv")
    seconds = 4 if quick else 40 if hostile else 12
    limit = 20 if quick else 60 if hostile else 180
    table, keys = WORKLOAD / f"{row.table}.tbl", WORKLOAD / f"{row.keys}.keys"
    effort = ["--runs", 3, "--run-seconds", 0.1 if quick else 0.2, "--max-seconds", seconds]
    measured = [engine, row.kind, table, keys, *effort]
    if engine in plan.RUST:
        command = [BUILT / "peers/release/keyrail-peers", *measured]
    elif engine in plan.JAVASCRIPT:
        command = ["node", "--expose-gc", "--max-old-space-size=8192", BENCH / "js/measure.mjs", *measured]
    elif engine in plan.PYTHON:
        command = [ROOT / ".tools/python/kombu57/bin/python", BENCH / "py/measure.py", *measured]
    elif engine in plan.WASM:
        module = BUILT / "bench-wasm/wasm32-unknown-unknown/release/keyrail_bench_wasm.wasm"
        command = ["node", BENCH / "js/measure-wasm.mjs", module, table, keys, *effort]
    else:
        command = [BUILT / "release/keyrail", "bench", "route", "--kind", row.kind, "--table", table, "--keys", keys,
                   "--threads", plan.THREADS[engine], "--runs", 3, "--max-seconds", seconds]
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"engine": engine, "error": f"no end in {limit} s"}
    if done.returncode != 0:
        return {"engine": engine, "error": complaint(done.stderr)}
    line = {"semantics": "amqp", **{snake(name): value for name, value in json.loads(done.stdout).items()}}
    if "routes_per_second" in line:
        line.update(engine=engine, median_ns=1e9 / line["routes_per_second"])
    wanted = oracle(row, line["digest_n"], line["semantics"])
    line["agrees"] = (line["digest200"], line["digest"]) == (wanted["digest200"], wanted["digest"])
    return line


def snake(name):
    """The name that the results have: keyrail writes `medianNs`."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def complaint(stderr):
    """What a failed process said, without its stack."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = next((line for line in lines if re.match(r"\w*[Ee]rror( \[\w+\])?: ", line)), lines[-1] if lines else "no message")
    said = said.partition(": ")[2] or said
    return said if said.startswith("refuses ") else f"fails: {said}"


def oracle(row, count, semantics, known={}):
    """The digests that are right; kept, for the files never change."""
    file = RESULTS / "oracle.json"
    if not known and file.exists():
        known.update(json.loads(file.read_text()))
    name = f"{row.name} {count} {semantics}"
    if name not in known:
        files = [WORKLOAD / f"{row.table}.tbl", WORKLOAD / f"{row.keys}.keys"]
        command = [BUILT / "release/workload-oracle", row.kind, *files, count, semantics]
        known[name] = json.loads(subprocess.check_output([str(part) for part in command]))
        file.write_text(json.dumps(known, indent=1) + "\n")
    return known[name]


def report(rows, records):
    """Prints what was measured, then what was to be reached; gives the engines that answered wrongly."""
    measured, wrong = {}, []
    for row in rows:
        for engine in row.engines:
            mine = [record for record in records if (record["row"], record["engine"]) == (row.name, engine)]
            if not mine:
                continue
            if failed := next((record["error"] for record in mine if "error" in record), None):
                measured[row.name, engine] = {"said": failed}
            elif not all(record["agrees"] for record in mine):
                measured[row.name, engine] = {"said": f"WRONG ANSWERS ({mine[0]['semantics']})"}
                wrong.append((row.name, engine))
            else:
                measured[row.name, engine] = summary(mine, measured.get((row.name, "keyrail")))
        for engine, ns in row.recorded.items():
            ours = measured.get((row.name, "keyrail"), {}).get("ns")
            measured[row.name, engine] = {"ns": ns, "ratio": ours and ns / ours}

    table = [line for row in rows for line in lines(row, measured)]
    show(["table", "keys", "engine", "ns a route", "times keyrail's", "bytes a binding", "build ms"], table)
    print()
    reached = [
        [target.table, target.keys, f"at {'most' if target.most else 'least'} {column(target, 0)}", target.what,
         " / ".join(target.figures), column(target, 1), target.verdict()]
        for target in plan.targets(measured) if any(got is not None for _, got in target.figures.values())
    ]
    show(["table", "keys", "target", "of what", "at", "reached", ""], reached)
    for name, engine in wrong:
        print(f"error: {engine} gives wrong answers on {name}", file=sys.stderr)
    return wrong


def summary(records, ours):
    """Medians over the rounds; the ratio is the median of each round's."""
    rounds = {record["round"]: record["median_ns"] for record in records}
    shared = rounds.keys() & (ours or {}).get("rounds", {}).keys()
    return {
        "rounds": rounds,
        "semantics": records[0]["semantics"],
        "ns": statistics.median(rounds.values()),
        "ratio": statistics.median(rounds[each] / ours["rounds"][each] for each in shared) if shared else None,
        "bytes_per_binding": records[0]["bytes_per_binding"],
        "build_ms": statistics.median(record["build_ms"] for record in records),
    }


def lines(row, measured):
    names = [row.table, row.keys.split(".")[-1] if "." in row.keys else ""]
    for engine in [*row.engines, *row.recorded]:
        it = measured.get((row.name, engine))
        if it is None:
            continue
        if "said" in it:
            yield [*names, engine, it["said"], "", "", ""]
            continue
        note = " (recorded)" if engine in row.recorded else " (nats)" if it["semantics"] == "nats" else ""
        ratio = "" if engine == "keyrail" else short(it["ratio"])
        held, build = it.get("bytes_per_binding"), it.get("build_ms")
        figures = ["" if held is None else f"{held:.0f}", "" if build is None else f"{build:.1f}"]
        yield [*names, engine + note, f"{it['ns']:,.0f}", ratio, *figures]


def column(target, which):
    return " / ".join(short(figure[which]) or "-" for figure in target.figures.values())


def short(number):
    if number is None:
        return ""
    if number == plan.REFUSED:
        return "refuses"
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}" if number < 1 else f"{number:.1f}".removesuffix(".0")


def show(header, table):
    widths = [max(len(line[at]) for line in [header, *table]) for at in range(len(header))]
    for line in [header, ["-" * width for width in widths], *table]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


if __name__ == "__main__":
    main()
