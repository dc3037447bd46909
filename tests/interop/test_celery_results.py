"""Results of tasks without a worker of ours: keyrail writes and Celery's AsyncResult reads, and the other way round."""

from __future__ import annotations

import json
import subprocess
import unittest
from typing import Any

from support import HERE, PATIENCE, InteropCase, Process, peer_python, until


class Results(InteropCase):
    """Celery 5.7.0 is the other side."""

    def command(self, verb: str, *args: Any) -> list[str]:
        return [peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, verb, json.dumps(args)]

    def celery(self, verb: str, *args: Any) -> Any:
        """Has celery_caller.py do it; what it printed."""
        done = subprocess.run(self.command(verb, *args), capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def waiting(self, task_id: str) -> Process:
        """A Celery that waits for this result, subscribed to its announcement."""
        process: Process = self.enterContext(Process(*self.command("result_of", task_id)))
        until("it listens", lambda: self.ask("PUBSUB", "NUMSUB", f"celery-task-meta-{task_id}")[1] == 1)
        return process

    def test_celery_gets_what_keyrail_writes(self) -> None:
        for task_id, flags, status, kind, result in [
            ("a", ["--success", '{"total": [1, "é", null, 2.5]}'], "SUCCESS", "dict", {"total": [1, "é", None, 2.5]}),
            ("b", ["--failure", "ValueError: below zero"], "FAILURE", "ValueError", "below zero"),
            ("c", ["--failure", "no paper left"], "FAILURE", "Exception", "no paper left"),
        ]:
            waiting = self.waiting(task_id)
            self.keyrail("result", task_id, *flags)
            self.assertEqual(waiting.wait(), 0, waiting.out + waiting.err)
            self.assertEqual(waiting.lines(), [{"status": status, "ready": True, "type": kind, "result": result, "done": True}])
            self.assertGreater(self.ask("TTL", f"celery-task-meta-{task_id}"), 86_000)

    def test_celery_sees_how_far_a_task_is(self) -> None:
        self.assertEqual(self.celery("state_of", "t"), {"status": "PENDING", "ready": False, "info": None})
        self.keyrail("result", "t", "--status", "PROGRESS", "--about", '{"done": 40}', "--expires", "60")
        self.assertEqual(self.celery("state_of", "t"), {"status": "PROGRESS", "ready": False, "info": {"done": 40}})
        self.assertLessEqual(self.ask("TTL", "celery-task-meta-t"), 60)

    def test_keyrail_reads_what_celery_writes(self) -> None:
        self.celery("store", "done", {"x": [1, 2]}, "SUCCESS")
        result = json.loads(self.keyrail("result", "done").stdout)
        self.assertEqual((result["status"], result["result"]), ("SUCCESS", {"x": [1, 2]}))
        self.celery("store", "failed", "nope", "FAILURE")
        result = json.loads(self.keyrail("result", "failed", status=1).stdout)
        self.assertEqual(result["result"], {"exc_type": "ValueError", "exc_message": ["nope"], "exc_module": "builtins"})
        # Waiting hears the announcement.
        waiting = self.keyrail_process("result", "later", "--wait", "30")
        until("it listens", lambda: self.ask("PUBSUB", "NUMPAT") == 1)
        self.celery("store", "later", 5, "SUCCESS")
        self.assertEqual(waiting.wait(), 0, waiting.out + waiting.err)
        self.assertEqual(json.loads(waiting.out)["result"], 5)

    def test_what_has_succeeded_stays_so_on_both_sides(self) -> None:
        self.keyrail("result", "t", "--success", "1")
        self.celery("store", "t", "late", "FAILURE")
        refused = self.keyrail("result", "t", "--failure", "ValueError: late", status=1)
        self.assertIn("has succeeded already", refused.stderr)
        self.assertEqual(json.loads(self.keyrail("result", "t").stdout)["result"], 1)

    def test_what_cannot_be_read_is_named(self) -> None:
        self.assertIn("`t` has no result", self.keyrail("result", "t", status=1).stderr)
        self.assertIn("`t` has no result", self.keyrail("result", "t", "--wait", "0.2", status=1).stderr)
        self.ask("SET", "celery-task-meta-t", "\x80\x04N.")
        for flags in ([], ["--success", "1"]):
            self.assertIn("`celery-task-meta-t` cannot be read", self.keyrail("result", "t", *flags, status=1).stderr)
        self.assertIn("is no JSON", self.keyrail("result", "t", "--success", "{", status=2).stderr)
        self.keyrail("result", "t", "--success", "1", "--failure", "x", status=2)
        self.keyrail("result", "t", "--about", "1", status=2)


if __name__ == "__main__":
    unittest.main()
