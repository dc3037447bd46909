"""Flower, the real one, watches a `keyrail worker`: what its HTTP interface and its pages say of it."""

from __future__ import annotations

import json
import os
import re
import unittest
import urllib.request
from typing import Any
from unittest.mock import patch

from support import PATIENCE, Process, peer_python, until
from worker_case import NODE, WorkerCase

# Flower asks for the events of tasks every five seconds; here it is less patient.
FLOWER = """
import sys
from celery.__main__ import main
from flower.events import Events
Events.events_enable_interval = 250
sys.exit(main())
"""


class Flower(WorkerCase):
    """Flower starts after the worker, and finds it by itself."""

    def setUp(self) -> None:
        super().setUp()
        # An API without a login is for tests alone.
        self.enterContext(patch.dict(os.environ, FLOWER_UNAUTHENTICATED_API="1"))
        self.flower = self.enterContext(Process(
            peer_python("57"), "-c", FLOWER, "-b", self.redis.url, "--result-backend", self.redis.url, "flower",
            "--address=127.0.0.1", "--port=0", "--inspect_timeout=500", cwd=self.redis.folder))
        self.base = self.flower.until("Flower says where it listens", lambda: re.search(
            r"Visit me at (http://127\.0\.0\.1:\d+)", self.flower.err)).group(1)
        self.flower.until("Flower has the worker on its list", lambda: self.get("workers?status=1").get(NODE))
        until("Flower listens to the events of tasks",
              lambda: self.inspect().get("conf", {}).get("worker_send_task_events"))

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base}/{path}", timeout=PATIENCE) as answer:
            return answer.read().decode()

    def get(self, path: str) -> Any:
        return json.loads(self.page(f"api/{path}"))

    def inspect(self) -> dict[str, Any]:
        """What Flower has heard of the worker, asked anew."""
        return self.get(f"workers?refresh=1&workername={NODE}").get(NODE, {})

    def tasks(self) -> dict[str, list[dict[str, Any]]]:
        """The tasks that Flower has seen, by name."""
        by_name: dict[str, list[dict[str, Any]]] = {}
        for task in self.get("tasks").values():
            by_name.setdefault(task["name"], []).append(task)
        return by_name

    def test_it_is_listed_with_all_it_has(self) -> None:
        self.caller("send", *[["shop.wait", [n], {"slow": True}] for n in range(3)],
                    ["shop.add", [1], {}, {"countdown": 3000}])
        told = until("the worker says what it has in hand", lambda: self.in_hand(2, 1, 1))
        self.assertEqual(told["registered"], ["shop.add", "shop.fail", "shop.wait"])
        self.assertEqual([queue["name"] for queue in told["active_queues"]], ["celery"])
        stats = told["stats"]
        self.assertEqual(stats["pid"], self.worker.child.pid)
        self.assertEqual(stats["pool"], {"implementation": "keyrail", "max-concurrency": 2, "active": 2})
        self.assertEqual(stats["total"], {"shop.wait": 2})
        # Four for each that may run, and the one that is not yet due.
        self.assertEqual(stats["prefetch_count"], 9)
        self.assertEqual(told["revoked"], [])
        self.assertEqual((told["conf"]["worker_concurrency"], told["conf"]["task_acks_late"]), (2, True))

        seen = [*told["active"], *told["reserved"]]
        self.assertEqual({task["name"] for task in seen}, {"shop.wait"})
        for task in told["active"]:
            self.assertEqual((task["hostname"], task["worker_pid"]), (NODE, self.worker.child.pid))
            # Flower asks for the texts that are safe to show.
            self.assertIn(task["args"], ("[0]", "[1]", "[2]"))
            self.assertEqual(task["kwargs"], "{'slow': True}")
            self.assertGreater(task["time_start"], 1_700_000_000)
            self.assertEqual(task["delivery_info"],
                             {"exchange": "", "routing_key": "celery", "priority": 0, "redelivered": False})
        [waiting] = told["reserved"]
        self.assertIn(waiting["args"], ([0], [1], [2]))
        self.assertEqual((waiting["kwargs"], waiting["time_start"]), ({"slow": True}, None))
        [later] = told["scheduled"]
        self.assertEqual((later["request"]["name"], later["request"]["args"]), ("shop.add", [1]))
        self.assertRegex(later["eta"], r"^\d{4}-\d\d-\d\dT")
        page = self.page(f"worker/{NODE}")
        for shown in ("shop.fail", "Max concurrency", "worker_concurrency", later["request"]["id"], waiting["id"]):
            self.assertTrue(shown in page, f"`{shown}` is not on the worker's page")
        self.let_go()
        until("what ran is no longer in its hands", lambda: self.in_hand(0, 0, 1))

    def in_hand(self, active: int, reserved: int, scheduled: int) -> dict[str, Any] | None:
        """What the worker says, if it holds so many."""
        told = self.inspect()
        counts = [len(told.get(method, ())) for method in ("active", "reserved", "scheduled")]
        return told if counts == [active, reserved, scheduled] else None

    def test_its_tasks_are_followed_to_their_end(self) -> None:
        self.caller("call", ["shop.add", [2, 3], {"x": 4}], ["shop.fail", [], {}])

        def ended() -> dict[str, list[dict[str, Any]]] | None:
            tasks = self.tasks()
            states = [task["state"] for name in ("shop.add", "shop.fail") for task in tasks.get(name, [])]
            return tasks if states == ["SUCCESS", "FAILURE"] else None

        tasks = until("Flower sees both end", ended)
        [added], [failed] = tasks["shop.add"], tasks["shop.fail"]
        self.assertEqual((added["worker"], added["result"], added["args"], added["kwargs"]),
                         (NODE, "9", "[2, 3]", "{'x': 4}"))
        self.assertTrue(0 < added["runtime"] < PATIENCE, added)
        self.assertTrue(added["received"] <= added["started"] <= added["succeeded"], added)
        self.assertIn("exit status: 3", failed["exception"])
        self.assertIn("no paper left", failed["traceback"])
        info = self.get(f"task/info/{added['uuid']}")
        self.assertEqual({name: info[name] for name in ("name", "state", "result", "runtime", "worker")},
                         {"name": "shop.add", "state": "SUCCESS", "result": "9", "runtime": added["runtime"],
                          "worker": NODE})
        for task, shown in ((added, "shop.add"), (failed, "no paper left")):
            self.assertTrue(shown in self.page(f"task/{task['uuid']}"), f"`{shown}` is not on the task's page")

    def test_it_goes_offline_when_it_is_stopped(self) -> None:
        self.assertEqual(self.get("workers?status=1"), {NODE: True})
        self.worker.child.terminate()
        self.assertEqual(self.worker.wait(), 0, self.worker.err)
        # Long before its heartbeats would be missed, which takes a minute.
        until("Flower sees it go", lambda: self.get("workers?status=1") == {NODE: False}, patience=30)


if __name__ == "__main__":
    unittest.main()
