"""Unmodified Kombu publishers route as RabbitMQ does by the rows that keyrail writes in the dialect `amqp`."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import unittest
from typing import Any

from support import PATIENCE, ROOT, InteropCase, keyrail_bin

PLAIN = {"topic", "direct"}
# What can be played: all but four, which use what a Kombu publisher does not have.
SCENARIOS = 105


class Snapshots:
    """The scenarios as one topology: each state in which something is published has names of its own."""

    def __init__(self) -> None:
        self.topology: dict[str, list[Any]] = {"exchanges": [], "queues": [], "bindings": []}
        self.publishes: list[dict[str, Any]] = []
        self.expected: list[set[str]] = []
        self.played = 0

    def add(self, scenario: dict[str, Any]) -> None:
        kinds: dict[str, str] = {}
        queues: list[str] = []
        bindings: list[tuple[str, str, str]] = []
        number, fresh = 0, False
        before = len(self.publishes)
        for step in scenario["steps"]:
            op = step["op"]
            if op == "exchange.declare" and step["expect"] == "ok":
                kinds[step["exchange"]] = step.get("type", "direct")
            elif op == "queue.declare" and step["expect"] == "ok":
                queues.append(step["queue"])
            elif op in ("queue.bind", "queue.unbind") and step["expect"] == "ok":
                row = (step["exchange"], step["routing_key"], step["queue"])
                if op == "queue.bind" and row not in bindings:
                    bindings.append(row)
                if op == "queue.unbind" and row in bindings:
                    bindings.remove(row)
                fresh = False
            elif op == "publish" and "queues" in step["expect"] and step["exchange"] in kinds:
                if not fresh:
                    number, fresh = number + 1, True
                    self.snapshot(f"{scenario['id']}/{number}/", kinds, queues, bindings)
                prefix = f"{scenario['id']}/{number}/"
                self.publishes.append({
                    "exchange": prefix + step["exchange"], "type": kinds[step["exchange"]],
                    "key": step["routing_key"], "queues": [prefix + queue for queue in queues]})
                self.expected.append({prefix + queue for queue in step["expect"]["queues"]})
        self.played += len(self.publishes) > before

    def snapshot(self, prefix: str, kinds: dict[str, str], queues: list[str],
                 bindings: list[tuple[str, str, str]]) -> None:
        self.topology["exchanges"] += [{"name": prefix + name, "kind": kind} for name, kind in kinds.items()]
        self.topology["queues"] += [{"name": prefix + name} for name in queues]
        self.topology["bindings"] += [
            {"source": prefix + exchange, "destination": {"queue": prefix + queue}, "routingKey": key}
            for exchange, key, queue in bindings]


def is_plain(scenario: dict[str, Any]) -> bool:
    """Whether a Kombu publisher has everything that the scenario uses."""
    for step in scenario["steps"]:
        if step["op"] not in ("exchange.declare", "queue.declare", "queue.bind", "queue.unbind", "publish"):
            return False
        if step["op"] == "exchange.declare" and (
                step.get("type", "direct") not in PLAIN or step.get("arguments") or step.get("internal")):
            return False
        if step.get("arguments") or step.get("headers") or not isinstance(step.get("routing_key", ""), str):
            return False
        # The default exchange takes no bindings, and predeclared ones cannot be told apart by scenario.
        if step["op"] in ("queue.bind", "queue.unbind", "publish") and (
                not step["exchange"] or step["exchange"].startswith("amq.")):
            return False
    return True


class AmqpTexts57(InteropCase):
    """Kombu 5.7.0."""

    kombu = "57"

    def imported(self, topology: dict[str, Any]) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(topology, file)
            file.flush()
            command = [keyrail_bin(), "topology", "import", "--redis", self.redis.url, "--topology", file.name,
                       "--dialect", "amqp"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_topic_scenarios_recorded_from_rabbitmq(self) -> None:
        snapshots = Snapshots()
        with (ROOT / "tests/vectors/amqp.jsonl").open(encoding="utf-8") as lines:
            for scenario in map(json.loads, lines):
                if scenario["category"] == "topic" and is_plain(scenario):
                    snapshots.add(scenario)
        self.assertEqual(snapshots.played, SCENARIOS)
        self.imported(snapshots.topology)
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(snapshots.publishes, file)
            file.flush()
            [answer] = self.run_peer(self.kombu, "route", file=file.name)
        for publish, expected, actual in zip(snapshots.publishes, snapshots.expected, answer["queues"], strict=True):
            self.assertEqual(set(actual), expected, (publish["exchange"], publish["key"]))

    def test_no_text_backtracks(self) -> None:
        tables = adversarial()
        rows = [{"source": name, "destination": {"queue": "q"}, "routingKey": key}
                for name, (patterns, _) in tables.items() for key in patterns]
        self.imported({"exchanges": [{"name": name, "kind": "topic"} for name in tables],
                       "queues": [{"name": "q"}], "bindings": rows})
        keys = [key for _, some in tables.values() for key in some]
        [answer] = self.run_peer(self.kombu, "slowest", exchanges=list(tables), keys=keys)
        # A backtracking one takes minutes; a machine that is busy takes no hundred times longer.
        self.assertLess(answer["seconds"], 0.2, answer)


def adversarial() -> dict[str, tuple[list[str], list[str]]]:
    """Tables of patterns and keys against which a backtracking matcher tries everything: each alone, and those of the
    benchmarks, fewer, so that Python keeps all their texts compiled."""
    some = random.Random(1)

    def words(letters: str, count: int) -> list[str]:
        return [some.choice(letters) for _ in range(count)]

    hashes = [".".join(f"#.{word}" for word in words("abc", 3 + row % 40)) + (".#.z" if row % 2 else ".#")
              for row in range(200)]
    long = [".".join([*words("abcd", at), "#", *words("abcd", 120 - at)]) for at in range(0, 120, 2)]
    pairs = [f"#.{word}.#.w{row}.#" if row % 2 else f"#.{word}.w{row}.#.{word}"
             for row, word in enumerate(words("abcdefghijklmnop", 200))]
    stars = [".".join("*" if row * 16 >> bit & 1 else "a" for bit in range(12)) + ".z" for row in range(256)]
    alike = [".".join(["a"] * 12 + [end]) for end in ("z", "y1")]
    return {
        "many #": ([".".join(["#.a"] * 40) + ".b"], [".".join(["a"] * 128)]),
        "# and *": ([".".join(["#.*.a"] * 25) + ".b"], [".".join(["a"] * 127) + ".c"]),
        "all #": ([".".join(["#"] * 100) + ".b"], ["." * 255]),
        "all *": ([".".join(["*"] * 127) + ".b"], ["a" * 255, "a." * 127 + "\n"]),
        "hashes": (hashes, [".".join(words("abc", 128)) for _ in range(5)]),
        "stars": (stars, alike),
        "long": (long, [".".join(words("abcd", 128)) for _ in range(3)] + [long[30].replace("#", "a.b")]),
        "pairs": (pairs, [".".join(words("abcdefghijklmnop", 128)) for _ in range(5)]),
    }


class AmqpTexts56(AmqpTexts57):
    """Kombu 5.6.2."""

    kombu = "56"


if __name__ == "__main__":
    unittest.main()
