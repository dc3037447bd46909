"""keyrail and real Kombus on one Redis."""

from __future__ import annotations

import json
import time
import unittest

from support import InteropCase, until

ORDERS = {"exchange": "orders", "type": "topic", "queue": "billing", "key": "order.*.paid"}


class Kombu57(InteropCase):
    """Kombu 5.7.0."""

    kombu = "57"
    version = "5.7.0"

    def test_the_peer_is_what_it_says(self) -> None:
        self.assertEqual(self.run_peer(self.kombu, "version"), [{"kombu": self.version}])

    def test_a_kombu_consumer_receives_what_keyrail_publishes(self) -> None:
        consumer = self.peer(self.kombu, "consume", count=2, **ORDERS)
        consumer.wait_lines(1)
        sent = self.keyrail("publish", "-x", "orders", "-k", "order.eu.paid", "--json-body", '{"total": 42}',
                            "-H", "tenant=a", "-H", "n:=3", "--json")
        self.assertEqual(json.loads(sent.stdout)["queues"], ["billing"])
        self.keyrail("publish", "-x", "orders", "-k", "order.us.paid", "--body", "caf\u00e9")
        _, first, second = consumer.wait_lines(3)
        self.assertEqual(first["body"], {"total": 42})
        self.assertEqual(first["headers"], {"tenant": "a", "n": 3})
        self.assertEqual((first["exchange"], first["key"]), ("orders", "order.eu.paid"))
        self.assertEqual(second["body"], "caf\u00e9")
        self.assertNotEqual(first["tag"], second["tag"])
        self.assertEqual(consumer.wait(), 0)
        self.assert_nothing_unacked()

    def test_a_message_that_matches_nothing_reaches_nobody_and_says_so(self) -> None:
        self.run_peer(self.kombu, "bind", **ORDERS)
        before = sorted(self.ask("KEYS", "*"))
        lost = self.keyrail("publish", "-x", "orders", "-k", "order.eu.created", "--body", "x", status=1)
        self.assertEqual(lost.stdout, "")
        self.assertEqual(lost.stderr,
                         "keyrail: unroutable: nobody gets `order.eu.created` from exchange `orders`\n")
        self.assertEqual(sorted(self.ask("KEYS", "*")), before)

    def test_copies_have_delivery_tags_of_their_own(self) -> None:
        self.run_peer(self.kombu, "bind", **ORDERS)
        self.run_peer(self.kombu, "bind", **{**ORDERS, "queue": "audit", "key": "order.#"})
        self.keyrail("publish", "-x", "orders", "-k", "order.eu.paid", "--body", "x")
        tags = {json.loads(self.ask("LINDEX", queue, 0))["properties"]["delivery_tag"]
                for queue in ("billing", "audit")}
        self.assertEqual(len(tags), 2)

    def test_keyrail_consumes_in_priority_order_and_acks(self) -> None:
        messages = [{"body": {"n": n}, "routing_key": "order.eu.paid", "priority": priority}
                    for n, priority in enumerate([9, 3, 0, 6, 0])]
        self.run_peer(self.kombu, "bind", **ORDERS)
        self.run_peer(self.kombu, "publish", exchange="orders", type="topic", messages=messages)
        done = self.keyrail("consume", "--queue", "billing", "--count", "5", "--timeout", "20", "--json")
        received = [json.loads(line) for line in done.stdout.splitlines()]
        # 0 is taken first, and within a priority the older one.
        self.assertEqual([message["body"]["n"] for message in received], [2, 4, 1, 3, 0])
        self.assertEqual([message["properties"]["priority"] for message in received], [0, 0, 3, 6, 9])
        self.assertEqual({message["exchange"] for message in received}, {"orders"})
        self.assertEqual(self.ask("EXISTS", "unacked", "unacked_index"), 0)
        self.assertEqual(self.ask("EXISTS", "billing"), 0)

    def test_a_delivery_is_registered_before_it_is_acked(self) -> None:
        # A reader that never reads holds keyrail between taking and acking, once the pipe is full.
        consumer = self.keyrail_process("consume", "--queue", "big", "--json")
        message = {"body": "x", "times": 200_000, "routing_key": "big"}
        self.run_peer(self.kombu, "publish", messages=[message] * 3)
        fields = until("a delivery is registered", lambda: self.ask("HKEYS", "unacked"))
        self.assertEqual(len(fields), 1)
        self.assertTrue(fields[0].endswith(b"#big"), fields)
        envelope, exchange, key = json.loads(self.ask("HGET", "unacked", fields[0]))
        self.assertEqual((exchange, key), ("", "big"))
        self.assertEqual(envelope["properties"]["delivery_info"]["routing_key"], "big")
        self.assertEqual(self.ask("ZCARD", "unacked_index"), 1)
        # Told to stop it gives back what it could not print, to be taken next and marked.
        consumer.child.terminate()
        self.assert_nothing_unacked()
        self.assertEqual(self.ask("LLEN", "big"), 3)
        following = json.loads(self.ask("LINDEX", "big", -1))
        self.assertTrue(following["headers"]["redelivered"])
        self.assertTrue(following["properties"]["delivery_info"]["redelivered"])

    def test_what_a_killed_keyrail_held_is_restored_by_kombu_to_its_queue_alone(self) -> None:
        # Two queues get a copy each; keyrail holds that of one when it is killed.
        for queue in ("big", "audit"):
            self.run_peer(self.kombu, "bind", exchange="orders", type="topic", queue=queue, key="#")
        message = {"body": "x", "times": 200_000, "routing_key": "order"}
        self.run_peer(self.kombu, "publish", exchange="orders", type="topic", messages=[message] * 3)
        consumer = self.keyrail_process("consume", "--queue", "big", "--json")
        until("a delivery is held", lambda: self.ask("HLEN", "unacked") == 1)
        until("no more is taken", lambda: self.ask("LLEN", "big") <= 2)
        consumer.child.kill()
        consumer.wait()
        waiting, held = self.ask("LLEN", "big"), self.ask("HLEN", "unacked")
        self.assertEqual(held, 1)
        # Another program, with another queue and without knowledge of the exchange.
        time.sleep(1.5)
        self.peer(self.kombu, "consume", count=1, exchange="other", type="direct", queue="other",
                  transport_options={"visibility_timeout": 1})
        until("Kombu restores it", lambda: self.ask("LLEN", "big") == waiting + 1)
        self.assert_nothing_unacked()
        self.assertEqual((self.ask("LLEN", "audit"), self.ask("LLEN", "other")), (3, 0))

    def test_the_default_exchange_both_ways(self) -> None:
        self.keyrail("publish", "-k", "plain", "--body", "to Kombu", "--priority", "3")
        received = self.run_peer(self.kombu, "consume", count=1, exchange="", type="direct", queue="plain",
                                 key="plain")
        self.assertEqual([line["body"] for line in received[1:]], ["to Kombu"])
        self.run_peer(self.kombu, "publish", messages=[{"body": "to keyrail", "routing_key": "plain"}])
        done = self.keyrail("consume", "--queue", "plain", "--count", "1", "--timeout", "20", "--json")
        self.assertEqual(json.loads(done.stdout)["body"], "to keyrail")
        self.assert_nothing_unacked()

    def test_kombu_publishes_by_a_binding_that_keyrail_made(self) -> None:
        self.keyrail("bind", "-x", "events", "--type", "topic", "-k", "a.*.c", "-q", "ours")
        messages = [{"body": "yes", "routing_key": "a.b.c"}, {"body": "no", "routing_key": "a.b.x.c"}]
        self.run_peer(self.kombu, "publish", exchange="events", type="topic", messages=messages)
        done = self.keyrail("consume", "--queue", "ours", "--count", "1", "--timeout", "20", "--json")
        self.assertEqual(json.loads(done.stdout)["body"], "yes")
        self.assertEqual(self.ask("EXISTS", "ours"), 0)

    def test_a_binding_of_dialect_amqp_routes_as_rabbitmq_even_for_kombu(self) -> None:
        self.keyrail("bind", "-x", "events", "--type", "topic", "-k", "a.#", "-q", "ours",
                     "--dialect", "amqp")
        # Kombu's own `#` wants at least one word after the dot.
        messages = [{"body": "bare", "routing_key": "a"}, {"body": "other", "routing_key": "ab"}]
        self.run_peer(self.kombu, "publish", exchange="events", type="topic", messages=messages)
        self.assertEqual(self.ask("LLEN", "ours"), 1)
        self.keyrail("publish", "-x", "events", "-k", "a", "--body", "x")
        self.assertEqual(self.ask("LLEN", "ours"), 2)

    def test_keyrails_rows_are_kombus_rows(self) -> None:
        self.run_peer(self.kombu, "bind", **ORDERS)
        rows = self.ask("SMEMBERS", "_kombu.binding.orders")
        self.keyrail("bind", "-x", "orders", "-k", "order.*.paid", "-q", "billing",
                     "--dialect", f"kombu{self.kombu}")
        self.assertEqual(self.ask("SMEMBERS", "_kombu.binding.orders"), rows)
        # Without its row here, Kombu 5.7 may sweep the whole table away.
        self.assertEqual(self.ask("SMEMBERS", "_kombu.binding_permanent.orders"), rows)

    def test_fanout_from_keyrail_to_kombu(self) -> None:
        consumer = self.peer(self.kombu, "consume", count=1, exchange="news", type="fanout", queue="inbox")
        consumer.wait_lines(1)
        # The subscription is another connection's business: wait until Redis knows it.
        until("Kombu subscribes", lambda: self.ask("PUBSUB", "NUMPAT") == 1)
        # Nothing in Redis tells that this is a fanout exchange, and keyrail says that it guesses.
        lost = self.keyrail("publish", "-x", "news", "--body", "lost", "--json")
        self.assertEqual(json.loads(lost.stdout)["guessed"], ["news"])
        self.assertIn("give --type news=fanout", lost.stderr)
        sent = self.keyrail("publish", "-x", "news", "--type", "fanout", "--body", "hello", "--json")
        self.assertEqual(json.loads(sent.stdout),
                         {"outcome": "routed", "queues": [], "receivers": 1})
        self.assertEqual(consumer.wait_lines(2)[1]["body"], "hello")

    def test_fanout_from_kombu_to_keyrail(self) -> None:
        consumer = self.keyrail_process("consume", "--fanout", "news", "--count", "1", "--json")
        until("keyrail subscribes", lambda: self.ask("PUBSUB", "NUMPAT") == 1)
        self.run_peer(self.kombu, "publish", exchange="news", type="fanout", messages=[{"body": {"n": 1}}])
        [message] = consumer.wait_lines(1)
        self.assertEqual(message["body"], {"n": 1})
        self.assertEqual(message["exchange"], "news")
        self.assertEqual(consumer.wait(), 0)

    def test_fanout_that_nobody_hears_says_so(self) -> None:
        lost = self.keyrail("publish", "-x", "news", "--type", "fanout", "--body", "hello", status=1)
        self.assertIn("unroutable", lost.stderr)

    def test_a_bad_row_is_named_and_the_others_route(self) -> None:
        self.run_peer(self.kombu, "bind", **ORDERS)
        self.ask("SADD", "_kombu.binding.orders", "no separators")
        sent = self.keyrail("publish", "-x", "orders", "-k", "order.eu.paid", "--body", "x")
        self.assertIn("row `no separators` of exchange `orders` is ignored", sent.stderr)
        self.assertEqual(self.ask("LLEN", "billing"), 1)

    def test_a_table_of_another_library_is_refused(self) -> None:
        self.ask("ZADD", "_kombu.binding.orders", 1, "x")
        refused = self.keyrail("publish", "-x", "orders", "-k", "k", "--body", "x", status=1)
        self.assertIn("`_kombu.binding.orders` is a zset, expected a set", refused.stderr)

    def test_a_payload_that_is_no_message_is_put_aside_whole(self) -> None:
        self.ask("LPUSH", "q", b"\xff garbage")
        self.run_peer(self.kombu, "publish", messages=[{"body": "good", "routing_key": "q"}])
        done = self.keyrail("consume", "--queue", "q", "--count", "1", "--timeout", "20", "--json")
        self.assertEqual(json.loads(done.stdout)["body"], "good")
        self.assertEqual(self.ask("LRANGE", "keyrail.quarantine.q", 0, -1), [b"\xff garbage"])
        self.assert_nothing_unacked()

    def test_pickle_is_never_decoded(self) -> None:
        self.run_peer(self.kombu, "publish",
                      messages=[{"body": [1, 2], "routing_key": "q", "serializer": "pickle"}])
        done = self.keyrail("consume", "--queue", "q", "--count", "1", "--timeout", "20", "--json")
        message = json.loads(done.stdout)
        self.assertEqual(message["contentType"], "application/x-python-serialize")
        self.assertNotIn("body", message)
        self.assertIn("bodyBase64", message)


