"""A real RabbitMQ importing keyrail's definitions, and what it exports afterwards.

    python3 tests/oracles/definitions.py --check     compare with tests/vectors/definitions/exported.json
    python3 tests/oracles/definitions.py --output    write that file

`imported.json` is what `keyrail convert topology.lines imported.json --to rabbitmq --vhost shop` writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from broker import Broker, BrokerError
from vectors import unwind_on_signals

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "definitions"
IMPORTED = FOLDER / "imported.json"
EXPORTED = FOLDER / "exported.json"
KEPT = ("rabbit_version", "vhosts", "policies", "queues", "exchanges", "bindings")


def recorded(definitions: dict[str, Any]) -> dict[str, Any]:
    """What bears on the virtual host, in an order that does not depend on hash tables."""
    kept = {name: definitions[name] for name in KEPT if name in definitions}
    for name, rows in kept.items():
        if isinstance(rows, list):
            rows = [row for row in rows if row.get("vhost", row.get("name")) == "shop"]
            kept[name] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
    return kept


def main(arguments: list[str]) -> int:
    unwind_on_signals()
    if arguments not in (["--check"], ["--output"]):
        print(__doc__, file=sys.stderr)
        return 2
    with Broker() as broker:
        broker.http("POST", "/api/definitions", json.loads(IMPORTED.read_text()))
        exported = recorded(broker.http("GET", "/api/definitions"))
    text = json.dumps(exported, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if arguments == ["--output"]:
        EXPORTED.write_text(text)
        print("1 passed, 0 failed, 0 skipped")
        return 0
    same = EXPORTED.read_text() == text
    print(f"{int(same)} passed, {int(not same)} failed, 0 skipped")
    return 0 if same else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokerError as error:
        sys.exit(f"definitions.py: {error}")
