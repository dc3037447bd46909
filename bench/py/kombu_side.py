"""Kombu as a side of the bench on Redis: kombu_side.py URL. Reads a request a line, answers with one line of JSON.

    versions                              of Kombu and redis-py, and whether redis-py parses with hiredis
    publish EXCHANGE BINDINGS COUNT TEXT  one after the other, through a topic exchange that is bound already
    consume QUEUE COUNT                   prefetch 64, each message acked
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import kombu
import redis
from kombu import Connection, Consumer, Exchange, Producer, Queue
from redis.utils import HIREDIS_AVAILABLE


def publish(channel: Any, exchange: str, bindings: int, count: int, text: str) -> float:
    producer = Producer(channel, Exchange(exchange, type="topic"), serializer="json")
    body = {"order": "o-4711", "total": 42, "text": text}
    started = time.perf_counter()
    for n in range(count):
        producer.publish(body, routing_key=f"order.{n % bindings}.paid")
    return count / (time.perf_counter() - started)


def consume(connection: Any, name: str, count: int) -> float:
    left = count

    def received(body: Any, message: Any) -> None:
        nonlocal left
        message.ack()
        left -= 1

    queue = Queue(name, routing_key=name)
    with (
        connection.channel() as channel,
        Consumer(channel, [queue], callbacks=[received], accept=["json"], prefetch_count=64),
    ):
        started = time.perf_counter()
        while left > 0:
            connection.drain_events(timeout=30)
        return count / (time.perf_counter() - started)


with Connection(sys.argv[1]) as connection:
    publishing = connection.channel()
    for line in sys.stdin:
        what, *words = line.split()
        if what == "versions":
            answer = {"kombu": kombu.__version__, "redis-py": redis.__version__, "hiredis": HIREDIS_AVAILABLE}
        elif what == "publish":
            answer = {"per_second": publish(publishing, words[0], int(words[1]), int(words[2]), words[3])}
        else:
            answer = {"per_second": consume(connection, words[0], int(words[1]))}
        print(json.dumps(answer), flush=True)
