"""A `keyrail worker` on a Redis of its own, and a real Celery that calls it."""

from __future__ import annotations

import json
import stat
import subprocess
from typing import Any

from support import HERE, PATIENCE, InteropCase, peer_python, until

ADD = """#!/usr/bin/env python3
import json, sys
args, kwargs = json.load(sys.stdin)
print(json.dumps(sum(args) + sum(kwargs.values())))
"""
FAIL = """#!/bin/sh
echo 'no paper left' >&2
exit 3
"""
# Ends when somebody writes a file beside it.
WAIT = """#!/bin/sh
until [ -e "$0.go" ]; do sleep 0.05; done
echo '"waited"'
"""
NODE = "keyrail@test"


class WorkerCase(InteropCase):
    """The tasks `shop.add`, `shop.fail` and `shop.wait`, two at once. Celery 5.7.0 is the caller."""

    def setUp(self) -> None:
        super().setUp()
        tasks = []
        for name, text in (("add", ADD), ("fail", FAIL), ("wait", WAIT)):
            path = self.redis.folder / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            tasks += ["--task", f"shop.{name}={path}"]
        self.worker = self.keyrail_process("worker", *tasks, "--hostname", NODE, "-c", "2")
        self.worker.until("the worker is ready", lambda: "is ready" in self.worker.err)
        until("it listens", lambda: self.ask("PUBSUB", "NUMPAT") == 1)

    def let_go(self) -> None:
        """Lets the tasks `shop.wait` end."""
        (self.redis.folder / "wait.go").touch()

    def caller(self, verb: str, *args: Any) -> Any:
        """Has celery_caller.py do it; what it printed."""
        command = [peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, verb, json.dumps(args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.worker.err)
        return json.loads(done.stdout)
