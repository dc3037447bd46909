"""keyrail as a Celery worker: a real Celery sends it tasks, asks it, and listens to its events."""

from __future__ import annotations

import unittest

from support import HERE, Process, peer_python, until
from worker_case import WorkerCase


class KeyrailWorker(WorkerCase):
    """What the caller gets, and what remote control says."""

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

    def test_time_limits_are_kept(self) -> None:
        """The caller raises what a worker of Celery's makes it raise."""
        hard, soft, added = self.caller("call", ["shop.wait", [], {}, {"time_limit": 0.5}],
                                        ["shop.wait", [], {}, {"soft_time_limit": 0.5}],
                                        ["shop.add", [1], {}, {"time_limit": 30, "soft_time_limit": 20}])
        self.assertEqual((hard["status"], hard["type"], hard["result"]),
                         ("FAILURE", "TimeLimitExceeded", "TimeLimitExceeded(0.5,)"))
        self.assertEqual((soft["status"], soft["type"], soft["result"]),
                         ("FAILURE", "SoftTimeLimitExceeded", "SoftTimeLimitExceeded()"))
        self.assertEqual(added, {"status": "SUCCESS", "result": 1})
        self.worker.until("it says so", lambda: "task `shop.wait` is stopped: `" in self.worker.err)
        self.assert_nothing_unacked()

    def test_remote_control_is_answered(self) -> None:
        [ping, registered, queues, stats] = self.caller("inspect", "ping", "registered", "active_queues", "stats")
        self.assertEqual(ping, {"keyrail@test": {"ok": "pong"}})
        self.assertEqual(registered, {"keyrail@test": ["shop.add", "shop.fail", "shop.wait"]})
        self.assertEqual(queues["keyrail@test"], [self.caller("queue")])
        self.assertEqual(stats["keyrail@test"]["total"], {})
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
