"""Routing keys that are no UTF-8, between keyrail and real Kombus: Python's surrogateescape in the envelope."""

from __future__ import annotations

import json
import subprocess
import time
import unittest

from support import PATIENCE, InteropCase, keyrail_bin, until

TOPIC = {"exchange": "things", "type": "topic", "queue": "ends", "key": "*.end"}
# A byte that is no UTF-8, and a character that is cut in two by the dot.
KEYS = (b"\xff.end", b"\xc3\xa9\xf0\x9f.end")


class Kombu57(InteropCase):
    """Kombu 5.7.0."""

    kombu = "57"

    def publish(self, exchange: str, key: bytes, *flags: str) -> None:
        command = [keyrail_bin(), "publish", "--redis", self.redis.url, "-x", exchange, "--body", "x", "-k", key, *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def consume(self, queue: str, *flags: str) -> dict:
        done = self.keyrail("consume", "--queue", queue, "--count", "1", "--timeout", "20", "--json", *flags)
        return json.loads(done.stdout)

    def test_kombu_takes_requeues_and_acks_what_keyrail_publishes(self) -> None:
        consumer = self.peer(self.kombu, "requeue_once", count=len(KEYS), **TOPIC)
        consumer.wait_lines(1)
        for key in KEYS:
            self.publish("things", key)
        seen = consumer.wait_lines(1 + 2 * len(KEYS))[1:]
        self.assertEqual(consumer.wait(), 0, consumer.out + consumer.err)
        for redelivered in (False, True):
            keys = {line["key"].encode("utf-8", "surrogateescape") for line in seen
                    if line["redelivered"] == redelivered}
            self.assertEqual(keys, set(KEYS))
        self.assert_nothing_unacked()
        self.assertEqual(self.ask("LLEN", "ends"), 0)

    def test_keyrail_reads_what_kombu_publishes(self) -> None:
        self.run_peer(self.kombu, "bind", **TOPIC)
        for key in KEYS:
            message = {"body": "x", "routing_key": key.decode("utf-8", "surrogateescape")}
            self.run_peer(self.kombu, "publish", exchange="things", type="topic", messages=[message])
            self.assertEqual(self.consume("ends")["routingKey"], {"hex": key.hex()})
        self.assertEqual(self.ask("EXISTS", "keyrail.quarantine.ends"), 0)
        self.assert_nothing_unacked()

    def test_what_a_killed_kombu_held_goes_back_by_its_key(self) -> None:
        holder = self.peer(self.kombu, "hold", **TOPIC)
        holder.wait_lines(1)
        # A second queue that the key does not lead to.
        self.run_peer(self.kombu, "bind", **{**TOPIC, "queue": "words", "key": "*.word"})
        self.publish("things", KEYS[0])
        holder.wait_lines(2)
        holder.child.kill()
        holder.wait()
        self.assertEqual(self.ask("HLEN", "unacked"), 1)
        time.sleep(1.2)
        restored = self.consume("ends", "--visibility-timeout", "1")
        self.assertEqual((restored["routingKey"], restored["redelivered"]), ({"hex": KEYS[0].hex()}, True))
        self.assertEqual(self.ask("EXISTS", "words"), 0)
        self.assert_nothing_unacked()

    def test_a_kombu_restores_it_too(self) -> None:
        holder = self.peer(self.kombu, "hold", **TOPIC)
        holder.wait_lines(1)
        self.publish("things", KEYS[0])
        holder.wait_lines(2)
        holder.child.kill()
        holder.wait()
        time.sleep(1.2)
        done = self.run_peer(self.kombu, "consume", count=1, transport_options={"visibility_timeout": 1}, **TOPIC)
        self.assertEqual(done[1]["key"].encode("utf-8", "surrogateescape"), KEYS[0])
        self.assert_nothing_unacked()

    def test_fanout_carries_it(self) -> None:
        fanout = {"exchange": "news", "type": "fanout", "queue": "inbox", "key": "#"}
        listener = self.peer(self.kombu, "consume", count=1, **fanout)
        listener.wait_lines(1)
        until("Kombu listens", lambda: self.ask("PUBSUB", "NUMPAT") > 0)
        self.publish("news", KEYS[0], "--type", "fanout")
        heard = listener.wait_lines(2)[1]
        self.assertEqual(heard["key"].encode("utf-8", "surrogateescape"), KEYS[0])

    def test_a_queue_of_bytes_is_refused(self) -> None:
        command = [keyrail_bin(), "publish", "--redis", self.redis.url, "--body", "x", "-k", KEYS[0]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(r"`\xff.end` is no UTF-8", done.stderr)
        self.assertEqual(self.ask("DBSIZE"), 0)


class Kombu56(Kombu57):
    """The same on Kombu 5.6.2."""

    kombu = "56"


if __name__ == "__main__":
    unittest.main()
