"""The tables that a producer of keyrail keeps, while real Kombus change them."""

from __future__ import annotations

import unittest

from support import InteropCase, Peer, until

DEADLINES = "_kombu.binding_deadlines"


class Cache(InteropCase):
    def setUp(self) -> None:
        super().setUp()
        self.library = Peer("library")
        self.addCleanup(self.library.stop)

    def keep(self, exchange: str, kind: str) -> None:
        """A producer that publishes by tables that it keeps until Redis announces a change."""
        self.library("keep", url=self.redis.url, exchange=exchange, type=kind)

    def goes_to(self, key: str, queues: list[str]) -> bool:
        """Whether it publishes to these queues now."""
        return self.library("send", key=key) == queues

    def test_what_a_kombu_declares_and_deletes_is_followed(self) -> None:
        orders = {"exchange": "orders", "type": "topic"}
        self.run_peer("56", "bind", queue="billing", key="order.*.paid", **orders)
        self.keep("orders", "topic")
        self.assertTrue(self.goes_to("order.eu.paid", ["billing"]))
        self.ask("CONFIG", "RESETSTAT")
        for _ in range(20):
            self.assertTrue(self.goes_to("order.eu.paid", ["billing"]))
        self.assertNotIn(b"cmdstat_smembers", self.ask("INFO", "commandstats"))
        for kombu, queue in (("57", "audit"), ("56", "archive")):
            self.run_peer(kombu, "bind", queue=queue, key="order.#", **orders)
            both = sorted(["billing", queue])
            until("the binding is seen", lambda both=both: self.goes_to("order.eu.paid", both), 5)
            self.run_peer(kombu, "delete", queue=queue, key="order.#", **orders)
            until("the deletion is seen", lambda: self.goes_to("order.eu.paid", ["billing"]), 5)

    def test_a_table_that_a_kombu_sweeps_is_forgotten(self) -> None:
        self.run_peer("57", "expire", exchange="left", queue="eq", expires=30)
        self.keep("left", "direct")
        self.assertTrue(self.goes_to("k", ["eq"]))
        seconds, _ = self.ask("TIME")
        self.ask("ZADD", DEADLINES, int(seconds) * 1000 - 1, "left")
        self.run_peer("57", "expire", exchange="other", queue="other", expires=30, sweep=True)
        self.assertEqual(self.ask("EXISTS", "_kombu.binding.left"), 0)
        until("the sweep is seen", lambda: self.goes_to("k", []), 5)
        # A script of Kombu's writes the table anew.
        self.run_peer("57", "expire", exchange="left", queue="eq", expires=30)
        until("the binding is seen", lambda: self.goes_to("k", ["eq"]), 5)


if __name__ == "__main__":
    unittest.main()
