"""keyrail as a Celery worker: a real Celery sends it tasks, asks it, and listens to its events."""

from __future__ import annotations

import json
import stat
import subprocess
import unittest
from pathlib import Path
from typing import Any

from support import HERE, PATIENCE, InteropCase, Process, peer_python, until

ADD = """#!/usr/bin/env python3
import json, sys
args, kwargs = json.load(sys.stdin)
print(json.dumps(sum(args) + sum(kwargs.values())))
"""
FAIL = """#!/bin/sh
echo 'no paper left' >&2
exit 3
"""


class KeyrailWorker(InteropCase):
    """Celery 5.7.0 is the caller."""

    def setUp(self) -> None:
        super().setUp()
        for name, text in (("add", ADD), ("fail", FAIL)):
            path = self.redis.folder / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        folder: Path = self.redis.folder
        self.worker = self.keyrail_process(
            "worker", "--task", f"shop.add={folder / 'add'}", "--task", f"shop.fail={folder / 'fail'}",
            "--hostname", "keyrail@test", "-c", "2")
        self.worker.until("the worker is ready", lambda: "is ready" in self.worker.err)
        until("it listens", lambda: self.ask("PUBSUB", "NUMPAT") == 1)

    def caller(self, verb: str, *args: Any) -> Any:
        """Has celery_caller.py do it; what it printed."""
        command = [peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, verb, json.dumps(args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.worker.err)
        return json.loads(done.stdout)

    def test_tasks_are_run_and_answered(self) -> None:
        answers = self.caller("call", ["shop.add", [2, 3], {"x": 4}], ["shop.fail", [], {}], ["shop.unknown", [], {}],
                              ["shop.add", [1], {}, {"countdown": 0.3}], ["shop.add", [1], {}, {"expires": -10}],
                              ["shop.add", [1], {}, {"link": "shop.add"}])
        added, failed, unknown, late, expired, linked = answers
        self.assertEqual(added, {"status": "SUCCESS", "result": 9})
        self.assertEqual((failed["status"], failed["type"]), ("FAILURE", "RuntimeError"))
        self.assertIn("exit status: 3", failed["result"])
        self.assertIn("no paper left", failed["traceback"])
        self.assertEqual((unknown["status"], unknown["type"]), ("FAILURE", "NotRegistered"))
        self.assertEqual(late, {"status": "SUCCESS", "result": 1})
        self.assertEqual((expired["status"], expired["type"]), ("REVOKED", "TaskRevokedError"))
        self.assertEqual((linked["status"], linked["type"]), ("FAILURE", "NotImplementedError"))
        self.assert_nothing_unacked()
        self.assertEqual(self.ask("EXISTS", "celery"), 0)
        for key in self.ask("KEYS", "celery-task-meta-*"):
            self.assertGreater(self.ask("TTL", key), 86_000)

    def test_remote_control_is_answered(self) -> None:
        [ping, registered, queues, stats] = self.caller("inspect", "ping", "registered", "active_queues", "stats")
        self.assertEqual(ping, {"keyrail@test": {"ok": "pong"}})
        self.assertEqual(registered, {"keyrail@test": ["shop.add", "shop.fail"]})
        self.assertEqual([queue["name"] for queue in queues["keyrail@test"]], ["celery"])
        self.assertEqual(stats["keyrail@test"]["total"], {"processed": 0})
        self.assertEqual(self.caller("inspect_other"), None)

    def test_events_put_it_on_the_list_of_workers(self) -> None:
        """What Flower does: Celery's own receiver feeds Celery's own state of the cluster."""
        watcher = self.enterContext(Process(peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, "watch",
                                            "[]"))
        watcher.wait_lines(1)
        self.caller("enable_events")
        self.caller("call", ["shop.add", [2, 3], {}])
        seen = watcher.until("the task is seen to succeed", lambda: next(
            (line for line in watcher.lines()[1:] if "SUCCESS" in line["tasks"].values()), None))
        self.assertEqual(seen["workers"], {"keyrail@test": True})
        self.worker.child.terminate()
        watcher.until("it is seen to go offline",
                      lambda: watcher.lines()[-1].get("workers") == {"keyrail@test": False})
        self.assertEqual(self.worker.wait(), 0)

    def test_what_it_holds_goes_back_when_it_is_stopped(self) -> None:
        self.caller("send", ["shop.add", [1], {}, {"countdown": 3000}])
        until("it is held", lambda: self.ask("HLEN", "unacked") == 1)
        self.worker.child.terminate()
        self.assertEqual(self.worker.wait(), 0, self.worker.err)
        self.assert_nothing_unacked()
        self.assertEqual(self.ask("LLEN", "celery"), 1)

    def test_what_is_no_task_goes_to_quarantine(self) -> None:
        self.keyrail("publish", "-k", "celery", "--body", "hello")
        self.assertEqual(self.caller("pickle"), None)
        until("both are put aside", lambda: self.ask("LLEN", "keyrail.quarantine.celery") == 2)
        self.assertEqual(self.caller("call", ["shop.add", [1, 1], {}]), [{"status": "SUCCESS", "result": 2}])
        self.assert_nothing_unacked()


if __name__ == "__main__":
    unittest.main()