class Kombu56(Kombu57):
    """Kombu 5.6.2: the same, on the older dialect."""

    kombu = "56"
    version = "5.6.2"


class Together(InteropCase):
    """All three at one queue."""

    def test_consumers_that_wait_at_one_queue_share_what_comes(self) -> None:
        peers = [self.peer(kombu, "consume", count=10**6, **ORDERS) for kombu in ("56", "57")]
        for peer in peers:
            peer.wait_lines(1)
        keyrail = self.keyrail_process("consume", "-q", "billing", "--json", "--prefetch", "4")
        waves, size = 3, 300

        def everyone() -> list[list[int]]:
            return [[line["body"]["n"] for line in process.lines() if "body" in line] for process in (*peers, keyrail)]

        for wave in range(waves):
            # Whoever waits must not take from the others, so each wave finds all of them waiting.
            time.sleep(1.2)
            messages = [{"body": {"n": n}, "routing_key": "order.eu.paid"}
                        for n in range(wave * size, (wave + 1) * size)]
            self.run_peer("57", "publish", exchange="orders", type="topic", messages=messages)
            until("all came", lambda: sum(map(len, everyone())) >= (wave + 1) * size)
            self.assert_nothing_unacked()
        came = everyone()
        self.assertEqual(sorted(n for some in came for n in some), list(range(waves * size)))
        self.assertTrue(all(came), list(map(len, came)))
        self.assertEqual(self.ask("EXISTS", "billing"), 0)


if __name__ == "__main__":
    unittest.main()
