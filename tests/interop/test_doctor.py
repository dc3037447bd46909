"""`keyrail doctor` on what real Kombus and a real Celery leave in Redis."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from typing import Any

from support import HERE, PATIENCE, InteropCase, Process, peer_python, until

SEP = b"\x06\x16"
TABLE = "_kombu.binding.orders"
ORDERS: dict[str, Any] = {"exchange": "orders", "type": "topic", "queue": "q", "key": "a.*"}


class DoctorCase(InteropCase):
    """What is found, by code."""

    def examine(self, status: int) -> dict[str, list[dict[str, Any]]]:
        """Examines, with this exit status; the findings by their codes."""
        found: dict[str, list[dict[str, Any]]] = {}
        for finding in json.loads(self.keyrail("doctor", "--json", status=status).stdout)["findings"]:
            found.setdefault(finding["code"], []).append(finding)
        return found

    def repair(self, codes: str) -> str:
        """Repairs; the record."""
        repaired = json.loads(self.keyrail("doctor", "--repair", codes, "--json").stdout)
        self.assertTrue(repaired["findings"], codes)
        for finding in repaired["findings"]:
            self.assertEqual(finding["changed"], 0, finding)
        return repaired["record"]

    def publish(self, kombu: str, key: str) -> Process:
        peer = self.peer(kombu, "publish", exchange="orders", type="topic", messages=[{"body": key, "routing_key": key}])
        peer.wait()
        return peer


class DoctorAndKombu(DoctorCase):
    """Kombu 5.6.2 and 5.7.0."""

    def test_the_twins_of_an_upgrade(self) -> None:
        self.run_peer("56", "bind", **ORDERS)
        self.assertEqual(list(self.examine(0)), ["old-dialect"])
        self.run_peer("57", "bind", **ORDERS)
        self.assertEqual(list(self.examine(1)), ["stale-twin"])
        for kombu in ("56", "57"):
            self.publish(kombu, "a.b.c")
        self.assertEqual(self.ask("LLEN", "q"), 2)
        record = self.repair("all")
        self.assertEqual(self.examine(0), {})
        for kombu in ("56", "57"):
            self.publish(kombu, "a.b.c")
            self.publish(kombu, "a.b")
        self.assertEqual(self.ask("LLEN", "q"), 4)
        self.keyrail("doctor", "--undo", record)
        self.publish("57", "a.b.c")
        self.assertEqual(self.ask("LLEN", "q"), 5)

    def test_a_queue_that_kombu_deletes_leaves_the_row_with_amqps_text(self) -> None:
        for kombu in ("56", "57"):
            self.keyrail("bind", "-x", "orders", "--type", "topic", "-k", "a.#", "-q", "q", "--dialect", "amqp")
            self.run_peer(kombu, "bind", **{**ORDERS, "key": "a.#"})
            self.assertEqual(list(self.examine(0)), ["amqp-twin"])
            self.run_peer(kombu, "delete", **{**ORDERS, "key": "a.#"})
            [row] = self.ask("SMEMBERS", TABLE)
            self.assertIn(rb"\Z", row)
            [finding] = self.examine(0)["amqp-orphan"]
            self.assertEqual(finding["severity"], "info")
            record = self.repair("amqp-orphan")
            self.assertEqual(self.ask("EXISTS", TABLE, "_kombu.binding_permanent.orders"), 0)
            self.keyrail("doctor", "--undo", record)
            self.assertEqual(self.ask("SMEMBERS", TABLE), [row])
            # As long as somebody may still want a message of it, it is not an orphan.
            self.publish(kombu, "a.b")
            self.assertEqual(self.ask("LLEN", "q"), 1)
            self.assertEqual(list(self.examine(0)), [])
            self.ask("FLUSHALL")

    def test_rows_on_which_kombu_raises(self) -> None:
        rows = {"malformed-row": b"no row", "unexecutable-row": b"*a" + SEP + b"^*a$" + SEP + b"q"}
        for kombu in ("56", "57"):
            for code, row in rows.items():
                self.run_peer("57", "bind", **ORDERS)
                self.ask("SADD", TABLE, row)
                self.assertNotEqual(self.publish(kombu, "a.b").child.returncode, 0)
                self.assertEqual(self.ask("EXISTS", "q"), 0)
                [finding] = self.examine(1)[code]
                self.assertEqual(finding["severity"], "error")
                self.repair("all")
                peer = self.publish(kombu, "a.b")
                self.assertEqual(peer.child.returncode, 0, peer.err)
                self.assertEqual(self.ask("LLEN", "q"), 1)
                self.assertEqual(self.examine(0), {})
                self.ask("FLUSHALL")

    def test_a_delivery_without_a_time_is_redelivered(self) -> None:
        for kombu in ("56", "57"):
            self.run_peer(kombu, "bind", **ORDERS)
            self.publish(kombu, "a.b")
            holder = self.peer(kombu, "hold", **ORDERS)
            holder.wait_lines(2)
            holder.child.kill()
            holder.child.wait()
            self.ask("DEL", "unacked_index")
            self.assertEqual(list(self.examine(1))[0], "unindexed")
            self.repair("unindexed")
            [_, message] = self.run_peer(kombu, "consume", count=1, transport_options={"visibility_timeout": 1}, **ORDERS)
            self.assertEqual(message["body"], "a.b")
            self.assert_nothing_unacked()
            self.ask("FLUSHALL")

    def test_a_record_on_which_the_restore_of_kombu_ends(self) -> None:
        self.run_peer("57", "bind", **ORDERS)
        self.publish("57", "a.b")
        holder = self.peer("57", "hold", **ORDERS)
        [_, held] = holder.wait_lines(2)
        holder.child.kill()
        holder.child.wait()
        # The youngest comes first, and Kombu raises before it comes to the message.
        self.ask("HSET", "unacked", "bad", "no JSON")
        self.ask("ZADD", "unacked_index", 2, "bad")
        self.ask("ZADD", "unacked_index", 1, held["held"])
        options = {"count": 1, "transport_options": {"visibility_timeout": 1}, **ORDERS}
        self.assertNotEqual(self.peer("57", "consume", **options).wait(), 0)
        self.repair("unreadable-record")
        self.assertEqual(self.ask("LRANGE", "keyrail.quarantine.unacked", 0, -1), [b"no JSON"])
        self.ask("DEL", "unacked_mutex")
        [_, message] = self.run_peer("57", "consume", **options)
        self.assertEqual(message["body"], "a.b")

    def test_poison_is_put_aside_and_the_others_are_consumed(self) -> None:
        self.run_peer("57", "bind", **ORDERS)
        self.ask("LPUSH", "q", "{}")
        self.publish("57", "a.b")
        self.assertNotEqual(self.peer("57", "consume", count=1, **ORDERS).wait(), 0)
        self.ask("LPUSH", "q", "{}")
        self.publish("57", "a.c")
        self.repair("all")
        [_, *messages] = self.run_peer("57", "consume", count=2, **ORDERS)
        self.assertEqual(sorted(message["body"] for message in messages), ["a.b", "a.c"])
        self.assertEqual(self.ask("LLEN", "keyrail.quarantine.q"), 1)

    def test_a_table_that_kombu_57_will_delete(self) -> None:
        self.run_peer("56", "bind", **ORDERS)
        self.run_peer("57", "expire", exchange="orders", queue="eq", expires=30)
        self.assertEqual(sorted(self.examine(1)), ["missing-permanent", "old-dialect"])
        self.repair("all")
        self.ask("ZADD", "_kombu.binding_deadlines", 1, "orders")
        self.run_peer("57", "expire", exchange="other", queue="other", expires=30, sweep=True)
        self.assertEqual(self.ask("SCARD", TABLE), 2)


class DoctorAndCelery(DoctorCase):
    """Celery 5.7.0, a worker and a caller."""

    def setUp(self) -> None:
        super().setUp()
        os.environ["KEYRAIL_TEST_REDIS"] = self.redis.url
        self.addCleanup(os.environ.pop, "KEYRAIL_TEST_REDIS")
        self.worker = self.enterContext(Process(
            peer_python("57"), "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo",
            "--loglevel", "info", cwd=HERE))
        self.worker.until("the worker is ready", lambda: " ready." in self.worker.err + self.worker.out)
        # It says so before it has subscribed to its remote control.
        until("it listens", lambda: self.ask("PUBSUB", "NUMPAT") > 0)

    def caller(self, verb: str, *args: Any) -> Any:
        command = [peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, verb, json.dumps(args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_a_healthy_deployment_has_no_warning(self) -> None:
        """A Celery worker, a consumer of Kombu, and consumers and publishers of keyrail."""
        self.keyrail("bind", "-x", "orders", "--type", "topic", "-k", "a.#", "-q", "ours", "--dialect", "amqp")
        consumer = self.peer("57", "consume", count=9, **ORDERS)
        consumer.wait_lines(1)
        ours = self.keyrail_process("consume", "-q", "ours")
        self.keyrail("publish", "--task", "shop.add", "--args", "[2, 3]", "--wait", "30")
        self.caller("call", ["shop.add", [1, 2], {}])
        for _ in range(4):
            self.keyrail("publish", "-x", "orders", "-k", "a.b", "--body", "hello")
            self.publish("57", "a.b")
            found = self.examine(0)
            self.assertEqual({finding["severity"] for code in found.values() for finding in code} - {"info"}, set(), found)
        consumer.wait_lines(9)
        ours.until("all came", lambda: ours.out.count("hello") + ours.out.count("a.b") >= 8)
        self.assertEqual(set(self.examine(0)) - {"reply-rows", "stale-deadline", "amqp-orphan"}, set())

    def test_what_an_inspect_that_was_killed_leaves_behind(self) -> None:
        replies = "_kombu.binding.reply.celery.pidbox"
        asker = self.enterContext(Process(
            peer_python("57"), str(HERE / "celery_caller.py"), self.redis.url, "inspect_nobody", "[]"))
        asker.until("it waits", lambda: self.ask("SCARD", replies) == 1)
        asker.child.kill()
        asker.child.wait()
        [row] = self.ask("SMEMBERS", replies)
        [finding] = self.examine(0)["reply-rows"]
        self.assertEqual(finding["severity"], "info")
        record = self.repair("reply-rows")
        self.assertEqual(self.ask("EXISTS", replies), 0)
        self.keyrail("doctor", "--undo", record)
        self.assertEqual(self.ask("SMEMBERS", replies), [row])
        self.repair("reply-rows")
        [answer] = self.caller("inspect", "ping")
        self.assertEqual(list(answer.values()), [{"ok": "pong"}])

    def test_the_exchanges_of_remote_control_are_known_and_that_of_tasks_is_a_guess(self) -> None:
        findings = json.loads(self.keyrail("lint", "--json").stdout)["findings"]
        guessed = [finding["culprit"]["name"] for finding in findings if finding["code"] == "guessed-type"]
        self.assertEqual(guessed, ["celery"])
        way = self.keyrail("route", "-x", "celery.pidbox", status=1)
        self.assertIn("celery.pidbox (fanout)\n└─ listens to (empty key) ─▶ ", way.stdout)
        self.assertEqual(way.stderr, "")

    def test_what_a_killed_worker_leaves_behind(self) -> None:
        self.assertNotIn("fanout-rows", self.examine(0))
        self.worker.child.kill()
        self.worker.child.wait()
        until("nobody listens", lambda: self.ask("PUBSUB", "NUMPAT") == 0)
        [finding] = self.examine(0)["fanout-rows"]
        self.assertEqual(finding["severity"], "info")
        self.repair("fanout-rows")
        self.assertEqual(self.ask("EXISTS", "_kombu.binding.celery.pidbox"), 0)


if __name__ == "__main__":
    unittest.main()
