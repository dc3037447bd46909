"""Tables of expiring bindings between keyrail and a real Kombu 5.7: who refreshes them, and who clears them away."""

from __future__ import annotations

import json
import subprocess
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

from support import PATIENCE, InteropCase, keyrail_bin, until

DEADLINES = "_kombu.binding_deadlines"
HOUR = 3_600_000


def topology(exchange: str, queue: str, expires: int) -> dict:
    return {
        "exchanges": [{"name": exchange, "kind": "direct"}],
        "queues": [{"name": queue, "arguments": {"x-expires": expires}}],
        "bindings": [{"source": exchange, "destination": {"queue": queue}, "routingKey": "k", "dialect": "kombu57"}],
    }


class Expiring(InteropCase):
    """Kombu 5.7.0; no older one knows deadlines."""

    def now(self) -> int:
        seconds, micros = self.ask("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def import_topology(self, exchange: str, queue: str, expires: int = 30_000) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "topology.json"
            file.write_text(json.dumps(topology(exchange, queue, expires)), encoding="utf-8")
            command = [keyrail_bin(), "topology", "import", "--redis", self.redis.url, "--topology", str(file)]
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)

    def assert_an_hour_ahead(self, exchange: str) -> None:
        ahead = int(self.ask("ZSCORE", DEADLINES, exchange)) - self.now()
        self.assertTrue(HOUR - 60_000 < ahead <= HOUR, ahead)

    def pass_deadline(self, exchange: str) -> None:
        self.ask("ZADD", DEADLINES, self.now() - 1, exchange)

    def test_both_write_the_same(self) -> None:
        self.import_topology("ours", "eq")
        self.run_peer("57", "expire", exchange="theirs", queue="eq", expires=30)
        self.assertEqual(self.ask("SMEMBERS", "_kombu.binding.ours"), self.ask("SMEMBERS", "_kombu.binding.theirs"))
        self.assertEqual(self.ask("EXISTS", "_kombu.binding_permanent.ours", "_kombu.binding_permanent.theirs"), 0)
        self.assertEqual(sorted(self.ask("ZRANGE", DEADLINES, 0, -1)), [b"ours", b"theirs"])
        self.assert_an_hour_ahead("ours")
        self.assert_an_hour_ahead("theirs")
        # Neither draws in what the other has put further ahead.
        far = self.now() + 10 * HOUR
        for exchange in ("ours", "theirs"):
            self.ask("ZADD", DEADLINES, far, exchange)
        self.import_topology("theirs", "eq")
        self.run_peer("57", "expire", exchange="ours", queue="eq", expires=30)
        for exchange in ("ours", "theirs"):
            self.assertEqual(int(self.ask("ZSCORE", DEADLINES, exchange)), far)

    def test_kombu_sweeps_what_keyrail_left_and_nothing_else(self) -> None:
        self.import_topology("left", "eq")
        self.import_topology("shared", "eq")
        self.keyrail("bind", "-x", "shared", "--type", "direct", "-k", "k", "-q", "stays")
        self.import_topology("fresh", "eq")
        for exchange in ("left", "shared"):
            self.pass_deadline(exchange)
        self.run_peer("57", "expire", exchange="other", queue="other", expires=30, sweep=True)
        self.assertEqual(self.ask("EXISTS", "_kombu.binding.left"), 0)
        # keyrail's permanent binding keeps the table of both.
        self.assertEqual(self.ask("SCARD", "_kombu.binding.shared"), 2)
        self.assertEqual(self.ask("SCARD", "_kombu.binding.fresh"), 1)
        self.assertEqual(sorted(self.ask("ZRANGE", DEADLINES, 0, -1)), [b"fresh", b"other"])

    def test_keyrail_sweeps_what_kombu_left_and_nothing_else(self) -> None:
        self.run_peer("57", "expire", exchange="left", queue="eq", expires=30)
        self.run_peer("57", "expire", exchange="shared", queue="eq", expires=30)
        self.run_peer("57", "bind", exchange="shared", type="direct", queue="stays", key="k")
        self.run_peer("57", "expire", exchange="fresh", queue="eq", expires=30)
        for exchange in ("left", "shared"):
            self.pass_deadline(exchange)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "topology.json"
            file.write_text(json.dumps(topology("own", "own", 30_000)), encoding="utf-8")
            self.keyrail_process("consume", "--queue", "own", "--declare", "--topology", str(file))
            until("keyrail sweeps", lambda: self.ask("EXISTS", "_kombu.binding.left") == 0)
        self.assertEqual(self.ask("SCARD", "_kombu.binding.shared"), 2)
        self.assertEqual(self.ask("SCARD", "_kombu.binding.fresh"), 1)
        self.assertEqual(sorted(self.ask("ZRANGE", DEADLINES, 0, -1)), [b"fresh", b"own"])
        self.assert_an_hour_ahead("own")


if __name__ == "__main__":
    unittest.main()
