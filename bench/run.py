#!/usr/bin/env python3
"""Measures keyrail and its peers on the same files and prints one table with ratios.

    bench/run.py                      everything, three rounds: about an hour
    bench/run.py --quick              tables up to 10,000 bindings, one short round: minutes
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
    options.add_argument("--quick", action="store_true", help="small tables, one short round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="rows whose name contains one of these")
    options.add_argument("--engines", type=lambda names: set(names.split(",")), help="these only, with commas")
    options.add_argument("--largest", type=int, default=1_000_000, help="the largest table, in bindings")
    options.add_argument("--from", nargs="+", dest="files", metavar="FILE", help="measure nothing, read results")
    options = options.parse_args()
    if options.quick:
        options.rounds, options.largest = 1, min(options.largest, 10_000)

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

    name = next(name for name, size in reversed(plan.SIZES.items()) if size <= max(largest, 10))
    if not (WORKLOAD / "headers_4k.keys").exists() or not (WORKLOAD / f"direct_{name}.uniq.keys").exists():
        print(f"bench: generating the workload into {WORKLOAD.relative_to(ROOT)}", file=sys.stderr)
        run(BUILT / "release/keyrail-workload", WORKLOAD, largest)
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
                for engine in row.engines:
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
    if engine in plan.RUST:
        command = [BUILT / "peers/release/keyrail-peers"]
    elif engine in plan.JAVASCRIPT:
        command = ["node", "--expose-gc", "--max-old-space-size=8192", BENCH / "js/measure.mjs"]
    else:
        command = [ROOT / ".tools/python/kombu57/bin/python", BENCH / "py/measure.py"]
    keys = WORKLOAD / f"{row.keys}.keys"
    effort = ["--runs", 3, "--run-seconds", 0.1 if quick else 0.2, "--max-seconds", 40 if hostile else 4 if quick else 12]
    command += [engine, row.kind, WORKLOAD / f"{row.table}.tbl", keys, *effort]
    limit = 60 if quick or hostile else 180
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"engine": engine, "error": f"no end in {limit} s"}
    if done.returncode != 0:
        return {"engine": engine, "error": complaint(done.stderr)}
    line = json.loads(done.stdout)
    wanted = oracle(row, line["digest_n"], line["semantics"])
    line["agrees"] = (line["digest200"], line["digest"]) == (wanted["digest200"], wanted["digest"])
    return line


def complaint(stderr):
    """What a failed process said, without its stack."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = next((line for line in lines if re.match(r"\w*[Ee]rror( \[\w+\])?: ", line)), lines[-1] if lines else "no message")
    return f"fails: {said.partition(': ')[2] or said}"


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
    """Prints the table; gives the engines that answered wrongly."""
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
                summary = {"rounds": {record["round"]: record["median_ns"] for record in mine}, "of": mine[0]}
                summary["ns"] = statistics.median(summary["rounds"].values())
                summary["bytes_per_binding"] = mine[0]["bytes_per_binding"]
                summary["build_ms"] = statistics.median(record["build_ms"] for record in mine)
                measured[row.name, engine] = summary

    header = ["table", "keys", "engine", "ns a route", "times keyrail's", "aim", "", "bytes a binding", "build ms"]
    table = [line for row in rows for line in lines(row, measured)]
    widths = [max(len(line[at]) for line in [header, *table]) for at in range(len(header))]
    show = lambda cells: print("| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |")
    show(header)
    show(["-" * width for width in widths])
    for line in table:
        show(line)
    print()
    for what, figure, aim, met in plan.beyond(measured):
        print(f"{what}: {figure}" + (f" (aim: {aim}{'' if met else '; missed'})" if aim else ""))
    for name, engine in wrong:
        print(f"error: {engine} gives wrong answers on {name}", file=sys.stderr)
    return wrong


def lines(row, measured):
    ours = measured.get((row.name, "keyrail"), {})
    names = [row.table, row.keys.split(".")[-1] if "." in row.keys else ""]
    for engine in row.engines:
        it = measured.get((row.name, engine))
        if it is None:
            continue
        if "said" in it:
            yield [*names, engine, it["said"], "", "", "", "", ""]
            continue
        ratio = None
        if engine != "keyrail" and "ns" in ours:
            shared = it["rounds"].keys() & ours["rounds"].keys()
            ratio = statistics.median(it["rounds"][each] / ours["rounds"][each] for each in shared) if shared else None
        nats = engine + (" (nats)" if it["of"]["semantics"] == "nats" else "")
        held = [f"{it['bytes_per_binding']:.0f}", f"{it['build_ms']:.1f}"]
        yield [*names, nats, f"{it['ns']:,.0f}", *judged(ratio, row.aims.get(engine)), *held]
    for engine, ns in row.recorded.items():
        ratio = ns / ours["ns"] if "ns" in ours else None
        yield [*names, f"{engine} (recorded)", f"{ns:,.0f}", *judged(ratio, row.aims.get(engine)), "", ""]


def judged(ratio, aim):
    """The cells for a ratio, what it is to be, and whether it is."""
    show = lambda number: f"{number:,.0f}" if number >= 100 else f"{number:.2g}" if number < 1 else f"{number:.1f}"
    if ratio is None:
        return ["", "", ""]
    if aim is None:
        return [show(ratio), "", ""]
    return [show(ratio), show(aim), "met" if ratio >= aim else "missed"]


if __name__ == "__main__":
    main()
