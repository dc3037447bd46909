"""What the recorders share: reading and writing vector files, comparing, counting."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Scenario = dict[str, Any]


def read(path: Path) -> Iterator[Scenario]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def write(path: Path, lines: list[str]) -> None:
    """Replaces the file in one step, so an interrupted recording leaves the old one whole."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    os.replace(draft, path)


def differences(recorded: Any, fresh: Any, where: str = "") -> Iterator[str]:
    """Every leaf on which two recordings disagree, with its path."""
    if isinstance(recorded, dict) and isinstance(fresh, dict):
        for key in sorted(recorded.keys() | fresh.keys()):
            missing = "(absent)"
            yield from differences(recorded.get(key, missing), fresh.get(key, missing),
                                   f"{where}.{key}" if where else key)
    elif (isinstance(recorded, list) and isinstance(fresh, list) and len(recorded) == len(fresh)
          and all(isinstance(item, dict) for item in recorded)):
        for index, pair in enumerate(zip(recorded, fresh)):
            yield from differences(*pair, f"{where}[{index}]")
    elif recorded != fresh:
        yield f"{where}: recorded {compact(recorded)}, now {compact(fresh)}"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="compare with what is recorded, write nothing")
    mode.add_argument("--output", type=Path, metavar="FOLDER", help="write fresh files of the same names here")
    parser.add_argument("--only", metavar="ID", help="run one scenario")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    options = parser.parse_args()
    if options.output and options.only:
        parser.error("--only would write an incomplete file; use it with --check")
    for path in options.files:
        if not path.is_file():
            parser.error(f"{path}: no such file")
    return options


def rerecord(options: argparse.Namespace, record: Callable[[Scenario], Scenario],
             to_line: Callable[[Scenario], str]) -> int:
    """Runs every scenario through `record`; returns the exit status.

    A scenario fails if it disagrees with its recording (--check) or cannot be run at all.
    """
    passed = failed = 0
    for path in options.files:
        lines: list[str] = []
        for scenario in read(path):
            if options.only not in (None, scenario["id"]):
                continue
            try:
                fresh = record(scenario)
                found = list(differences(scenario, fresh)) if options.check else []
            except Exception as error:  # one broken scenario must not hide the others' results
                fresh, found = scenario, [f"cannot be run: {error!r}"]
            lines.append(to_line(fresh))
            passed, failed = passed + (not found), failed + bool(found)
            for difference in found:
                print(f"{path.name} {scenario['id']} {difference}")
        if options.output and not failed:
            options.output.mkdir(parents=True, exist_ok=True)
            write(options.output / path.name, lines)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 0 if passed and not failed else 1


def unwind_on_signals() -> None:
    """Ctrl-C and kill unwind the stack, so the servers that a recorder started are stopped too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
