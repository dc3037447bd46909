"""A real Kombu that does what it is told, one JSON object a line on standard input, and answers each with one line.

It serves the whole matrix from one process, because starting Python costs more than a test. The version of Kombu is that
of the interpreter.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

from kombu import Connection, Consumer, Exchange, Producer, Queue

SECONDS = 30
# A body that is a text travels as text.
ACCEPT = ["json", "text/plain"]
# Looks for what others left behind after each empty wait of a tenth of a second.
OPTIONS = {"polling_interval": 0.1}

listening: dict[str, Any] = {}


def connect(order: dict[str, Any]) -> Connection:
    return Connection(order["url"], transport_options=OPTIONS)


def queue_of(where: dict[str, Any]) -> Queue:
    exchange = Exchange(where["exchange"], type=where["type"], durable=True)
    return Queue(where["queue"], exchange, routing_key=where["binding"])


def bind(order: dict[str, Any]) -> None:
    with connect(order) as connection, connection.channel() as channel:
        for where in order["queues"]:
            queue_of(where)(channel).declare()


def publish(order: dict[str, Any]) -> None:
    with connect(order) as connection, connection.channel() as channel:
        for message in order["messages"]:
            where = message["to"]
            exchange = Exchange(where["exchange"], type=where["type"], durable=True) if where["exchange"] else None
            Producer(channel, exchange=exchange).publish(message["body"], routing_key=where["key"], **message["options"])


def told(body: Any, message: Any) -> dict[str, Any]:
    info = message.delivery_info
    marks = [bool(message.headers.get("redelivered")), bool(info.get("redelivered"))]
    if marks[0] != marks[1]:
        raise ValueError(f"one mark of a redelivery without the other: {message.headers} {info}")
    return {
        "body": body,
        "headers": {name: value for name, value in message.headers.items()},
        "exchange": info.get("exchange"),
        "key": info.get("routing_key"),
        "priority": message.properties.get("priority"),
        "expiration": message.properties.get("expiration"),
        "redelivered": marks[0],
    }


def consume(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Takes `count` messages, acking each, but the first `requeue`, which go back."""
    got: list[dict[str, Any]] = []
    left = order.get("requeue", 0)

    def received(body: Any, message: Any) -> None:
        nonlocal left
        got.append(told(body, message))
        if left > 0:
            left -= 1
            message.requeue()
        else:
            message.ack()

    count = order["count"] + left
    with connect(order) as connection, connection.channel() as channel:
        with Consumer(channel, [queue_of(order["from"])], callbacks=[received], accept=ACCEPT, prefetch_count=1):
            deadline = time.monotonic() + SECONDS
            while len(got) < count and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)
    return got


def hold(order: dict[str, Any]) -> None:
    """Takes a message of each queue and is killed with it."""
    child = os.fork()
    if child == 0:
        got: list[Any] = []
        connection = connect(order)
        channel = connection.channel()
        queues = [queue_of(where) for where in order["queues"]]
        with Consumer(channel, queues, callbacks=[lambda body, message: got.append(message)], accept=ACCEPT):
            while len(got) < len(queues):
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def listen(order: dict[str, Any]) -> None:
    """Acks what it hears, or listens without acks. What says `first` goes back if there are acks."""
    got: list[dict[str, Any]] = []
    no_ack = not order["acks"]

    def heard(body: Any, message: Any) -> None:
        got.append(told(body, message))
        if not no_ack:
            (message.requeue if body == "first" else message.ack)()

    connection = connect(order)
    consumer = Consumer(connection.channel(), [queue_of(order["from"])], accept=ACCEPT, no_ack=no_ack, callbacks=[heard])
    consumer.consume()
    listening.update(connection=connection, consumer=consumer, got=got)
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=0.05)


def collect(order: dict[str, Any]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + SECONDS
    while len(listening["got"]) < order["count"] and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            listening["connection"].drain_events(timeout=0.2)
    listening["consumer"].cancel()
    listening["connection"].close()
    return listening["got"]


def simple_put(order: dict[str, Any]) -> None:
    with connect(order) as connection, connection.SimpleQueue(order["queue"]) as queue:
        for body in order["bodies"]:
            queue.put(body)


def simple_get(order: dict[str, Any]) -> list[Any]:
    got = []
    with connect(order) as connection, connection.SimpleQueue(order["queue"]) as queue:
        for _ in range(order["count"]):
            message = queue.get(timeout=SECONDS)
            got.append(message.payload)
            message.ack()
    return got


VERBS = {"bind": bind, "publish": publish, "consume": consume, "hold": hold, "listen": listen, "collect": collect,
         "simple_put": simple_put, "simple_get": simple_get}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"done": VERBS[order.pop("verb")](order)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
