"""Kombu's rate of consuming and acking with prefetch 64: consume_kombu.py URL QUEUE COUNT. Prints messages a second."""

from __future__ import annotations

import sys
import time
from typing import Any

from kombu import Connection, Consumer, Queue

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
left = count


def received(body: Any, message: Any) -> None:
    global left
    message.ack()
    left -= 1


with Connection(url) as connection, connection.channel() as channel:
    with Consumer(channel, [Queue(name, routing_key=name)], callbacks=[received], accept=["json"], prefetch_count=64):
        started = time.perf_counter()
        while left > 0:
            connection.drain_events(timeout=30)
        print(count / (time.perf_counter() - started))
