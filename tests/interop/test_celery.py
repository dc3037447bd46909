"""A real Celery worker runs tasks that keyrail published."""

from __future__ import annotations

import json
import os
import unittest

from support import HERE, InteropCase, Process, peer_python


class Celery57(InteropCase):
    """Celery 5.7.0 on Kombu 5.7.0."""

    def setUp(self) -> None:
        super().setUp()
        os.environ["KEYRAIL_TEST_REDIS"] = self.redis.url
        self.addCleanup(os.environ.pop, "KEYRAIL_TEST_REDIS")
        self.worker = self.enterContext(Process(
            peer_python("57"), "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo",
            "--loglevel", "info", "--without-gossip", "--without-mingle", cwd=HERE))
        self.worker.until("the worker is ready", lambda: " ready." in self.worker.err + self.worker.out)

    def test_a_task_runs_and_its_result_is_in_redis(self) -> None:
        done = self.keyrail("publish", "--task", "shop.add", "--args", "[2, 3]", "--wait", "30", "--json")
        answer = json.loads(done.stdout)
        self.assertEqual(answer["queues"], ["celery"])
        self.assertEqual((answer["result"]["status"], answer["result"]["result"]), ("SUCCESS", 5))
        stored = json.loads(self.ask("GET", f"celery-task-meta-{answer['taskId']}"))
        self.assertEqual((stored["status"], stored["result"]), ("SUCCESS", 5))

    def test_arguments_with_names(self) -> None:
        done = self.keyrail("publish", "--task", "shop.add", "--kwargs", '{"x": 20, "y": 3}', "--wait", "30",
                            "--task-id", "named", "--json")
        answer = json.loads(done.stdout)
        self.assertEqual((answer["taskId"], answer["result"]["result"]), ("named", 23))

    def test_a_task_that_fails_is_a_failure_here_too(self) -> None:
        # Python's whole numbers have no end: only to the last digit the sum is 5.
        done = self.keyrail("publish", "--task", "shop.add", "--args",
                            "[12345678901234567890123, -12345678901234567890118]", "--wait", "30", "--json")
        self.assertEqual(json.loads(done.stdout)["result"]["result"], 5)
        done = self.keyrail("publish", "--task", "shop.fail", "--wait", "30", "--json", status=1)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["result"]["status"], "FAILURE")
        self.assertEqual(answer["result"]["result"]["exc_type"], "ValueError")


if __name__ == "__main__":
    unittest.main()
