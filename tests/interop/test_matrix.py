"""Whoever publishes and whoever consumes: Kombu 5.6.2, Kombu 5.7.0, keyrail's library and its command, through every
exchange, with every feature.

Each cell is asserted on what arrives and on all that is left in Redis: the keys, and each row of the tables. 384 cells: 4
publishers, 4 consumers, 4 exchanges, 6 features. What is restored was held by each of the four, in each cell.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
import unittest
from typing import Any

from support import PATIENCE, InteropCase, Peer, Process, keyrail_bin, until

FEATURES = ["priority", "compression", "headers", "expiration", "requeue", "restore"]
HEADERS = {"tenant": "a", "n": 3, "nested": {"x": [1, None, "caf\u00e9"]}}
COMPRESSIONS = {"gzip": "application/x-gzip", "bzip2": "application/x-bz2", "lzma": "application/x-lzma",
                "zstd": "application/zstd", "brotli": "application/x-brotli"}
# Who holds what another restores.
HOLDERS = ("56", "57", "library", "keyrail")
KINDS = ("direct", "topic", "default")
SEPARATOR = b"\x06\x16"


def row(kind: str, feature: str, binder: str) -> bytes:
    """A binding as it lies in a table. How a topic is written depends on who binds."""
    place = places(feature)[kind]
    word = r"^o\..*?[^\.]\." if binder == "56" else r"^o\.[^\.]+\."
    pattern = f"{word}{feature}$" if kind == "topic" else ""
    return SEPARATOR.join(part.encode() for part in (place["binding"], pattern, place["queue"]))


def places(feature: str) -> dict[str, dict[str, str]]:
    """The way to the queue of a feature, by the type of exchange."""
    return {
        "direct": {"exchange": "m.direct", "type": "direct", "queue": f"direct.{feature}", "key": f"k.{feature}",
                   "binding": f"k.{feature}"},
        "topic": {"exchange": "m.topic", "type": "topic", "queue": f"topic.{feature}", "key": f"o.eu.{feature}",
                  "binding": f"o.*.{feature}"},
        "default": {"exchange": "", "type": "direct", "queue": f"default.{feature}", "key": f"default.{feature}",
                    "binding": f"default.{feature}"},
        "fanout": {"exchange": "m.fanout", "type": "fanout", "queue": "inbox", "key": "", "binding": ""},
    }


def messages(feature: str) -> list[dict[str, Any]]:
    """What is published for a feature: bodies with publish options by Kombu's names."""
    if feature == "priority":
        return [{"body": {"n": priority}, "options": {"priority": priority}} for priority in (9, 6, 0, 3)]
    if feature == "compression":
        return [{"body": {"codec": name, "text": "x" * 500}, "options": {"compression": name}} for name in COMPRESSIONS]
    if feature == "headers":
        return [{"body": "caf\u00e9", "options": {"headers": HEADERS}}]
    if feature == "expiration":
        return [{"body": [1, 2.5, None], "options": {"expiration": 1.5}}]
    if feature == "requeue":
        return [{"body": "first", "options": {}}, {"body": "second", "options": {}}]
    return [{"body": f"left behind by {holder}", "options": {}} for holder in HOLDERS]


class PeerSide:
    def __init__(self, name: str, peer: Peer, url: str) -> None:
        self.name, self.peer, self.url = name, peer, url

    def bind(self, queues: list[dict[str, str]]) -> None:
        self.peer("bind", url=self.url, queues=queues)

    def publish(self, sent: list[dict[str, Any]]) -> None:
        self.peer("publish", url=self.url, messages=sent)

    def consume(self, place: dict[str, str], count: int, requeue: int = 0) -> list[dict[str, Any]]:
        return self.peer("consume", url=self.url, count=count, requeue=requeue, **{"from": place})

    def hold(self, queues: list[dict[str, str]]) -> None:
        self.peer("hold", url=self.url, queues=queues)

    def listen(self, place: dict[str, str], acks: bool) -> None:
        self.peer("listen", url=self.url, acks=acks, **{"from": place})

    def collect(self, count: int) -> list[dict[str, Any]]:
        return self.peer("collect", count=count)


