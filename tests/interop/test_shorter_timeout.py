"""A Kombu whose visibility timeout is shorter than keyrail's restores what a living keyrail consumer holds."""

from __future__ import annotations

import time
import unittest

from support import InteropCase, Peer, Process

# keyrail's peer renews what it holds three times in an hour.
KOMBUS_TIMEOUT = {"visibility_timeout": 1}


class Kombu57(InteropCase):
    """Kombu 5.7.0."""

    kombu = "57"

    def setUp(self) -> None:
        super().setUp()
        self.taken = 0
        self.library = Peer("library")
        self.addCleanup(self.library.stop)
        self.run_peer(self.kombu, "publish", messages=[{"body": "work", "routing_key": "q"}])

    def take(self, prefetch: int) -> bytes:
        """Takes it in keyrail; the name of its delivery."""
        taken = self.library("take", url=self.redis.url, queue="q", prefetch=prefetch)
        self.assertEqual((taken["body"], taken["redelivered"]), ("work", self.taken > 0))
        self.taken += 1
        names = self.ask("HKEYS", "unacked")
        self.assertEqual(len(names), 1)
        return names[0]

    def kombu_consumes(self, queue: str) -> Process:
        # Overdue to Kombu, which compares with its own clock.
        time.sleep(1.2)
        return self.peer(self.kombu, "consume", count=1, exchange="", type="direct", queue=queue, key=queue,
                         transport_options=KOMBUS_TIMEOUT)

    def assert_nothing_is_left(self) -> None:
        self.assertEqual(self.ask("EXISTS", "q", "unacked", "unacked_index"), 0)

    def test_kombu_takes_it_over_and_the_late_ack_says_so(self) -> None:
        self.take(prefetch=1)
        consumer = self.kombu_consumes("q")
        _, again = consumer.wait_lines(2)
        self.assertEqual((again["body"], again["headers"].get("redelivered")), ("work", True))
        self.assertEqual(consumer.wait(), 0)
        self.assertIs(self.library("settle"), False)
        self.assert_nothing_is_left()

    def test_it_comes_again_and_the_late_ack_leaves_the_new_delivery_alone(self) -> None:
        first = self.take(prefetch=2)
        # This one only restores: nothing comes to its own queue.
        kombu = self.kombu_consumes("other")
        again = self.take(prefetch=2)
        kombu.stop()
        self.assertNotEqual(again, first)
        self.assertIs(self.library("settle"), False)
        self.assertEqual(self.ask("HKEYS", "unacked"), [again])
        self.assertIs(self.library("settle"), True)
        self.assert_nothing_is_left()


class Kombu56(Kombu57):
    """Kombu 5.6.2."""

    kombu = "56"


if __name__ == "__main__":
    unittest.main()
