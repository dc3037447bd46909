#!/usr/bin/env python3
"""Checks that every public item of the Rust crates has an example that runs: on itself or on one of its methods.

    scripts/checks/examples.py                    every crate of CRATES
    scripts/checks/examples.py keyrail-core       those that are named

What is public is asked of rustdoc's JSON, which follows re-exports and which today's stable compiler writes only as if it
were a nightly (RUSTC_BOOTSTRAP). Its format changes now and then, so a version that is not known here is an error and
not a guess. Built in a target directory of its own, since that variable makes other build products.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "target" / "rustdoc-json"

# The versions of the format that `items` was written for: those of Rust 1.95.
FORMATS = {57}

# A crate, and the words behind the fence with which an example of it counts. What needs a server only has to compile.
CRATES = {
    "keyrail-core": {"", "rust"},
    "keyrail-redis": {"", "rust", "no_run"},
}

KINDS = {"struct", "enum", "union", "trait", "function", "constant", "static", "type_alias", "macro"}


class UnknownFormat(Exception):
    """rustdoc wrote a version of its JSON that this program does not know."""


def has_example(docs, words):
    """Whether a text has a block of code that rustdoc takes for an example, opened with nothing but these words."""
    fence = None
    for line in (docs or "").splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})(.*)$", line)
        if not mark:
            continue
        if fence is None:
            fence = mark[1]
            if {word for word in re.split(r"[\s,]+", mark[2].strip())} <= words:
                return True
        elif mark[1].startswith(fence) and not mark[2].strip():
            fence = None
    return False


def methods(index, inner):
    """What can be called on a type by itself, and what a trait asks for."""
    for number in inner.get("impls", []) if isinstance(inner, dict) else []:
        block = index.get(str(number), {}).get("inner", {}).get("impl")
        if block and not block["trait"] and not block["blanket_impl"]:
            for each in block["items"]:
                if index.get(str(each), {}).get("visibility") == "public":
                    yield index[str(each)]
    for number in inner.get("items", []) if isinstance(inner, dict) else []:
        if str(number) in index:
            yield index[str(number)]


def items(crate):
    """The public items of a crate by their paths, each with the texts of its documentation."""
    if crate["format_version"] not in FORMATS:
        known = ", ".join(str(version) for version in sorted(FORMATS))
        raise UnknownFormat(f"version {crate['format_version']} of rustdoc's JSON is unknown, expected {known}")
    index, found, seen = crate["index"], {}, set()

    def visit(number, path):
        item = index.get(str(number))
        if item is None or item["visibility"] not in ("public", "default"):
            return
        kind, inner = next(iter(item["inner"].items()))
        name = item["name"]
        if kind == "use":
            if inner["id"] is None:
                return
            target = index.get(str(inner["id"]))
            if inner["is_glob"] and target and "module" in target["inner"]:
                for each in target["inner"]["module"]["items"]:
                    visit(each, path)
            elif not inner["is_glob"]:
                visit(inner["id"], path)
        elif number in seen:
            return
        elif kind == "module":
            seen.add(number)
            for each in inner["items"]:
                visit(each, f"{path}::{name}")
        elif kind in KINDS:
            seen.add(number)
            found[f"{path}::{name}"] = [item["docs"]] + [each["docs"] for each in methods(index, inner)]

    root = index[str(crate["root"])]
    for number in root["inner"]["module"]["items"]:
        visit(number, root["name"])
    return found


def without_example(crate, words):
    """How many public items there are, and the paths of those without an example."""
    found = items(crate)
    bare = [path for path, texts in found.items() if not any(has_example(docs, words) for docs in texts)]
    return len(found), bare


def documented(crates):
    """rustdoc's JSON of each crate."""
    packages = [word for crate in crates for word in ("-p", crate)]
    flags = "-Z unstable-options --output-format json"
    subprocess.run(
        ["cargo", "doc", "--locked", "--no-deps", "--lib", "--all-features", "--target-dir", TARGET, *packages],
        cwd=ROOT, check=True, env={**os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTDOCFLAGS": flags},
    )
    for crate in crates:
        yield crate, json.loads((TARGET / "doc" / f"{crate.replace('-', '_')}.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crates", nargs="*", metavar="CRATE", help="keyrail-core, keyrail-redis; both unless it is said")
    crates = parser.parse_args().crates or list(CRATES)
    unknown = [crate for crate in crates if crate not in CRATES]
    if unknown:
        parser.error(f"crate `{unknown[0]}` is unknown, expected one of {' '.join(CRATES)}")
    bare = 0
    try:
        subprocess.run([ROOT / "scripts" / "setup" / "rust.sh"], check=True)
        for crate, written in documented(crates):
            count, paths = without_example(written, CRATES[crate])
            for path in paths:
                print(f"{path} has no example, neither on itself nor on a method")
            print(f"{crate}: {count} public items, {len(paths)} without an example")
            bare += len(paths)
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error.cmd[0]} failed (see above)")
    except UnknownFormat as error:
        sys.exit(f"error: {error}\n  to fix it: see that `items` reads it rightly, then add it to FORMATS in {__file__}")
    sys.exit(1 if bare else 0)


if __name__ == "__main__":
    main()