class KeyrailSide:
    """keyrail's command."""

    name = "keyrail"

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *args: str) -> str:
        done = subprocess.run([keyrail_bin(), args[0], "--redis", self.url, *args[1:]], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{args}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def bind(self, queues: list[dict[str, str]]) -> None:
        for place in queues:
            if place["exchange"]:
                self.run("bind", "-x", place["exchange"], "--type", place["type"], "-k", place["binding"],
                         "-q", place["queue"], "--dialect", "kombu57")

    def publish(self, sent: list[dict[str, Any]]) -> None:
        for message in sent:
            place, options = message["to"], message["options"]
            args = ["publish", "-x", place["exchange"], "-k", place["key"], "--json-body", json.dumps(message["body"])]
            if place["exchange"]:
                args += ["--type", place["type"]]
            for flag in ("priority", "compression", "expiration"):
                if flag in options:
                    args += [f"--{flag}", str(options[flag])]
            for name, value in options.get("headers", {}).items():
                args += ["-H", f"{name}:={json.dumps(value)}"]
            self.run(*args)

    @staticmethod
    def told(line: str) -> dict[str, Any]:
        message = json.loads(line)
        properties = message["properties"]
        return {"body": message["body"], "headers": message["headers"], "exchange": message["exchange"],
                "key": message["routingKey"], "priority": properties.get("priority"),
                "expiration": properties.get("expiration"), "redelivered": message["redelivered"]}

    def consume(self, place: dict[str, str], count: int, requeue: int = 0) -> list[dict[str, Any]]:
        out = ""
        args = ["consume", "-q", place["queue"], "--json", "--timeout", "20"]
        if requeue:
            out += self.run(*args, "--requeue", "--count", str(requeue))
        out += self.run(*args, "--count", str(count))
        return [self.told(line) for line in out.splitlines()]

    def hold(self, queues: list[dict[str, str]]) -> None:
        # Whoever writes into a full pipe waits, and keyrail acks only what it has printed.
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
        names = [flag for place in queues for flag in ("-q", place["queue"])]
        child = subprocess.Popen([keyrail_bin(), "consume", "--redis", self.url, *names, "--prefetch", "10"],
                                 stdout=writer)
        os.close(writer)
        self.holding = child, reader

    def let_go(self) -> None:
        child, reader = self.holding
        child.kill()
        child.wait()
        os.close(reader)

    def listen(self, place: dict[str, str], acks: bool) -> None:
        assert not acks, "keyrail's listeners have none"
        self.listener = Process(keyrail_bin(), "consume", "--redis", self.url, "--fanout", place["exchange"],
                                "-k", place["binding"], "--json")

    def collect(self, count: int) -> list[dict[str, Any]]:
        lines = self.listener.wait_lines(count)
        self.listener.stop()
        self.listener.__exit__()
        return [self.told(json.dumps(line)) for line in lines]


class Matrix(InteropCase):
    peers: dict[str, Peer]
    # The keys that should be in Redis, each with its rows.
    tables: dict[bytes, set[bytes]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.peers = {name: Peer(name) for name in ("56", "57", "library")}
        for peer in cls.peers.values():
            cls.addClassCleanup(peer.stop)

    def side(self, name: str) -> PeerSide | KeyrailSide:
        if name == "keyrail":
            return KeyrailSide(self.redis.url)
        return PeerSide(name, self.peers[name], self.redis.url)

    def pair(self, publisher: str, consumer: str) -> None:
        source, sink = self.side(publisher), self.side(consumer)
        sink.bind([place for feature in FEATURES for kind, place in places(feature).items() if kind != "fanout"])
        self.tables = {}
        for kind in ("direct", "topic"):
            for feature in FEATURES:
                self.declared(kind, feature, consumer)
        if consumer in ("library", "keyrail"):
            self.tables[b"keyrail.exchange"] = {b"m.direct", b"m.topic"}
        cells = 0
        for kind in KINDS:
            for feature in FEATURES:
                with self.subTest(publisher=publisher, consumer=consumer, exchange=kind, feature=feature):
                    self.cell(source, sink, kind, feature)
                    self.only_tables_are_left()
                    cells += 1
        for acks in (False, True) if consumer in ("56", "57") else (False,):
            with self.subTest(publisher=publisher, consumer=consumer, exchange="fanout", acks=acks):
                self.fanout(source, sink, acks)
        cells += len(FEATURES)
        self.assertEqual(cells, 24)

    def cell(self, source: Any, sink: Any, kind: str, feature: str) -> None:
        place = places(feature)[kind]
        sent = [{**message, "to": place} for message in messages(feature)]
        source.publish(sent)
        lists = self.lists(place["queue"])
        # Before anybody takes: each message is in the list of its priority.
        expected = {"priority": {b"": 1, b"3": 1, b"6": 1, b"9": 1}}.get(feature, {b"": len(sent)})
        self.assertEqual({step: self.ask("LLEN", name) for step, name in lists.items() if self.ask("EXISTS", name)},
                         expected)
        if feature == "compression":
            waiting = [json.loads(payload)["headers"] for payload in self.ask("LRANGE", lists[b""], 0, -1)]
            self.assertEqual([headers["compression"] for headers in reversed(waiting)], list(COMPRESSIONS.values()))
        if feature == "requeue":
            got = sink.consume(place, 2, requeue=1)
            self.assertEqual([message["body"] for message in got], ["first", "second", "first"])
            self.assertEqual([message["redelivered"] for message in got], [False, False, True])
        elif feature == "restore":
            self.left_behind(kind, place)
            got = sink.consume(place, len(HOLDERS))
            # Each was held once, and is told to have been.
            self.assertEqual({message["body"]: message["redelivered"] for message in got},
                             {message["body"]: True for message in messages("restore")})
            self.assertEqual(len(got), len(HOLDERS))
        else:
            got = sink.consume(place, len(sent))
            self.content(feature, got)
        for message in got:
            self.assertEqual((message["exchange"], message["key"]), (place["exchange"], place["key"]))
        for name in lists.values():
            self.assertEqual(self.ask("EXISTS", name), 0)
        self.assert_nothing_unacked()

    def content(self, feature: str, got: list[dict[str, Any]], in_order: bool = True) -> None:
        if feature == "priority":
            # 0 is taken first; a channel knows no priority.
            order = [0, 3, 6, 9] if in_order else [9, 6, 0, 3]
            self.assertEqual([message["body"]["n"] for message in got], order)
            self.assertEqual([message["priority"] for message in got], order)
        elif feature == "compression":
            self.assertEqual([message["body"] for message in got],
                             [{"codec": name, "text": "x" * 500} for name in COMPRESSIONS])
            for message, name in zip(got, COMPRESSIONS, strict=True):
                # Kombu takes the header away once it has read it.
                self.assertIn(message["headers"].get("compression"), (None, COMPRESSIONS[name]))
        elif feature == "headers":
            self.assertEqual(([message["body"] for message in got], got[0]["headers"]), (["caf\u00e9"], HEADERS))
        elif feature == "expiration":
            self.assertEqual(([message["body"] for message in got], got[0]["expiration"]), ([[1, 2.5, None]], "1500"))
        else:
            self.assertEqual([message["body"] for message in got],
                             [message["body"] for message in messages(feature)])

    def left_behind(self, kind: str, place: dict[str, str]) -> None:
        """Each of them takes a message and is killed; an hour passes."""
        held: set[bytes] = set()
        for name in HOLDERS:
            holder = self.side(name)
            holder.hold([place])
            if name in ("56", "57"):
                self.declared(kind, "restore", name)
            [delivery] = until("it is held", lambda: set(self.ask("HKEYS", "unacked")) - held)
            held.add(delivery)
            if isinstance(holder, KeyrailSide):
                holder.let_go()
            record = json.loads(self.ask("HGET", "unacked", delivery))
            if name in ("library", "keyrail"):
                self.assertEqual(record[1:], ["", place["queue"]])
            else:
                self.assertEqual(record[1:], [place["exchange"], place["key"]])
        self.assertEqual(self.ask("EXISTS", *self.lists(place["queue"]).values()), 0)
        for delivery in held:
            self.ask("ZINCRBY", "unacked_index", -4000, delivery)

    def declared(self, kind: str, feature: str, binder: str) -> None:
        """Somebody has declared a queue, as every consumer of Kombu does, and keyrail's when they are asked to."""
        if kind == "default":
            return
        names = [b"_kombu.binding.m."] + ([b"_kombu.binding_permanent.m."] if binder != "56" else [])
        for name in names:
            self.tables.setdefault(name + kind.encode(), set()).add(row(kind, feature, binder))

    def fanout(self, source: Any, sink: Any, acks: bool) -> None:
        """All features at once: there is one listener, and what it gets it has."""
        place = places("")["fanout"]
        sink.listen(place, acks)
        until("it listens", lambda: self.ask("PUBSUB", "NUMPAT") == 1)
        sent = {feature: messages(feature) for feature in FEATURES}
        source.publish([{**message, "to": place} for feature in FEATURES for message in sent[feature]])
        got = sink.collect(sum(map(len, sent.values())))
        for feature in FEATURES:
            mine, got = got[:len(sent[feature])], got[len(sent[feature]):]
            with self.subTest(exchange="fanout", feature=feature):
                # Requeue and restore mean nothing on a channel: it comes once.
                self.content(feature, mine, in_order=False)
                self.assertFalse(any(message["redelivered"] for message in mine))
                for message in mine:
                    self.assertEqual((message["exchange"], message["key"]), ("m.fanout", ""))
        self.assertEqual(got, [])
        self.assert_nothing_unacked()
        if sink.name in ("56", "57"):
            self.declared("fanout", "", sink.name)
        if acks:
            # What a Kombu puts back goes to a list of the name of each queue, which no listener reads.
            self.assertEqual([json.loads(back)["headers"] for back in self.ask("LRANGE", "inbox", 0, -1)],
                             [{"redelivered": True}])
            self.ask("DEL", "inbox")
        self.only_tables_are_left()

    def lists(self, queue: str) -> dict[bytes, bytes]:
        steps = [b"", b"3", b"6", b"9"]
        return {step: queue.encode() + (b"\x06\x16" + step if step else b"") for step in steps}

    def only_tables_are_left(self) -> None:
        # Who looks for what is overdue has a lock for that moment.
        deadline = time.monotonic() + 2
        while (left := self.left()) != self.tables and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(left, self.tables)

    def left(self) -> dict[bytes, set[bytes]]:
        """The keys with their rows; what is no table has its type. One may be gone before it is asked for its type."""
        rows = {b"set": "SMEMBERS", b"hash": "HKEYS"}
        types = {key: self.ask("TYPE", key) for key in self.ask("KEYS", "*")}
        return {key: set(self.ask(rows[kind], key)) if kind in rows else {kind}
                for key, kind in types.items() if kind != b"none"}


def test(publisher: str, consumer: str) -> Any:
    return lambda self: self.pair(publisher, consumer)


class SimpleQueues(InteropCase):
    def test_what_one_puts_the_other_gets(self) -> None:
        for kombu in ("56", "57"):
            peers = [Peer(kombu), Peer("library")]
            for peer in peers:
                self.addCleanup(peer.stop)
            for source, sink in (peers, reversed(peers)):
                source("simple_put", url=self.redis.url, queue="jobs", bodies=[1, 2])
                self.assertEqual(sink("simple_get", url=self.redis.url, queue="jobs", count=2), [1, 2])
                self.assert_nothing_unacked()
                self.assertEqual(self.ask("EXISTS", "jobs"), 0)


NAMES = {"56": "kombu_5_6_2", "57": "kombu_5_7_0", "library": "keyrails_library", "keyrail": "keyrail"}
for one, first in NAMES.items():
    for other, second in NAMES.items():
        setattr(Matrix, f"test_from_{first}_to_{second}", test(one, other))

if __name__ == "__main__":
    unittest.main()
